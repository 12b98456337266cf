"""Statements that are asked often are prepared, unless that could go wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from psycopg._preparing import PrepareManager

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.postgres.prepared import _preparing, server_cursor
from tests.integration.conftest import Elsewhere

OFTEN = 12


@pytest.fixture
def one(elsewhere: Elsewhere) -> PostgresEngine:
    """An engine that has a connection of its own, an index and a thread."""
    created = elsewhere()
    created.vectors.create_index(index_name="compass", dimension=3)
    created.vectors.upsert(
        index_name="compass",
        vectors=[[1, 0, 0], [0, 1, 0]],
        ids=["east", "north"],
        metadata=[{"n": 1}, {"n": 2}],
    )
    created.memory.save_memory(
        thread_id="t", resource_id="r", messages=[{"role": "user", "content": "hello"}]
    )
    connections[created.database].close()
    return created


def search(engine: PostgresEngine, **options: Any) -> list[str]:
    matches = engine.vectors.query(index_name="compass", query_vector=[1, 0.1, 0], **options)
    return [match.id for match in matches]


def prepared(engine: PostgresEngine) -> list[str]:
    with connections[engine.database].cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements ORDER BY prepare_time")
        return [statement for (statement,) in cursor.fetchall()]


def test_searches_and_reads_are_prepared(one: PostgresEngine) -> None:
    for _ in range(OFTEN):
        assert search(one) == ["east", "north"]
        assert len(one.memory.get_memory(thread_id="t").messages) == 1
        assert len(one.memory.get_context_window(thread_id="t", max_tokens=1_000)) == 1
    assert any("ORDER BY distance" in statement for statement in prepared(one))
    assert any("cum_tokens BETWEEN" in statement for statement in prepared(one))


def test_a_connection_that_is_used_a_few_times_is_not_looked_into(one: PostgresEngine) -> None:
    for _ in range(3):
        search(one, top_k=1)
    assert connections[one.database].connection.prepare_threshold is None


def test_a_filter_is_planned_for_what_it_asks(one: PostgresEngine) -> None:
    for n in range(OFTEN):
        assert search(one, filter={"n": {"$gt": n % 2}}) == ["east", "north"][n % 2 :]
    assert not any("passed" in s or "metadata" in s.split("WHERE")[1] for s in prepared(one))


def test_behind_a_pooler_nothing_is_prepared(
    one: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "backend_pid", 107_531_969)  # as PgBouncer's are
    for _ in range(OFTEN):
        search(one)
    assert prepared(one) == []


def test_what_the_project_says_about_preparing_holds(one: PostgresEngine) -> None:
    connections[one.database].settings_dict["OPTIONS"]["prepare_threshold"] = None
    for _ in range(OFTEN):
        assert search(one) == ["east", "north"]
    assert prepared(one) == []


@pytest.mark.parametrize("options", [{}, {"prepare_threshold": 1}], ids=["default", "threshold"])
def test_the_setting_switches_prepared_statements_off(
    one: PostgresEngine, options: dict[str, int]
) -> None:
    connections[one.database].settings_dict["OPTIONS"].update(options)
    assert one.database is not None
    engine = PostgresEngine(database=one.database, prepared_statements=False)
    for _ in range(OFTEN):
        assert search(engine) == ["east", "north"]
        assert len(engine.memory.get_memory(thread_id="t").messages) == 1
    assert not any("ORDER BY distance" in statement for statement in prepared(engine))
    for _ in range(OFTEN):  # another engine on the same connection
        search(one)
    assert any("ORDER BY distance" in statement for statement in prepared(one))


@pytest.mark.parametrize("value", ["no", 0, None])
def test_the_setting_is_a_boolean(value: Any) -> None:
    with pytest.raises(EngineConfigError, match="PREPARED_STATEMENTS must be True or False"):
        PostgresEngine(prepared_statements=value)


@pytest.fixture
def fresh_detection() -> Iterator[None]:
    """Forget what is known of the installed psycopg, before and after the test."""
    _preparing.cache_clear()
    yield
    _preparing.cache_clear()


def _without_module(patch: pytest.MonkeyPatch) -> None:
    patch.delitem(sys.modules, "mastra_engine.postgres.preparing", raising=False)
    patch.delattr("mastra_engine.postgres.preparing", raising=False)
    patch.setitem(sys.modules, "psycopg._preparing", None)  # importing it raises ImportError


def _without_class(patch: pytest.MonkeyPatch) -> None:
    patch.delitem(sys.modules, "mastra_engine.postgres.preparing", raising=False)
    patch.delattr("mastra_engine.postgres.preparing", raising=False)
    patch.delattr("psycopg._preparing.PrepareManager")


def _with_another_signature(patch: pytest.MonkeyPatch) -> None:
    original = PrepareManager.maybe_add_to_cache

    def maybe_add_to_cache(self: Any, query: Any, *rest: Any) -> Any:
        return original(self, query, *rest)

    patch.setattr(PrepareManager, "maybe_add_to_cache", maybe_add_to_cache)


def _without_reset(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("mastra_engine.postgres.preparing.Cursor", object)


@pytest.mark.usefixtures("fresh_detection")
@pytest.mark.parametrize(
    "change", [_without_module, _without_class, _with_another_signature, _without_reset]
)
def test_a_psycopg_with_another_private_api_prepares_nothing(
    one: PostgresEngine, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        change(patch)
        _preparing.cache_clear()
        for _ in range(OFTEN):
            assert search(one) == ["east", "north"]
            assert len(one.memory.get_memory(thread_id="t").messages) == 1
        assert prepared(one) == []


def test_djangos_log_of_queries_has_their_text(one: PostgresEngine) -> None:
    for _ in range(OFTEN):
        search(one)
    with CaptureQueriesContext(connections[one.database]) as captured:
        search(one, top_k=2)
    assert "ORDER BY distance" in captured[0]["sql"]


@pytest.mark.parametrize("server_side_binding", [False, True])
def test_djangos_own_statements_are_not_prepared(
    one: PostgresEngine, server_side_binding: bool
) -> None:
    connections[one.database].settings_dict["OPTIONS"]["server_side_binding"] = server_side_binding
    for _ in range(OFTEN):
        search(one)
        one.list_entities()
    assert prepared(one)
    assert not any("mastra_engine_entity" in statement for statement in prepared(one))


def test_the_driver_keeps_the_text_of_no_other_statements(one: PostgresEngine) -> None:
    """With documents in it, that would be a gigabyte soon."""
    document = "x" * 100_000
    for n in range(OFTEN):
        search(one)
        search(one, filter={f"colour {n}": n})
        one.memory.save_memory(
            thread_id="t", messages=[{"role": "user", "content": f"{document} {n}"}]
        )
        with transaction.atomic(using=one.database), connections[one.database].cursor() as cursor:
            cursor.execute("SELECT %s", [f"{document} {n}"])
    manager = connections[one.database].connection._prepared
    stored = [*manager._counts, *manager._names]
    assert any(b"ORDER BY distance" in text for text, _ in stored)
    assert not any(b"xxx" in text or b"colour" in text for text, _ in stored)
    assert len(stored) < OFTEN


def prepared_anew_after(engine: PostgresEngine, sql: str) -> None:
    for _ in range(2):  # the second time, the driver has seen that statement before
        for _ in range(OFTEN):
            assert engine.memory.get_thread(thread_id="t").title == ""
        assert prepared(engine)
        with connections[engine.database].cursor() as cursor:
            cursor.execute(sql)
        assert prepared(engine) == []
    assert engine.memory.get_thread(thread_id="t").title == ""


@pytest.mark.parametrize(
    "sql", ["DISCARD ALL", "DEALLOCATE ALL", "CREATE TEMPORARY TABLE one (); DROP TABLE one"]
)
def test_what_may_be_gone_is_prepared_anew(one: PostgresEngine, sql: str) -> None:
    prepared_anew_after(one, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE mastra_engine_thread ALTER title TYPE varchar",
        "ROLLBACK TO SAVEPOINT before",
    ],
)
def test_and_what_may_be_another_in_a_transaction(one: PostgresEngine, sql: str) -> None:
    with transaction.atomic(using=one.database), connections[one.database].cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        prepared_anew_after(one, sql)
        transaction.set_rollback(True, using=one.database)
    assert one.memory.get_thread(thread_id="t").title == ""


def test_a_type_that_another_session_changes_is_noticed(
    one: PostgresEngine, other: PostgresEngine
) -> None:
    """By a migration, while workers go on with what they prepared before it."""
    for type in ("varchar", "text"):
        for _ in range(OFTEN):
            assert one.memory.get_thread(thread_id="t").title == ""
        assert prepared(one)
        with connections[other.database].cursor() as cursor:
            cursor.execute(f"ALTER TABLE mastra_engine_thread ALTER title TYPE {type}")
    assert one.memory.get_thread(thread_id="t").title == ""


def test_what_cannot_make_it_stale_leaves_it_prepared(one: PostgresEngine) -> None:
    for _ in range(OFTEN):
        search(one)
    with connections[one.database].cursor() as cursor:
        cursor.execute("SET search_path = public")
    assert prepared(one)


def test_an_index_made_anew_is_found_by_who_prepared(
    one: PostgresEngine, other: PostgresEngine
) -> None:
    for _ in range(OFTEN):
        search(one)
    other.vectors.delete_index(index_name="compass")
    other.vectors.create_index(index_name="compass", dimension=3, metric="euclidean")
    other.vectors.upsert(index_name="compass", vectors=[[1, 0, 0]], ids=["new"])
    for _ in range(OFTEN):
        assert search(one) == ["new"]


def test_cursors_in_use_at_once_are_apart(one: PostgresEngine) -> None:
    connection = connections[one.database]
    with server_cursor(connection) as outer:
        outer.execute("SELECT 1")
        with server_cursor(connection) as inner:
            inner.execute("SELECT 2")
            assert inner.fetchall() == [(2,)]
        assert outer.fetchall() == [(1,)]


def test_a_cursor_that_is_used_again_keeps_nothing(one: PostgresEngine) -> None:
    """What was found may be a thread of many megabytes."""
    connection = connections[one.database]
    with server_cursor(connection) as cursor:
        cursor.execute("SELECT 1")
        used, result = cursor.cursor, cursor.pgresult
        bound = sys.getrefcount(result)
        assert cursor.fetchall() == [(1,)]
    assert sys.getrefcount(result) <= bound - 3  # the cursor's, its list's, and its transformer's
    with server_cursor(connection) as cursor:
        assert cursor.cursor is used
    connection.close()
    with server_cursor(connection) as cursor:
        assert cursor.cursor is not used
        cursor.execute("SELECT 2")
        assert cursor.fetchall() == [(2,)]
