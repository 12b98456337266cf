"""Limits on the size of JSON documents and of pages, as PostgreSQL writes them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.jsonb import Path, excessive_size, pointer

#: A page ends with the item that reaches this size, in bytes of JSON.
MAX_PAGE_BYTES = 8 * 1024 * 1024
#: A context window ends with the message that reaches this size: no provider takes more. Its tokens
#: do not bound it, because media count by their number, and some parts not at all.
MAX_WINDOW_BYTES = 32 * 1024 * 1024
#: The bytes of JSON that stand for the fields of a message other than its content and metadata.
MESSAGE_BYTES = 250


def limit_size(raw: bytes, most: int, path: Path) -> bytes:
    """Return canonical JSON if PostgreSQL writes it in at most `most` bytes; raise InvalidInput."""
    if (size := excessive_size(raw, most)) is not None:
        message = f"must have at most {most:,} bytes as PostgreSQL writes it, got {size:,}"
        raise InvalidInput(message, path=pointer(path))
    return raw


def page_bytes(limit: int) -> int:
    """Return the bytes of JSON with which a page ends: 8 MiB for each 1,000 items of its limit."""
    return MAX_PAGE_BYTES * max(1, -(-limit // 1_000))


def fitting(sizes: Iterable[int], most: int) -> int:
    """Return how many items are on a page that ends with the one that reaches `most` bytes."""
    *sizes_before, _ = accumulate(sizes, initial=0)
    return sum(size < most for size in sizes_before)
