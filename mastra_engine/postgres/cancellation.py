"""Cancelling statements that run too long, without a setting of the session or a transaction."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import psycopg
from django.db import connections
from psycopg.pq import TransactionStatus

#: Seconds between two looks at a connection.
_PAUSE = 0.25


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
        driver = connection.connection
        if driver is not None and driver.pgconn.transaction_status == TransactionStatus.ACTIVE:
            running += now - last
            if running > seconds:
                with suppress(psycopg.Error):  # the connection may be lost by now
                    driver.cancel_safe(timeout=seconds)
        last = now
