"""The server over the standard streams of a process, for one user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, BinaryIO

from django.http import HttpRequest
from mcp import types
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from rest_framework.request import Request

from mastra_engine.api.parsers import strict_loads
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.mcp.messages import Answer, ClientRequest, failure, parse
from mastra_engine.mcp.running_calls import RunningCall
from mastra_engine.mcp.server import Server


def serve(get_user: Callable[[], Any], source: BinaryIO, target: BinaryIO) -> None:
    """Answer each line of `source` on `target`, in their order, until `source` ends.

    The user is read again for each message, so that changed permissions take effect.
    """
    for answer in _Conversation(get_user, source).answers():
        target.write(answer.dumps() + b"\n")
        target.flush()


class _Conversation:
    """The messages of a client, which are read on while one is answered: it may be cancelled."""

    def __init__(self, get_user: Callable[[], Any], source: BinaryIO) -> None:
        self._get_user = get_user
        self._source = source
        self._received: SimpleQueue[RunningCall | Answer | None] = SimpleQueue()
        self._calls: dict[types.RequestId, RunningCall] = {}

    def answers(self) -> Iterator[Answer]:
        """Yield the messages for the client."""
        Thread(target=self._read, name="mastra_engine mcp reader", daemon=True).start()
        while (received := self._received.get()) is not None:
            if isinstance(received, RunningCall):
                yield from received.messages()
                self._calls.pop(received.request.id, None)
            else:
                yield received

    def _read(self) -> None:
        try:
            for line in _lines(self._source):
                self._receive(_parsed(line))
        finally:
            self._received.put(None)

    def _receive(self, parsed: ClientRequest | types.JSONRPCNotification | Answer) -> None:
        if isinstance(parsed, ClientRequest):
            call = RunningCall(parsed, self._answer)
            self._calls[parsed.id] = call
            self._received.put(call)
        elif isinstance(parsed, Answer):
            self._received.put(parsed)
        elif parsed.method == "notifications/cancelled":
            id = cancelled_request_id_from_params(parsed.params)
            if id is not None and id in self._calls:
                self._calls[id].cancel()

    def _answer(self, message: ClientRequest) -> Answer:
        request = Request(HttpRequest())
        request.user, request.auth = self._get_user(), None
        return Server(request).answer(message)


def _parsed(line: bytes | None) -> ClientRequest | types.JSONRPCNotification | Answer:
    limits = api_settings()
    if line is None:
        text = f"The message is larger than {limits.max_bytes} bytes"
        return failure(types.INVALID_REQUEST, text)
    try:
        return parse(strict_loads(line, depth=limits.max_depth))
    except InvalidInput as error:
        return failure(types.PARSE_ERROR, str(error))


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
