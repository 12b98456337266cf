"""Haystack's filters as those of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import Any, Literal

from haystack import Document
from haystack.errors import FilterError

from mastra_engine.contrib.haystack.times import CLOCK, MOMENT, as_time
from mastra_engine.contrib.stored_vectors import equals, has_member, operand
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.filters.ast import ALL, And, Compare, Equals, Exists, Field, Node, Not, Or, Size
from mastra_engine.filters.limits import within_limits
from mastra_engine.validation.jsonb import MAX_DEPTH, Path, pointer

_ROOT = ("filters",)
_FIELDS = {field.name for field in fields(Document)}
#: The fields of a document that are stored in the metadata, and can be in a filter.
_STORED = ("id", "meta", "score")
_NONE: Node = Or()


class UnsupportedFilter(InvalidFilter, FilterError):
    """A filter is malformed, or asks for more than the engine's filters can express."""


def parse_filters(filters: Mapping[str, Any] | None) -> Node:
    """Return the filter of a document store; raises UnsupportedFilter and InvalidFilter."""
    return within_limits(_parsed(filters, _ROOT), _ROOT) if filters else ALL


def _parsed(filters: Any, path: Path) -> Node:
    if not isinstance(filters, Mapping):
        raise _error(f"must be a dictionary, not {type(filters).__name__}", path)
    if len(path) > 2 * MAX_DEPTH:
        raise _error(f"must be nested at most {MAX_DEPTH} levels deep", path[:8])
    return _comparison(filters, path) if "field" in filters else _logic(filters, path)


def _logic(filters: Mapping[str, Any], path: Path) -> Node:
    operator, conditions = _required(filters, path, "operator", "conditions")
    if not isinstance(conditions, list):
        raise _error("must be a list of filters", (*path, "conditions"))
    parts = tuple(_parsed(part, (*path, "conditions", i)) for i, part in enumerate(conditions))
    match operator:
        case "AND":
            return And(parts)
        case "OR":
            return Or(parts)
        case "NOT":
            return Not(And(parts))
    message = f"unknown logical operator {operator!r}; known operators: AND, OR, NOT"
    raise _error(message, (*path, "operator"))


def _comparison(filters: Mapping[str, Any], path: Path) -> Node:
    name, operator, value = _required(filters, path, "field", "operator", "value")
    if not isinstance(operator, str) or operator not in _OPERATORS:
        message = f"unknown operator {operator!r}; known operators: {', '.join(_OPERATORS)}"
        raise _error(message, (*path, "operator"))
    return _OPERATORS[operator](_steps(name, (*path, "field")), value, (*path, "value"))


def _required(filters: Mapping[str, Any], path: Path, *keys: str) -> list[Any]:
    for key in keys:
        if key not in filters:
            raise _error(f"{key!r} is missing", path)
    return [filters[key] for key in keys]


def _steps(name: Any, path: Path) -> tuple[str, ...]:
    """Return the path of a field in the metadata; "meta." may be left out."""
    if not isinstance(name, str) or not name:
        raise _error("must be the name of a field", path)
    first, *rest = name.split(".")
    if first not in _FIELDS and not rest:
        return ("meta", first)
    if first not in _STORED:
        message = f"{name!r} cannot be compared: filters are on meta, id and score"
        raise _error(message, path)
    return (first, *rest)


# Comparisons


def _equal(steps: tuple[str, ...], value: Any, path: Path) -> Node:
    return _one_of(steps, [value], path)


def _one_of(steps: tuple[str, ...], values: Any, path: Path) -> Node:
    """Return the condition that a value equals one of several, or is the same time.

    Haystack finds nothing below an array, where the engine's paths go on in its objects.
    """
    if not isinstance(values, list):
        raise _error(f"must be a list, not {type(values).__name__}", path)
    listed = [operand(value, path) for value in values]
    below = Or(tuple(_is_array(Field(steps[:end])) for end in range(2, len(steps))))
    times = [as_time(value) for value in values] if steps[0] == "meta" else []
    same = Or(
        (
            And((equals(Field(steps), *listed), Not(below))),
            *(_time_is("==", steps, time) for time in times if time is not None),
        )
    )
    return Or((same, below)) if None in listed else same


def _is_array(field: Field) -> Node:
    return Or((has_member(field, ALL), Size(field, 0)))


def _ordered(
    side: Literal["<", "<=", ">", ">="], steps: tuple[str, ...], value: Any, path: Path
) -> Node:
    if value is None:
        return _NONE
    if steps[0] == "meta" and (time := as_time(value)) is not None:
        return _time_is(side, steps, time)
    if isinstance(value, str | list | dict | datetime):
        message = f"{side} compares numbers and, in meta, ISO 8601 times; not {value!r:.80}"
        raise _error(message, path)
    return Compare(Field(steps), side, operand(value, path))


def _time_is(
    side: Literal["==", "<", "<=", ">", ">="], steps: tuple[str, ...], time: Mapping[str, str]
) -> Node:
    """Return the condition that a time compares that way: as a moment if both have a zone."""

    def compared(form: str) -> Node:
        field = Field(("times", *steps[1:], form))
        return Equals(field, (time[form],)) if side == "==" else Compare(field, side, time[form])

    if MOMENT not in time:
        return compared(CLOCK)
    zoned = Exists(Field(("times", *steps[1:], MOMENT)))
    return Or((compared(MOMENT), And((Not(zoned), compared(CLOCK)))))


def _negated(
    comparison: Callable[[tuple[str, ...], Any, Path], Node],
) -> Callable[[tuple[str, ...], Any, Path], Node]:
    return lambda steps, value, path: Not(comparison(steps, value, path))


_OPERATORS: dict[Any, Callable[[tuple[str, ...], Any, Path], Node]] = {
    "==": _equal,
    "!=": _negated(_equal),
    ">": partial(_ordered, ">"),
    ">=": partial(_ordered, ">="),
    "<": partial(_ordered, "<"),
    "<=": partial(_ordered, "<="),
    "in": _one_of,
    "not in": _negated(_one_of),
}


def _error(message: str, path: Path) -> UnsupportedFilter:
    return UnsupportedFilter(message, path=pointer(path))
