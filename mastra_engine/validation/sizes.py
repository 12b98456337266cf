"""Limits on the size of JSON documents, as PostgreSQL writes them."""

from __future__ import annotations

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.jsonb import Path, pointer, written_size


def limit_size(raw: bytes, most: int, path: Path) -> bytes:
    """Return canonical JSON if PostgreSQL writes it in at most `most` bytes; raise InvalidInput."""
    size = len(raw)
    if size <= most:
        size = written_size(raw)
    if size > most:
        message = f"must have at most {most:,} bytes as PostgreSQL writes it, got {size:,}"
        raise InvalidInput(message, path=pointer(path))
    return raw
