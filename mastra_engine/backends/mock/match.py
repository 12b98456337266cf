"""The filter tree as a Python predicate, equal to the SQL of `postgres/compile.py`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from mastra_engine.filters.ast import (
    And,
    Compare,
    ElemMatch,
    Equals,
    Exists,
    Node,
    Not,
    Or,
    Size,
    SortKey,
    StartsWith,
    Substring,
)
from mastra_engine.filters.cursors import Position, position_of
from mastra_engine.types import Record

_MISSING = object()
_SIDES: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matches(node: Node, data: Any, record: Record | None = None) -> bool:
    """Return whether a document, or a record with its columns, satisfies the filter."""
    match node:
        case And(parts):
            return all(matches(part, data, record) for part in parts)
        case Or(parts):
            return any(matches(part, data, record) for part in parts)
        case Not(part):
            return not matches(part, data, record)
        case ElemMatch(field, condition, documents):
            return any(
                matches(condition, _document(member) if documents else member)
                for value in _leaves(data, field.path)
                if isinstance(value, list)
                for member in value
                if isinstance(member, dict | list) or not documents
            )
        case _ if node.field.column is not None:
            return _holds(node, getattr(record, node.field.column))
        case Equals() | Compare() | StartsWith():
            path = node.field.path
            return any(_holds(node, value) for value in _leaves(data, path, members=bool(path)))
        case _:
            return any(_holds(node, value) for value in _leaves(data, node.field.path))


def in_order(records: Iterable[Record], sort: tuple[SortKey, ...]) -> list[Record]:
    """Sort records like MongoDB; ties are ordered by `external_id`."""
    ordered = sorted(records, key=lambda record: record.external_id)
    for i, key in reversed(list(enumerate(sort))):
        ordered.sort(key=lambda record: _rank(record, sort, i), reverse=key.descending)
    return ordered


def follows(record: Record, after: Position, sort: tuple[SortKey, ...]) -> bool:
    """Return whether the record comes after the position in the order."""
    position = position_of(record, sort)
    for key, mine, its in zip(sort, position.keys, after.keys, strict=True):
        if mine != its:
            return (mine < its) if key.descending else (mine > its)
    return position.external_id > after.external_id


def _rank(record: Record, sort: tuple[SortKey, ...], i: int) -> Any:
    rank, value = position_of(record, sort).keys[i]
    return rank, 0 if value is None else value


def _holds(node: Node, value: Any) -> bool:
    match node:
        case Equals(_, values):
            return any(_equal(value, operand) for operand in values)
        case Compare(_, side, operand):
            return _kind(value) == _kind(operand) and _SIDES[side](value, operand)
        case Substring(_, text, case_sensitive):
            if not isinstance(value, str):
                return False
            return text in value if case_sensitive else text.lower() in value.lower()
        case StartsWith(_, text):
            return isinstance(value, str) and value.startswith(text)
        case Size(_, size):
            return isinstance(value, list) and len(value) == size
        case Exists():
            return value is not _MISSING
        case _:
            raise AssertionError(node)


def _leaves(value: Any, path: tuple[str | int, ...], *, members: bool = False) -> Iterator[Any]:
    """Yield the values at a path. Keys in it also select from the objects in an array.

    With `members`, the members of an array at the end of the path are yielded too.
    """
    if not path:
        yield value
        if members and isinstance(value, list):
            yield from value
    elif isinstance(path[0], int):
        if isinstance(value, list) and path[0] < len(value):
            yield from _leaves_at(value[path[0]], path[1:], members=members)
    elif isinstance(value, dict):
        if path[0] in value:
            yield from _leaves(value[path[0]], path[1:], members=members)
        else:
            yield _MISSING
    elif isinstance(value, list):
        for member in value:
            if isinstance(member, dict):
                yield from _leaves(member, path, members=members)
    else:
        yield _MISSING


def _leaves_at(member: Any, path: tuple[str | int, ...], *, members: bool) -> Iterator[Any]:
    """Yield the values at the rest of a path after a position in an array.

    Like MongoDB, it does not unwrap an array at that position.
    """
    if not path:
        yield member
    elif isinstance(member, dict | list):
        yield from _leaves(member, path, members=members)


def _document(member: Any) -> Any:
    """Return an array as an object with its positions as keys, as in BSON."""
    if isinstance(member, list):
        return {str(position): value for position, value in enumerate(member)}
    return member


def _equal(value: Any, operand: Any) -> bool:
    if operand is None:
        return value is None or value is _MISSING
    if _kind(value) != _kind(operand):
        return False
    if isinstance(operand, dict):
        return value.keys() == operand.keys() and all(_equal(value[k], operand[k]) for k in operand)
    if isinstance(operand, list):
        return len(value) == len(operand) and all(map(_equal, value, operand))
    return bool(value == operand)


def _kind(value: Any) -> type:
    """Return the JSON type; unlike in Python, a boolean is not a number."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, datetime):  # also of a class that replaces datetime, to fake the clock
        return datetime
    return float if isinstance(value, int | float) else type(value)
