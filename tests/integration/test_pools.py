"""Engines on Django's own pool of connections, which threads must not wait for twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from django.db import connections
from psycopg.conninfo import make_conninfo

from mastra_engine import PostgresEngine
from mastra_engine.registry import registry, sync
from tests.integration.conftest import record
from tests.server import database_url

R = TypeVar("R")
#: Seconds until a thread gives up waiting for a connection of the pool.
PATIENCE = 20.0


@pytest.fixture(params=[2, 4])
def pooled(
    request: pytest.FixtureRequest, transactional_db: None, django_db_blocker: Any
) -> Iterator[tuple[PostgresEngine, int]]:
    """An engine on a pool, and the number of connections of the pool.

    The database is that of the tests, without the guard against aliases not in DATABASES.
    """
    size: int = request.param
    with django_db_blocker.unblock():
        yield from engine_on_pool(size)


def engine_on_pool(size: int) -> Iterator[tuple[PostgresEngine, int]]:
    engine = PostgresEngine(url=make_conninfo(database_url(), application_name=f"pool of {size}"))
    alias = engine.session.alias
    options = connections.settings[alias]["OPTIONS"]
    options["pool"] = {"min_size": 1, "max_size": size, "timeout": PATIENCE}
    with registry.empty():
        yield engine, size
    for index in engine.vectors.list_indexes():
        engine.vectors.delete_index(index_name=index.name)
    connections[alias].close()
    connections[alias].close_pool()
    del connections[alias]
    del connections.settings[alias]


def in_threads(engine: PostgresEngine, number: int, act: Callable[[int], R]) -> list[R]:
    """Call `act` in as many threads, and return its results in order."""

    def call(position: int) -> R:
        try:
            return act(position)
        finally:
            engine.session.connection.close()

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(call, range(number)))


def test_as_many_slow_syncs_as_connections_keep_their_leases(
    pooled: tuple[PostgresEngine, int],
) -> None:
    engine, size = pooled
    engine.sync_runs.lease_seconds = 3.0
    together = Barrier(size)

    @sync(entity="Contacts")
    def slow(_context: Any) -> Iterator[Any]:
        yield [record("1")]
        together.wait(PATIENCE)
        time.sleep(4)  # longer than the lease; all connections of the pool are in use
        yield [record("2")]

    def run(position: int) -> Any:
        return engine.run_sync("slow", connection_id=str(position))

    runs = in_threads(engine, size, run)
    assert [(run.status, run.attempts, run.created) for run in runs] == [("succeeded", 1, 2)] * size


def test_a_heartbeat_leaves_no_connection(pooled: tuple[PostgresEngine, int]) -> None:
    engine, _ = pooled
    alias = engine.session.alias
    before = engine.session.connection
    with engine.session.separately():
        assert connections[alias] is not before
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
        separate = connections[alias].connection
    assert separate.closed
    assert connections[alias] is before
    assert before.connection is None, "the pool was not asked for a connection"


def test_as_many_builds_as_connections_end(pooled: tuple[PostgresEngine, int]) -> None:
    engine, size = pooled
    names = [f"index {number}" for number in range(size)]
    for name in names:
        engine.vectors.create_index(index_name=name, dimension=2)
        engine.vectors.upsert(index_name=name, vectors=[[1.0, 0.0]], ids=["1"])
    together = Barrier(size)

    def build(position: int) -> str:
        assert engine.vectors.list_indexes()  # takes a connection of the pool
        together.wait(PATIENCE)
        engine.vectors.build_index(index_name=names[position])
        return engine.vectors.describe_index(index_name=names[position]).status

    engine.session.connection.close()  # so that all connections are for the threads

    assert in_threads(engine, size, build) == ["ready"] * size
