"""Opaque page cursors: the position where a page ended, and a fingerprint of its query.

A cursor is a position, not a permission. It carries no scope, and its content is validated like any
other input.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.ast import RECORD_COLUMNS, ColumnType, Field, SortKey, sort_value
from mastra_engine.types import Page, Record
from mastra_engine.validation.inputs import moment
from mastra_engine.validation.jsonb import canonical, plain_text

T = TypeVar("T")

_MALFORMED = "is not a cursor of this query; pass the next_cursor of its previous page unchanged"


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a sorted list of records: (rank, value) per sort key, then the id."""

    keys: tuple[tuple[int, Any], ...]
    external_id: str


def fingerprint(*query: object) -> str:
    """Return a hash that ties a cursor to its query."""
    parts = tuple(map(plain_text, query))
    return blake2b(repr(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def encode(query: str, *values: Any) -> str:
    """Return a cursor that contains `values`."""
    return base64.urlsafe_b64encode(canonical([query, *values])).decode().rstrip("=")


def decode(cursor: Any, query: str, *kinds: type) -> list[Any]:
    """Return the values of a cursor; raises InvalidInput unless that query created it."""
    cursor = plain_text(cursor)
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        query_of, *values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise InvalidInput(_MALFORMED, path="/cursor") from None
    if query_of != query or [type(value) for value in values] != list(kinds):
        raise InvalidInput(_MALFORMED, path="/cursor")
    canonical(values, ("cursor",))
    return list(values)


def page_of(rows: list[T], size: int, cursor: Callable[[T], str]) -> Page[T]:
    """Return a page of `size` items; `rows` has one item more if another page follows.

    `cursor` returns the cursor of the page's last item.
    """
    items = rows[:size]
    return Page(items, cursor(items[-1]) if items and len(rows) > size else None)


def position_of(record: Record, sort: tuple[SortKey, ...]) -> Position:
    """Return the position of `record` in that order."""
    return Position(tuple(_sort_key(record, key.field) for key in sort), record.external_id)


def encode_position(query: str, position: Position) -> str:
    """Return the cursor of a position in a list of records."""
    return encode(query, [_encoded(*key) for key in position.keys], position.external_id)


def decode_position(cursor: Any, query: str, sort: tuple[SortKey, ...]) -> Position:
    """Return the position of a cursor; raises InvalidInput unless that query created it."""
    keys, external_id = decode(cursor, query, list, str)
    if len(keys) != len(sort):
        raise InvalidInput(_MALFORMED, path="/cursor")
    decoded = tuple(_decoded(key.field, value) for key, value in zip(sort, keys, strict=True))
    return Position(decoded, external_id)


def _sort_key(record: Record, field: Field) -> tuple[int, Any]:
    if field.column is not None:
        return 0, getattr(record, field.column)
    return sort_value(record.data, field.path)


def _encoded(rank: int, value: Any) -> list[Any]:
    """Return a list of the value; an empty list encodes a missing field, {} and [] their kinds."""
    if rank in (4, 5):
        return [{} if rank == 4 else []]
    return [] if (rank, value) == (0, None) else [value]


def _decoded(field: Field, encoded: Any) -> tuple[int, Any]:
    if not isinstance(encoded, list) or len(encoded) > 1:
        raise InvalidInput(_MALFORMED, path="/cursor")
    if field.column is None:
        return sort_value(dict(zip(("value",), encoded, strict=False)), ("value",))
    try:
        return 0, _column_value(RECORD_COLUMNS[field.column], *encoded)
    except (TypeError, ValueError):
        raise InvalidInput(_MALFORMED, path="/cursor") from None


def _column_value(column_type: ColumnType, value: Any) -> Any:
    if column_type == "time":
        # Times near the limits of the calendar cannot be converted to UTC, which moment() refuses.
        return moment(value, "/cursor")
    if type(value) is not (int if column_type == "integer" else str):
        raise ValueError(value)
    return value
