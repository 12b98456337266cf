"""Mastra's filters of vectors as filters of the engine, which has operators of the same names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mastra_engine.exceptions import InvalidFilter

_LOGICAL = ("$and", "$or", "$nor")
_LISTS = ("$in", "$nin", "$all")
_NOTHING: dict[str, Any] = {"$nor": [{}]}


def engine_filter(filter: Any) -> dict[str, Any]:
    """Return the engine's filter for one of Mastra's; raises InvalidFilter if it is no object.

    Objects without operators are paths, so that `{"a": {"b": 1}}` is `{"a.b": 1}`; a list of values
    stands for any of them; a list operator takes a single value, too; and empty lists of conditions
    are allowed. The engine refuses everything else that is wrong.
    """
    if not isinstance(filter, dict):
        message = f"must be an object of conditions, not {type(filter).__name__}"
        raise InvalidFilter(message, path="/filter")
    merged: dict[str, Any] = {}
    for condition in _conditions(filter, ""):
        repeated = not merged.keys().isdisjoint(condition)
        merged = {"$and": [merged, condition]} if repeated else {**merged, **condition}
    return merged


def _conditions(document: dict[str, Any], parent: str) -> Iterator[dict[str, Any]]:
    for key, value in document.items():
        field = f"{parent}.{key}" if parent else key
        if key in _LOGICAL:
            yield _logical(key, value)
        elif key == "$not":
            yield {"$not": engine_filter(value)}
        elif isinstance(value, list):
            yield {field: {"$in": value}}
        elif isinstance(value, dict) and value and not any(name[:1] == "$" for name in value):
            yield from _conditions(value, field)
        elif isinstance(value, dict):
            yield {field: {name: _operand(name, operand) for name, operand in value.items()}}
        else:
            yield {field: value}


def _logical(operator: str, value: Any) -> dict[str, Any]:
    conditions = value if isinstance(value, list) else [value]
    if not conditions:
        return _NOTHING if operator == "$or" else {}
    return {operator: [engine_filter(condition) for condition in conditions]}


def _operand(operator: str, value: Any) -> Any:
    return [value] if operator in _LISTS and not isinstance(value, list) else value
