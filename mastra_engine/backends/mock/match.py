"""The filter tree as a Python predicate: what `postgres/compile.py` says in SQL."""

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
    """Whether a document, or a record with its columns, satisfies the filter."""
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
    """Sort as MongoDB does, ties by `external_id`."""
    found = sorted(records, key=lambda record: record.external_id)
    for i, key in reversed(list(enumerate(sort))):
        found.sort(key=lambda record: _rank(record, sort, i), reverse=key.descending)
    return found


def follows(record: Record, after: Position, sort: tuple[SortKey, ...]) -> bool:
    """Whether the record comes after that position in the order."""
    here = position_of(record, sort)
    for key, mine, its in zip(sort, here.keys, after.keys, strict=True):
        if mine != its:
            return (mine < its) if key.descending else (mine > its)
    return here.external_id > after.external_id


def _rank(record: Record, sort: tuple[SortKey, ...], i: int) -> Any:
    rank, value = position_of(record, sort).keys[i]
    return rank, 0 if value is None else value


def _holds(node: Node, value: Any) -> bool:
    match node:
        case Equals(_, values):
            return any(_equal(value, wanted) for wanted in values)
        case Compare(_, side, operand):
            return _kind(value) == _kind(operand) and _SIDES[side](value, operand)
        case Substring(_, text):
            return isinstance(value, str) and text.lower() in value.lower()
        case StartsWith(_, text):
            return isinstance(value, str) and value.startswith(text)
        case Size(_, size):
            return isinstance(value, list) and len(value) == size
        case Exists():
            return value is not _MISSING
        case _:
            raise AssertionError(node)


def _leaves(value: Any, path: tuple[str | int, ...], *, members: bool = False) -> Iterator[Any]:
    """Yield what a path leads to; by its keys it passes through arrays into the objects in them.

    With `members`, those of an array that a key leads to are yielded as well.
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
    """Yield what a path leads to from where a position led: MongoDB takes that as it is."""
    if not path:
        yield member
    elif isinstance(member, dict | list):
        yield from _leaves(member, path, members=members)


def _document(member: Any) -> Any:
    """Return an array as the object that it is in BSON."""
    if isinstance(member, list):
        return {str(position): value for position, value in enumerate(member)}
    return member


def _equal(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return value is None or value is _MISSING
    if _kind(value) != _kind(wanted):
        return False
    if isinstance(wanted, dict):
        return value.keys() == wanted.keys() and all(_equal(value[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_equal, value, wanted))
    return bool(value == wanted)


def _kind(value: Any) -> type:
    """The JSON type: Python takes a boolean for a number, JSON does not."""
    if isinstance(value, bool):
        return bool
    if isinstance(value, datetime):  # also of a class that replaces datetime, to fake the clock
        return datetime
    return float if isinstance(value, int | float) else type(value)
