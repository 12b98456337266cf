"""The server over the standard streams of a process, for one user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from django.core.signals import request_started
from django.http import HttpRequest
from mcp import types
from rest_framework.request import Request

from mastra_engine.api.parsers import strict_loads
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.mcp.server import Answer, Server, failure


def serve(get_user: Callable[[], Any], source: BinaryIO, target: BinaryIO) -> None:
    """Answer each line of `source` on `target`, in their order, until `source` ends.

    The user is read again for each message, so that changed permissions take effect.
    """
    for line in _lines(source):
        request_started.send(sender=serve)  # Django drops connections that are too old, or lost
        answer = _answer(get_user, line)
        if answer.message is not None:
            target.write(answer.dumps() + b"\n")
            target.flush()


def _answer(get_user: Callable[[], Any], line: bytes | None) -> Answer:
    limits = api_settings()
    if line is None:
        text = f"The message is larger than {limits.max_bytes} bytes"
        return failure(types.INVALID_REQUEST, text)
    try:
        message = strict_loads(line, depth=limits.max_depth)
    except InvalidInput as error:
        return failure(types.PARSE_ERROR, str(error))
    request = Request(HttpRequest())
    request.user, request.auth = get_user(), None
    return Server(request).answer(message)


def _lines(source: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines that are not empty; None stands for one that is too long."""
    maximum = api_settings().max_bytes
    while line := source.readline(maximum + 1):
        if len(line) > maximum:
            while line and not line.endswith(b"\n"):
                line = source.readline(maximum)
            yield None
        elif line.strip():
            yield line
