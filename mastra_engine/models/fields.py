"""Parts that several models share: ids, decoding of JSON, conversion to values."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model
from uuid_utils.compat import uuid7

from mastra_engine.validation.jsonb import loads

T = TypeVar("T")


def as_value(row: Model, kind: type[T]) -> T:
    """Return a row as a value: each of its fields is filled from the column of the same name."""
    return kind(**{name: getattr(row, name) for name in kind.__slots__})  # type: ignore[attr-defined]


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562), which sorts by the time of its creation."""
    return uuid7()


class Decoder(json.JSONDecoder):
    """Decode `jsonb` faster than the standard library does, and keep floats as floats."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def decode(self, s: str, _w: Any = None) -> Any:
        return loads(s)
