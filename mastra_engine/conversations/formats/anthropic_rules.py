"""Rules of Anthropic's API for citations and cache control, which concern a whole request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mastra_engine.types import ContentPart

#: The most blocks with a cache breakpoint that a request may hold.
MAX_CACHE_CONTROLS = 4

#: The keys of each type of citation. Responses hold more keys than requests accept.
_DOCUMENT_KEYS = ("cited_text", "document_index", "document_title")
_CITATION_KEYS = {
    "char_location": (*_DOCUMENT_KEYS, "start_char_index", "end_char_index"),
    "page_location": (*_DOCUMENT_KEYS, "start_page_number", "end_page_number"),
    "content_block_location": (*_DOCUMENT_KEYS, "start_block_index", "end_block_index"),
    "web_search_result_location": ("cited_text", "encrypted_index", "title", "url"),
    "search_result_location": (
        *("cited_text", "search_result_index", "source", "title"),
        *("start_block_index", "end_block_index"),
    ),
}


def kept_citations(citations: Any) -> list[ContentPart]:
    """Return the citations of a text block that are complete, with the keys of a request."""
    if not isinstance(citations, list):
        return []
    return [complete for citation in citations if (complete := _citation(citation)) is not None]


def _citation(citation: Any) -> ContentPart | None:
    if not isinstance(citation, dict) or not isinstance(citation.get("type"), str):
        return None
    keys = _CITATION_KEYS.get(citation["type"])
    if keys is None or any(not _fits(key, citation.get(key)) for key in keys):
        return None
    return {"type": citation["type"], **{key: citation.get(key) for key in keys}}


def _fits(key: str, value: Any) -> bool:
    if key in ("document_title", "title"):
        return value is None or isinstance(value, str)
    if key.endswith(("_index", "_number")) and key != "encrypted_index":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str)


def settle_cache_controls(messages: list[ContentPart]) -> None:
    """Keep the last cache breakpoints that a request may hold.

    A breakpoint of one hour may not follow one of five minutes, so that the latter goes.
    """
    breakpoints = 0
    has_long = False
    for block in reversed(list(_all_blocks(messages))):
        if "cache_control" not in block:
            continue
        is_long = block["cache_control"].get("ttl") == "1h"
        if breakpoints == MAX_CACHE_CONTROLS or (has_long and not is_long):
            del block["cache_control"]
            continue
        breakpoints += 1
        has_long = has_long or is_long


def settle_document_citations(messages: list[ContentPart]) -> None:
    """Leave citations of documents enabled only if all documents of the request enable them."""
    documents = [block for block in _all_blocks(messages) if block["type"] == "document"]
    if all(block.get("citations") == {"enabled": True} for block in documents):
        return
    for block in documents:
        block.pop("citations", None)


def _all_blocks(messages: list[ContentPart]) -> Iterator[ContentPart]:
    for message in messages:
        for block in message["content"]:
            if block["type"] == "tool_result":
                yield from block.get("content", [])
            yield block
