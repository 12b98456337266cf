"""Connections to a PostgreSQL server for the commands, with timeouts and a migration lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from mastra_engine.exceptions import Unavailable

CONNECT_TIMEOUT = 5  # seconds; libpq waits without a limit by default
# The number has no meaning, but all releases must use the same one.
MIGRATION_LOCK = 7_226_418_044_101


#: Parameters are bound on the client, because a pooler could run a prepared statement on another
#: connection than the one that prepared it.
_AS_DJANGO: dict[str, Any] = {"cursor_factory": psycopg.ClientCursor}

_PUBLIC = ("service", "host", "port", "user", "dbname")

#: Seconds between two attempts to acquire the lock.
_PAUSE = 0.1

# The transaction is idle while the migrations run. In READ COMMITTED an idle transaction has no
# snapshot; CREATE INDEX CONCURRENTLY would wait for a snapshot without a limit.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', '0', true),
       (SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout')
"""


def parameters(conninfo: str) -> dict[str, Any]:
    """Return the parameters of a connection string; an empty dict if it is not valid."""
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.ProgrammingError:
        return {}


def address(conninfo: str) -> str:
    """Return the parameters of `conninfo` without secrets, in libpq's keyword form."""
    known_parameters = parameters(conninfo)
    return make_conninfo(
        **{name: known_parameters[name] for name in _PUBLIC if name in known_parameters}
    )


@contextmanager
def connected(conninfo: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode; raises Unavailable if the connection fails or is lost."""
    try:
        with psycopg.connect(_bounded(conninfo), autocommit=True, **_AS_DJANGO) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer: {error}") from error


def answers(conninfo: str) -> bool:
    """Return whether the server accepts a connection and runs a query."""
    try:
        with connected(conninfo) as connection:
            connection.execute("SELECT 1")
    except Unavailable:
        return False
    return True


def wait_until_ready(conninfo: str, *, timeout: float) -> None:
    """Wait until the server runs a query; raises Unavailable after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    target = _bounded(conninfo).encode()
    # A ping needs no valid login, so a wrong password fails at once instead of after the timeout.
    while PGconn.ping(target) != Ping.OK and time.monotonic() < deadline:
        time.sleep(0.1)
    with connected(conninfo) as connection:
        connection.execute("SELECT 1")


@contextmanager
def migration_lock(conninfo: str, *, on_wait: Callable[[], object]) -> Iterator[None]:
    """Hold the lock of a database's migrations; it is released when its connection ends.

    A transaction holds the lock, because a pooler can use a session for several clients.
    """
    with connected(conninfo) as connection:
        if not _try_lock(connection):
            on_wait()
            while not _try_lock(connection):
                time.sleep(_PAUSE)
        yield


def _try_lock(connection: psycopg.Connection) -> bool:
    """Acquire the lock in an open transaction; return False without one if it is not free."""
    connection.execute(_BEGIN)
    ((locked, *_),) = connection.execute(_TRY_LOCK, [MIGRATION_LOCK])
    if not locked:
        connection.execute("ROLLBACK")
    return bool(locked)


def _bounded(conninfo: str) -> str:
    return make_conninfo(
        conninfo,
        connect_timeout=parameters(conninfo).get("connect_timeout") or CONNECT_TIMEOUT,
        client_encoding="UTF8",
    )
