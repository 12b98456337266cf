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


_SHOWN = ("service", "host", "port", "user", "dbname")

# The session waits, and then stands idle for as long as the migrations take.
_PATIENCE_SQL = """
SELECT set_config(name, '0', false)
FROM unnest(ARRAY['statement_timeout', 'lock_timeout', 'idle_session_timeout']) name
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
        with psycopg.connect(_bounded(conninfo), autocommit=True) as connection:
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

    A pooler in transaction mode would hand that connection to others: connect directly.
    """
    with connected(conninfo) as connection:
        connection.execute(_PATIENCE_SQL)
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", [MIGRATION_LOCK]).fetchone()
        if row != (True,):
            on_wait()
            connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        yield


def _bounded(conninfo: str) -> str:
    known = parameters(conninfo)
    return make_conninfo(
        conninfo,
        connect_timeout=known.get("connect_timeout") or CONNECT_TIMEOUT,
        client_encoding="UTF8",
    )
