"""The limits of arguments: one table for the check of a request and for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from mastra_engine.backends.base.facts.arguments import MAX_FACTS
from mastra_engine.conf import ApiSettings, api_settings
from mastra_engine.validation.inputs import MAX_NAME_BYTES

#: Arguments that limit the number of results, and their values when they are null.
RESULT_LIMITS = {"limit": 100, "last": 10, "top_k": 10}
#: Lists that are one value: their length does not say how much work a request is.
SINGLE_VALUES = {"vector", "query_vector", "content"}

_NAME = {"minLength": 1, "maxLength": MAX_NAME_BYTES}
_COUNT = {"minimum": 0}
_FACTS = {"maxItems": MAX_FACTS}
_SHARE = {"minimum": 0, "maximum": 1}
_FIXED: dict[str, dict[str, Any]] = {
    "after": _COUNT,
    "connection_id": _NAME,
    "dimension": {"minimum": 1},
    "ef_construction": {"minimum": 4, "maximum": 1_000},
    "ef_search": {"minimum": 1, "maximum": 1_000},
    "entity_name": _NAME,
    "external_id": _NAME,
    "get_changes.limit": {"minimum": 1},
    "index_name": _NAME,
    "last": _COUNT,
    "limit": _COUNT,
    "m": {"minimum": 2, "maximum": 100},
    "max_delete_ratio": _SHARE,
    "max_tokens": _COUNT,
    "mmr": _SHARE,
    "name": _NAME,
    "new_thread_id": _NAME,
    "offset": _COUNT,
    "purged": _COUNT,
    "remember_fact.facts": _FACTS,
    "remember_facts.facts": _FACTS,
    "resource_id": _NAME,
    "sync": _NAME,
    "thread_id": _NAME,
    "top_k": {"minimum": 1},
    "up_to_message_id": _NAME,
    "up_to_rev": _COUNT,
}
#: Lists of any length up to `MAX_ITEMS`.
_LISTS = {
    "documents",
    "external_ids",
    "ids",
    "lines",
    "messages",
    "records",
    "upsert_vectors.metadata",
    "vectors",
}


def largest(name: str, settings: ApiSettings) -> int | None:
    """Return the largest integer that the settings allow for an argument; None for no limit."""
    if name in RESULT_LIMITS:
        return settings.max_page
    return settings.max_tokens if name == "max_tokens" else None


def limits(name: str, operation: str) -> dict[str, Any]:
    """Return the JSON Schema keywords that state the limits of an operation's argument."""
    settings = api_settings()
    keywords = dict(_FIXED.get(f"{operation}.{name}") or _FIXED.get(name, {}))
    if (maximum := largest(name, settings)) is not None:
        keywords["maximum"] = maximum
    if _LISTS.intersection((name, f"{operation}.{name}")):
        keywords["maxItems"] = settings.max_items
    return keywords
