"""Facts about the metadata of documents, as Haystack's store in memory computes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

#: The metadata of documents, one dictionary each.
Meta = Iterable[dict[str, Any]]


def count_unique(meta: Meta, fields: Iterable[str]) -> dict[str, int]:
    """Return the number of different values of each field."""
    listed, keys = list(meta), [field.removeprefix("meta.") for field in fields]
    return {key: len(_unique(listed, key)) for key in keys}


def fields_info(meta: Meta) -> dict[str, dict[str, str]]:
    """Return the type of each field: that of its last value."""
    items = (item for fields in meta for item in fields.items())
    return {key: {"type": _type(value)} for key, value in items if value is not None}


def min_max(meta: Meta, field: str) -> dict[str, Any]:
    """Return the smallest and the largest number or text; None without one, or with both kinds."""
    values = [value for value in _unique(meta, field) if isinstance(value, int | float | str)]
    try:
        return {"min": min(values), "max": max(values)}
    except (TypeError, ValueError):
        return {"min": None, "max": None}


def unique_values(meta: Meta, field: str, search_term: str | None) -> list[Any]:
    """Return the different values of a field that contain a term, ordered as text."""
    term = (search_term or "").lower()
    values = [value for value in _unique(meta, field) if term in str(value).lower()]
    return sorted(values, key=lambda value: (str(value), type(value).__name__))


def _unique(meta: Meta, field: str) -> list[Any]:
    """Return different values: 1, 1.0, "1" and true differ from one another."""
    key = field.removeprefix("meta.")
    values = [fields[key] for fields in meta if fields.get(key) is not None]
    return list(
        {orjson.dumps(value, option=orjson.OPT_SORT_KEYS): value for value in values}.values()
    )


def _type(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "int"), (float, "float")):
        if isinstance(value, kind):
            return name
    return "keyword"
