"""What a PostgreSQL server says when one connects: the only evidence the commands go by."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn, Ping

from mastra_engine.exceptions import Unavailable

CONNECT_TIMEOUT = 5  # seconds; libpq's own default is to wait for ever
# Any number will do, as long as every release keeps it.
MIGRATION_LOCK = 7_226_418_044_101


#: Parameters are bound on the client: nothing is prepared, which a pooler would mix up, and nothing
#: of a statement outlives it.
_AS_DJANGO: dict[str, Any] = {"cursor_factory": psycopg.ClientCursor}

_SHOWN = ("service", "host", "port", "user", "dbname")

#: Seconds between two tries to take the lock.
_PAUSE = 0.1

# The transaction stands idle for as long as the migrations take. In READ COMMITTED it has no
# snapshot then, for which CREATE INDEX CONCURRENTLY would wait for ever.
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
_TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', '0', true),
       (SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout')
"""


def parameters(conninfo: str) -> dict[str, Any]:
    """Return the parts of a URL or connection string; none when it is not PostgreSQL's."""
    try:
        return dict(conninfo_to_dict(conninfo))
    except psycopg.ProgrammingError:
        return {}


def address(conninfo: str) -> str:
    """Return what of `conninfo` may be shown, in libpq's plain form: never a secret."""
    known = parameters(conninfo)
    return make_conninfo(**{name: known[name] for name in _SHOWN if name in known})


@contextmanager
def connected(conninfo: str) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode; raise Unavailable when the server is away, refuses us or goes."""
    try:
        with psycopg.connect(_bounded(conninfo), autocommit=True, **_AS_DJANGO) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(f"The database does not answer: {error}") from error


def answers(conninfo: str) -> bool:
    """Tell whether the server runs a query for us now."""
    try:
        with connected(conninfo) as connection:
            connection.execute("SELECT 1")
    except Unavailable:
        return False
    return True


def wait_until_ready(conninfo: str, *, timeout: float) -> None:
    """Return once the server answers; raise Unavailable when it refuses us or stays away."""
    deadline = time.monotonic() + timeout
    target = _bounded(conninfo).encode()
    # A ping needs no valid login, so a wrong password fails at once and not after the timeout.
    while PGconn.ping(target) != Ping.OK and time.monotonic() < deadline:
        time.sleep(0.1)
    with connected(conninfo) as connection:
        connection.execute("SELECT 1")


@contextmanager
def migration_lock(conninfo: str, *, on_wait: Callable[[], object]) -> Iterator[None]:
    """Let one process at a time migrate a database; the lock ends with its own connection.

    A transaction holds it, not the session: a pooler may give that to others.
    """
    with connected(conninfo) as connection:
        if not _try_lock(connection):
            on_wait()
            while not _try_lock(connection):
                time.sleep(_PAUSE)
        yield


def _try_lock(connection: psycopg.Connection) -> bool:
    """Take the lock and leave a transaction open, or do neither."""
    connection.execute(_BEGIN)
    ((locked, *_),) = connection.execute(_TRY_LOCK, [MIGRATION_LOCK])
    if not locked:
        connection.execute("ROLLBACK")
    return bool(locked)


def _bounded(conninfo: str) -> str:
    known = parameters(conninfo)
    return make_conninfo(
        conninfo,
        connect_timeout=known.get("connect_timeout") or CONNECT_TIMEOUT,
        client_encoding="UTF8",
    )
