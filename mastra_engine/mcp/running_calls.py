"""Calls that take long: their clients are told of progress, and can cancel them.

The server works at a call in a thread of its own with a database connection of its own, while the
request's thread or event loop tells the client every second that it is still at work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import aclosing, closing
from contextvars import copy_context
from itertools import count

from django.db import connections
from django.http import StreamingHttpResponse
from mcp import types

from mastra_engine.mcp.messages import Answer, ClientRequest
from mastra_engine.postgres.cancellation import Cancellation

#: Seconds between two notifications of progress.
INTERVAL = 1


class RunningCall:
    """A call that is answered in a thread of its own.

    Progress is the number of seconds so far, without a total: a tool is one call of the engine,
    which cannot tell how much of it is left. Clients use it to show that the call goes on, and to
    extend their time limits.
    """

    def __init__(self, request: ClientRequest, answer: Callable[[ClientRequest], Answer]) -> None:
        self.request = request
        self._answer = answer
        self._cancellation = Cancellation()
        self._interval = None if request.progress_token is None else INTERVAL

    def cancel(self) -> None:
        """Stop the work. Uncommitted changes are rolled back, and there is no answer."""
        self._cancellation.request()

    def messages(self) -> Generator[Answer]:
        """Do the work; yield notifications of progress meanwhile, then the answer.

        Closing the iterator cancels the work.
        """
        if self._cancellation.is_requested:
            return
        working = self._start()
        try:
            for seconds in count(INTERVAL, INTERVAL):
                if wait([working], self._interval).done:
                    break
                yield self._progress(seconds)
            if not self._cancellation.is_requested:
                yield working.result()
        finally:
            self.cancel()

    async def amessages(self) -> AsyncGenerator[Answer]:
        """Do the same for an event loop."""
        working = asyncio.wrap_future(self._start())
        try:
            for seconds in count(INTERVAL, INTERVAL):
                if (await asyncio.wait([working], timeout=self._interval))[0]:
                    break
                yield self._progress(seconds)
            yield working.result()
        finally:
            self.cancel()

    def _start(self) -> Future[Answer]:
        thread = ThreadPoolExecutor(1, thread_name_prefix="mastra_engine mcp")
        working = thread.submit(copy_context().run, self._work)
        thread.shutdown(wait=False)
        return working

    def _work(self) -> Answer:
        try:
            with self._cancellation:
                return self._answer(self.request)
        finally:
            connections.close_all()

    def _progress(self, seconds: int) -> Answer:
        params = {"progressToken": self.request.progress_token, "progress": seconds}
        method = "notifications/progress"
        return Answer(types.JSONRPCNotification(jsonrpc="2.0", method=method, params=params))


class EventStream(StreamingHttpResponse):
    """The messages of a call as server-sent events, under WSGI and under ASGI.

    The work begins when the server reads the first event and is cancelled when it closes the
    response, which it does when the client has closed the connection.
    """

    def __init__(self, call: RunningCall, *, asynchronous: bool) -> None:
        events = _async_events(call) if asynchronous else _events(call)
        # Proxies must neither keep nor compress events that arrive while the call runs.
        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        super().__init__(events, content_type="text/event-stream", headers=headers)


def _events(call: RunningCall) -> Iterator[bytes]:
    with closing(call.messages()) as messages:
        yield from map(_event, messages)


async def _async_events(call: RunningCall) -> AsyncIterator[bytes]:
    async with aclosing(call.amessages()) as messages:
        async for message in messages:
            yield _event(message)


def _event(message: Answer) -> bytes:
    return b"event: message\r\ndata: " + message.dumps() + b"\r\n\r\n"
