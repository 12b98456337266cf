"""The filters of LangGraph's stores.

Their conditions are about whole values: text equals no list that contains it, and a nested object
is compared key by key. The engine's filters narrow the items down in the database; matches() then
decides.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mastra_engine.contrib.langgraph.serialization import is_json
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.validation.jsonb import pointer
from mastra_engine.validation.suggestions import unknown

_EQUALITIES = {"$eq": operator.eq, "$ne": operator.ne}
_RANGES: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPERATORS = (*_EQUALITIES, *_RANGES)
#: Keys that are one step of a path in the engine's filters.
_STEP = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def checked_filter(filter: Any, path: tuple[str | int, ...]) -> Mapping[str, Any]:
    """Return a filter, empty without one; raises InvalidFilter that names the malformed place."""
    if filter is None:
        return {}
    if not isinstance(filter, Mapping):
        message = f"must be a mapping, not {type(filter).__name__}"
        raise InvalidFilter(message, path=pointer(path))
    for key, condition in filter.items():
        at = (*path, key)
        if not isinstance(key, str):
            raise InvalidFilter("must have keys of text", path=pointer(path))
        if not isinstance(condition, Mapping):
            continue
        if not has_operators(condition):
            checked_filter(condition, at)
        for name in condition if has_operators(condition) else ():
            if name not in _OPERATORS:
                message = unknown("operator", name, _OPERATORS)
                raise InvalidFilter(message, path=pointer((*at, name)))
    return filter


def has_operators(condition: Mapping[Any, Any]) -> bool:
    return any(isinstance(key, str) and key.startswith("$") for key in condition)


def matches(value: Mapping[str, Any], filter: Mapping[str, Any]) -> bool:
    """Return whether a value satisfies a filter; a missing key has the value None."""
    return all(_accepts(value.get(key), condition) for key, condition in filter.items())


def _accepts(value: Any, condition: Any) -> bool:
    if isinstance(condition, Mapping):
        if has_operators(condition):
            return all(_compare(value, name, operand) for name, operand in condition.items())
        return isinstance(value, Mapping) and matches(value, condition)
    if isinstance(condition, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(condition)
            and all(map(_accepts, value, condition))
        )
    return bool(value == condition)


def _compare(value: Any, name: str, operand: Any) -> bool:
    """Compare numbers, and texts of numbers, as numbers, other texts as text, the rest never."""
    if name in _EQUALITIES:
        return bool(_EQUALITIES[name](value, operand))
    compare = _RANGES[name]
    number, limit = _number(value), _number(operand)
    if number is not None and limit is not None:
        return bool(compare(number, limit))
    return isinstance(value, str) and isinstance(operand, str) and bool(compare(value, operand))


def _number(value: Any) -> float | None:
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def prefilter(filter: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a filter of the engine that all items satisfy which satisfy this one, and others."""
    conditions = [*_conditions(filter, "")]
    return {"$and": conditions} if conditions else None


def _conditions(filter: Mapping[str, Any], prefix: str) -> Iterator[dict[str, Any]]:
    for key, condition in filter.items():
        field = f"{prefix}{key}"
        if not _STEP.fullmatch(key):
            continue
        if not isinstance(condition, Mapping):
            yield from _equality(field, condition)
        elif not has_operators(condition):
            yield from _conditions(condition, f"{field}.")
        else:
            for name, operand in condition.items():
                if name == "$eq":
                    yield from _equality(field, operand)
                elif name in _RANGES:
                    yield from _range(field, name, operand)


def _equality(field: str, operand: Any) -> Iterator[dict[str, Any]]:
    if isinstance(operand, list | tuple | Mapping) or not is_json(operand):
        return
    # In Python, and so in LangGraph, True equals 1.
    equal = [int(operand), bool(operand)] if operand in (0, 1) else [operand]
    yield {field: {"$in": equal}}


def _range(field: str, name: str, operand: Any) -> Iterator[dict[str, Any]]:
    if isinstance(operand, int | float) and is_json(operand):
        any_text, any_bool = {field: {"$gte": ""}}, {field: {"$in": [True, False]}}
        yield {"$or": [{field: {name: operand}}, any_text, any_bool]}
