"""Renderers of responses: the engine's values as JSON and as JSON Lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from mastra_engine.api.parsers import JSON_LINES

_LINES = 1_000


class JsonRenderer(BaseRenderer):
    """Render dataclasses, times and UUIDs as JSON with orjson."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else dumps(data)


class JsonLines(StreamingHttpResponse):
    """Stream lines of JSON in blocks of up to 1,000 lines, under WSGI and under ASGI.

    Under ASGI a slow client holds no database connection: the connections of the request's thread
    are closed after each block, and the next block opens them again.
    """

    def __init__(self, lines: Iterable[bytes], *, asynchronous: bool) -> None:
        blocks = _blocks(iter(lines))
        super().__init__(
            _async_blocks(blocks) if asynchronous else blocks,
            content_type=JSON_LINES,
        )


def dumps(value: Any) -> bytes:
    """Return a value as JSON, with times in UTC that end in `Z`."""
    return orjson.dumps(value, default=_text, option=orjson.OPT_PASSTHROUGH_DATETIME)


def _blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    while block := b"".join(line + b"\n" for line in islice(lines, _LINES)):
        yield block


def _text(value: Any) -> str:
    # A database with a TIME_ZONE of its own returns times with its offset.
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
    return str(value)


def close_connections() -> None:
    """Close the database connections of this thread, except inside a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def _async_blocks(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    def read_block() -> bytes:
        try:
            return next(blocks, b"")
        finally:
            close_connections()

    # Under ASGI Django reads a synchronous iterator into memory before it sends anything.
    while block := await sync_to_async(read_block)():
        yield block
