"""Renderers of responses: the engine's values as JSON and as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer

from mastra_engine.api.parsers import JSON_LINES
from mastra_engine.web import Streamed

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


class JsonLines(Streamed):
    """Stream lines of JSON in blocks of up to 1,000 lines."""

    def __init__(self, lines: Iterable[bytes], *, asynchronous: bool) -> None:
        super().__init__(_blocks(iter(lines)), asynchronous=asynchronous, content_type=JSON_LINES)


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
