"""JSON documents with their keys in the order in which PostgreSQL's jsonb returns them."""

from __future__ import annotations

from typing import Any

import orjson


def in_jsonb_order(raw: bytes) -> bytes:
    """Return JSON with the keys of each object ordered by their length in bytes, then by bytes.

    A window contains JSON as text, which must not differ between the engines.
    """
    return orjson.dumps(_ordered(orjson.loads(raw)))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=_place)}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value


def _place(key: str) -> tuple[int, bytes]:
    encoded = key.encode()
    return len(encoded), encoded
