"""Writing answers: the engine's values are JSON as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse
from rest_framework.renderers import BaseRenderer

from mastra_engine.api.parsers import JSON_LINES

_LINES = 1_000


class JsonRenderer(BaseRenderer):
    """Frozen values, dates and UUIDs, written by orjson."""

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
    """Lines of JSON as they are read, some at a time, under WSGI and under ASGI."""

    def __init__(self, lines: Iterable[bytes], *, asynchronous: bool) -> None:
        blocks = _blocks(iter(lines))
        super().__init__(
            _async_blocks(blocks) if asynchronous else blocks,
            content_type=JSON_LINES,
        )


def dumps(value: Any) -> bytes:
    """Return JSON of values, with times in UTC as `…Z`."""
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z)


def _blocks(lines: Iterator[bytes]) -> Iterator[bytes]:
    while block := b"".join(line + b"\n" for line in islice(lines, _LINES)):
        yield block


async def _async_blocks(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    # Django would read all of an ordinary iterator into memory first.
    while block := await sync_to_async(lambda: next(blocks, b""))():
        yield block
