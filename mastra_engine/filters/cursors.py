"""Opaque page cursors: where a page ended, and of which query.

A cursor is a position, not a permission: it carries no scope, and whatever it holds is checked
like any other input.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeVar

import orjson

from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.ast import RECORD_COLUMNS, Field, SortKey, sort_value
from mastra_engine.types import Page, Record
from mastra_engine.validation.jsonb import canonical

T = TypeVar("T")

_MALFORMED = "is not a cursor of this query"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a sorted list of records: (rank, value) of each sort key, then the id."""

    keys: tuple[tuple[int, Any], ...]
    external_id: str


def fingerprint(*query: object) -> str:
    """Return what ties a cursor to the query that made it."""
    return blake2b(repr(query).encode("utf-8", "replace"), digest_size=8).hexdigest()


def encode(query: str, *values: Any) -> str:
    """Return a cursor that holds `values`."""
    return base64.urlsafe_b64encode(orjson.dumps([query, *values])).decode().rstrip("=")


def decode(cursor: Any, query: str, *kinds: type) -> list[Any]:
    """Return the values of a cursor of that query; raises InvalidInput for any other."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        made_by, *values = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (TypeError, ValueError, binascii.Error):
        raise InvalidInput(_MALFORMED, path="/cursor") from None
    if made_by != query or [type(value) for value in values] != list(kinds):
        raise InvalidInput(_MALFORMED, path="/cursor")
    canonical(values, ("cursor",))
    return list(values)


def page_of(found: list[T], size: int, cursor: Callable[[T], str]) -> Page[T]:
    """Return a page of what was found, which is one more than its size where there is more.

    `cursor` makes that of the page's last item.
    """
    items = found[:size]
    return Page(items, cursor(items[-1]) if items and len(found) > size else None)


def position_of(record: Record, sort: tuple[SortKey, ...]) -> Position:
    """Return where `record` stands in that order."""
    return Position(tuple(_sort_key(record, key.field) for key in sort), record.external_id)


def encode_position(query: str, position: Position) -> str:
    """Return the cursor of a position in a list of records."""
    return encode(query, [_written(*key) for key in position.keys], position.external_id)


def decode_position(cursor: Any, query: str, sort: tuple[SortKey, ...]) -> Position:
    """Return the position of a cursor; raises InvalidInput when it is not one of that query."""
    keys, external_id = decode(cursor, query, list, str)
    if len(keys) != len(sort):
        raise InvalidInput(_MALFORMED, path="/cursor")
    read = tuple(_read(key.field, written) for key, written in zip(sort, keys, strict=True))
    return Position(read, external_id)


def _sort_key(record: Record, field: Field) -> tuple[int, Any]:
    if field.column is not None:
        return 0, getattr(record, field.column)
    return sort_value(record.data, field.path)


def _written(rank: int, value: Any) -> list[Any]:
    """A list of one value, or an empty one for a missing field; {} and [] stand for their kind."""
    if rank in (4, 5):
        return [{} if rank == 4 else []]
    return [] if (rank, value) == (0, None) else [value]


def _read(field: Field, written: Any) -> tuple[int, Any]:
    if not isinstance(written, list) or len(written) > 1:
        raise InvalidInput(_MALFORMED, path="/cursor")
    if field.column is None:
        return sort_value(dict(zip(("value",), written, strict=False)), ("value",))
    try:
        return 0, _column_value(RECORD_COLUMNS[field.column], *written)
    except (TypeError, ValueError):
        raise InvalidInput(_MALFORMED, path="/cursor") from None


def _column_value(kind: type, value: Any) -> Any:
    if kind is datetime:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment
    if type(value) is not kind:
        raise ValueError(value)
    return value
