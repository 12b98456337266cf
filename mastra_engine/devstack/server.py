"""Connections of the commands to a PostgreSQL server, by which they determine its state."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from mastra_engine.exceptions import Unavailable

#: In seconds; by default libpq waits without a limit.
CONNECT_TIMEOUT = 5
#: An arbitrary number, which must be the same in all releases.
MIGRATION_LOCK = 7_226_418_044_101


#: Parameters are bound on the client, so no statement is prepared; a pooler could send a prepared
#: statement to another session.
_AS_DJANGO: dict[str, Any] = {"cursor_factory": psycopg.ClientCursor}

#: The server's message when it refuses a connection; libpq passes on no SQLSTATE then.
_MISSING_DATABASE = re.compile(r'FATAL: +database (".*") does not exist')

_PUBLIC = ("service", "host", "port", "user", "dbname")

#: Seconds between two attempts to acquire the lock.
_PAUSE = 0.1

# The transaction is idle during the migrations. In READ COMMITTED it has no snapshot meanwhile;
# CREATE INDEX CONCURRENTLY would wait for the end of a snapshot and therefore never return.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', '0', true),
       (SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout')
"""


def parameters(conninfo: str) -> dict[str, Any]:
    """Return the parts of a URL or connection string, or an empty dictionary if it is invalid."""
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.ProgrammingError:
        return {}


def address(conninfo: str) -> str:
    """Return `conninfo` in libpq's plain form, without secrets."""
    parts = parameters(conninfo)
    return make_conninfo(**{name: parts[name] for name in _PUBLIC if name in parts})


@contextmanager
def connected(conninfo: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode; raises Unavailable if the connection fails or is lost."""
    try:
        with psycopg.connect(_bounded(conninfo), autocommit=True, **_AS_DJANGO) as connection:
            yield connection
    except psycopg.OperationalError as error:
        if missing := _MISSING_DATABASE.search(str(error)):
            raise Unavailable(
                f"The database {missing[1]} does not exist on this server. Create it, with "
                f"CREATE DATABASE {missing[1]}, or correct its name in DB_URL"
            ) from error
        raise Unavailable(f"The database does not answer: {error}") from error


def answers(conninfo: str) -> bool:
    """Return whether the server answers a query now."""
    try:
        with connected(conninfo) as connection:
            connection.execute("SELECT 1")
    except Unavailable:
        return False
    return True


def is_down(conninfo: str) -> bool:
    """Return whether no server answers; a server that refuses the login is not down."""
    return PGconn.ping(_bounded(conninfo).encode()) == Ping.NO_RESPONSE


def wait_until_ready(conninfo: str, *, timeout: float) -> None:
    """Wait until the server answers; raises Unavailable after `timeout` or a refused login."""
    deadline = time.monotonic() + timeout
    target = _bounded(conninfo).encode()
    # A ping needs no valid login. So with a wrong password the query fails at once, without waiting
    # for the timeout.
    while PGconn.ping(target) != Ping.OK and time.monotonic() < deadline:
        time.sleep(0.1)
    with connected(conninfo) as connection:
        connection.execute("SELECT 1")


@contextmanager
def migration_lock(conninfo: str, *, on_wait: Callable[[], object]) -> Iterator[None]:
    """Acquire the lock for migrating a database; it is released with its own connection.

    The lock belongs to a transaction, because a pooler may share a session with other clients.
    """
    with connected(conninfo) as connection:
        if not _try_lock(connection):
            on_wait()
            while not _try_lock(connection):
                time.sleep(_PAUSE)
        yield


def _try_lock(connection: psycopg.Connection) -> bool:
    """Acquire the lock in an open transaction; otherwise roll the transaction back."""
    connection.execute(_BEGIN)
    ((locked, *_),) = connection.execute(_TRY_LOCK, [MIGRATION_LOCK])
    if not locked:
        connection.execute("ROLLBACK")
    return bool(locked)


def _bounded(conninfo: str) -> str:
    parts = parameters(conninfo)
    return make_conninfo(
        conninfo,
        connect_timeout=parts.get("connect_timeout") or CONNECT_TIMEOUT,
        client_encoding="UTF8",
    )
