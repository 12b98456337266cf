"""Cancelling statements that run too long, or after their client has left.

No setting of the session and no transaction is needed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any

import psycopg
from django.db import OperationalError, connections
from psycopg.pq import TransactionStatus

#: Seconds between two looks at a connection.
_PAUSE = 0.25
#: Seconds that a request to cancel may take.
_TIMEOUT = 5


@contextmanager
def time_limit(alias: str, seconds: float) -> Iterator[None]:
    """Cancel this thread's statement on a database once statements have run for `seconds` in all.

    The time between statements does not count. `statement_timeout` would need a transaction around
    each read, or a setting of the session, which a pooler would hand to another client. So another
    thread looks at the connection, and sends the request to cancel. A cancelled statement raises
    Unavailable, as with `statement_timeout`. 0 seconds is no limit.
    """
    if not seconds or connections[alias].vendor != "postgresql":
        yield
        return
    ended = Event()
    watcher = Thread(
        target=_watch,
        args=(connections[alias], seconds, ended),
        name="mastra_engine time limit",
        daemon=True,
    )
    watcher.start()
    try:
        yield
    finally:
        # The request to cancel names a session, not a statement. After this, none is sent, so the
        # next user of the connection is not affected.
        ended.set()
        watcher.join()


def _watch(connection: Any, seconds: float, ended: Event) -> None:
    running, last = 0.0, time.monotonic()
    while not ended.wait(_PAUSE):
        now = time.monotonic()
        if (driver := _busy(connection)) is not None:
            running += now - last
            if running > seconds:
                _cancel_statement(driver, seconds)
        last = now


class Cancellation:
    """A way to stop the work of a thread in its databases, from another thread.

    The thread enters it as a context, in which no connection may be passed to another thread. After
    the request the running statement is cancelled, and no other one is begun: both raise
    Unavailable, so that a transaction is rolled back. Work that needs no further statement ends as
    it would have.
    """

    def __init__(self) -> None:
        self._requested, self._ended = Event(), Event()
        self._sending = Lock()
        self._connections: list[Any] = []
        self._wrappers = ExitStack()

    def __enter__(self) -> None:
        self._connections = [
            connection for connection in connections.all() if connection.vendor == "postgresql"
        ]
        for connection in self._connections:
            self._wrappers.enter_context(connection.execute_wrapper(self._execute))

    def __exit__(self, *_: object) -> None:
        # A request to cancel names a session, not a statement. After this, none is sent, so the
        # next user of a connection is not affected.
        with self._sending:
            self._ended.set()
        self._wrappers.close()

    @property
    def is_requested(self) -> bool:
        return self._requested.is_set()

    def request(self) -> None:
        """Stop the work, without waiting for its end."""
        self._requested.set()
        if not self._ended.is_set():
            Thread(target=self._cancel, name="mastra_engine cancellation", daemon=True).start()

    def _execute(self, execute: Any, *arguments: Any) -> Any:
        if self.is_requested:
            raise OperationalError("the work was cancelled")
        return execute(*arguments)

    def _cancel(self) -> None:
        # A statement can begin just after a look at its connection.
        while not self._ended.wait(_PAUSE):
            with self._sending:
                if not self._ended.is_set():
                    for driver in filter(None, map(_busy, self._connections)):
                        _cancel_statement(driver, _TIMEOUT)


def _busy(connection: Any) -> Any:
    """Return the driver's connection while it executes a statement, or None."""
    driver = connection.connection
    if driver is None or driver.pgconn.transaction_status != TransactionStatus.ACTIVE:
        return None
    return driver


def _cancel_statement(driver: Any, timeout: float) -> None:
    with suppress(psycopg.Error):  # the connection may be lost by now
        driver.cancel_safe(timeout=timeout)
