"""Behind PgBouncer in transaction mode, each transaction has another session."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from mastra_engine import PostgresEngine
from tests.pooled.bouncer import PATIENCE, SERVERS
from tests.pooled.plugin import left_behind, on_each_server
from tests.sites import site

pytestmark = pytest.mark.services


@pytest.fixture(autouse=True)
def _all_servers() -> None:
    """PgBouncer starts them one by one."""
    deadline = time.monotonic() + PATIENCE
    while len(set(on_each_server("SELECT pg_backend_pid()"))) < SERVERS:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    "sql",
    [
        "SET lock_timeout = '1s'",
        "SELECT pg_advisory_lock(1)",
        "CREATE TEMPORARY TABLE one ()",
        "LISTEN changes",
        "PREPARE one AS SELECT 1",
    ],
)
def test_whoever_relies_on_a_session_is_found_out(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
    (_left,) = left_behind()
    on_each_server("DISCARD ALL")


def test_nothing_is_prepared() -> None:
    vectors = PostgresEngine().vectors
    vectors.create_index(index_name="compass", dimension=2)
    vectors.upsert(index_name="compass", vectors=[[1, 0], [0, 1]], ids=["east", "north"])
    for _ in range(12):
        matches = vectors.query(index_name="compass", query_vector=[1, 0.1])
        assert [match.id for match in matches] == ["east", "north"]
    assert connection.connection.prepare_threshold is None
    assert left_behind() == []


def test_migrations_take_turns(django_db_blocker: Any) -> None:
    with site("tests.settings", django_db_blocker) as project:
        bouncer = {name: connection.settings_dict[name.upper()] for name in ("host", "port")}
        project.environment["DB_URL"] = make_conninfo(project.environment["DB_URL"], **bouncer)
        project.manage("migrate", "mastra_engine", "zero")
        with ThreadPoolExecutor() as racing:
            assert len([*racing.map(project.manage, ["engine_migrate"] * 3)]) == 3
