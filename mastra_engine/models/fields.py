"""Ingredients of the tables."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.jsonb import loads


def new_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562): they sort by the time they were made."""
    return uuid7()


class Decoder(json.JSONDecoder):
    """Reads `jsonb` as it was written: faster than the standard library, and floats stay floats."""

    def __init__(self, **_: Any) -> None:
        super().__init__()

    def decode(self, s: str, _w: Any = None) -> Any:
        return loads(s)
