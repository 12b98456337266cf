"""What engine_status and the admin say of a database, and what saying it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.health import Health, read_growth, read_health
from mastra_engine.health import work as health_work
from mastra_engine.models import Entity, IndexProgress, Message, Record, SyncRun, VectorIndex
from mastra_engine.postgres import samples
from mastra_engine.registry import index_records, registry
from tests.integration.queries import plan_of, statements

pytestmark = pytest.mark.django_db


def health() -> Health:
    return read_health("default")


def sql(statement: str, params: Any = ()) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def run(entity: Entity, **fields: Any) -> SyncRun:
    values = {"sync": "contacts", "connection_id": "crm", "mode": "full", "params": {}}
    return SyncRun.objects.create(entity=entity, **{**values, **fields})


@pytest.fixture
def entity(db: None) -> Entity:
    return Entity.objects.create(name="Contacts", connection_id="crm")


def test_a_new_database_is_healthy() -> None:
    result = health()
    assert result.problems == []
    assert result.unapplied_migrations == 0
    assert result.server is not None
    assert result.versions.keys() == {"django-mastra-engine", "Django", "psycopg", "Python"}
    assert "mastra_engine_record" in {table.name for table in result.tables}
    assert len(result.growth) == 30


def test_an_index_says_how_it_stands(engine: PostgresEngine) -> None:
    engine.vectors.create_index(index_name="docs", dimension=2)
    engine.vectors.create_index(index_name="exact", dimension=2, index_type="flat")
    engine.vectors.create_index(index_name="later", dimension=2, index_type="ivfflat")
    states = {index.name: (index.status, index.vectors) for index in health().indexes}
    assert states == {"docs": ("ready", 0), "exact": ("ready", 0), "later": ("missing", 0)}
    assert health().problems == []  # an IVFFlat index is built once there are vectors

    engine.vectors.upsert(index_name="later", vectors=[[1, 0]])
    (problem,) = health().problems
    assert "'later' is missing" in problem
    engine.vectors.build_index(index_name="later")
    assert health().problems == []


def test_a_broken_search_structure_is_a_problem(engine: PostgresEngine) -> None:
    engine.vectors.create_index(index_name="docs", dimension=2)
    id = VectorIndex.objects.get(name="docs").pk
    structure = f"mastra_engine_embedding_{id}_nearest"
    sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [structure])
    (problem,) = health().problems
    assert "'docs' is invalid" in problem


def test_messages_without_a_vector_wait(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [{"role": "user", "content": text} for text in ("one", "two", "three", "")]
    engine.memory.save_memory(thread_id="t", resource_id="r", messages=texts)
    Message.objects.filter(position=1).update(embedded_at=datetime.now(UTC))
    engine.state.put(namespace=("r",), key="k", value={"a": "tea"})
    engine.state.put(namespace=("r",), key="not indexed", value={"a": "tea"}, index=False)
    fact = {"subject": "Ann", "predicate": "likes", "object": "tea"}
    engine.facts.remember(resource_id="r", facts=[fact])
    waiting = health().waiting
    assert waiting is not None
    assert (waiting.messages, waiting.state_items, waiting.facts) == (2, 1, 1)

    monkeypatch.setattr(health_work, "COUNTED", 1)
    waiting = health().waiting
    assert waiting is not None
    assert waiting.messages == 1


def test_changes_that_indexes_have_not_read_wait(engine: PostgresEngine, entity: Entity) -> None:
    with registry.empty():
        for name, read in (("behind", 3), ("up to date", 5), ("not declared", 0)):
            engine.vectors.create_index(index_name=name, dimension=2)
            index = VectorIndex.objects.get(name=name)
            IndexProgress.objects.create(entity=entity, vector_index=index, rev=read)
            if name != "not declared":
                index_records(entity="Contacts", index=name, text=str)
        Entity.objects.update(rev=5)
        Entity.objects.create(name="Orders", connection_id="crm", rev=100)
        assert changes_that_wait() == 2

        Entity.objects.create(name="Contacts", connection_id="nobody has read", rev=10)
        assert changes_that_wait() == 2 + 2 * 10
        index_records(entity="Contacts", index="not made yet", text=str)
        assert changes_that_wait() == 2 + 2 * 10 + 5 + 10


def test_how_long_changes_have_waited_is_told(engine: PostgresEngine, entity: Entity) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for rev, age in ((1, 3), (2, 1), (3, 0)):
        Record.objects.create(
            entity=entity,
            external_id=str(rev),
            data={},
            content_hash=UUID(int=rev),
            rev=rev,
            created_rev=rev,
            updated_at=yesterday - timedelta(days=age),
        )
    Entity.objects.update(rev=3)
    with registry.empty():
        assert waiting_since() is None
        index_records(entity="Contacts", index="people", text=str)
        assert waiting_since() == yesterday - timedelta(days=3)
        engine.vectors.create_index(index_name="people", dimension=2)
        index = VectorIndex.objects.get(name="people")
        mark = IndexProgress.objects.create(entity=entity, vector_index=index, rev=1)
        assert waiting_since() == yesterday - timedelta(days=1)
        IndexProgress.objects.filter(id=mark.id).update(rev=3)
        assert waiting_since() is None


def waiting_since() -> datetime | None:
    waiting = health().waiting
    assert waiting is not None
    return waiting.changes_since


def changes_that_wait() -> int:
    waiting = health().waiting
    assert waiting is not None
    return waiting.changes


def test_runs_are_counted_and_silent_workers_are_a_problem(entity: Entity) -> None:
    now = datetime.now(UTC)
    run(entity, sync="a", status="queued")
    run(entity, sync="b", status="running", lease_expires_at=now + timedelta(minutes=1))
    run(entity, sync="c", status="running", lease_expires_at=now - timedelta(minutes=1))
    run(entity, sync="d", status="succeeded", lease_expires_at=now - timedelta(minutes=1))
    result = health()
    assert result.runs is not None
    assert (result.runs.queued, result.runs.running, result.runs.stalled) == (1, 2, 1)
    assert result.problems == ["Sync runs whose worker is silent: 1. Run those syncs again."]


def test_the_last_failures_are_told(entity: Entity) -> None:
    for number in range(7):
        error = {"type": "ValueError", "message": f"number {number}", "place": None}
        run(entity, status="failed", error=error, finished_at=datetime.now(UTC))
    run(entity, status="succeeded")
    result = health()
    assert result.runs is not None
    assert [failure.error for failure in result.runs.failures] == [
        f"ValueError: number {number}" for number in (6, 5, 4, 3, 2)
    ]
    assert result.problems == []  # they are told, but nothing has to be done to the database


def test_growth_is_counted_by_day(engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "PAGES", 1_000_000)  # other tests' dead rows make tables large
    records = [{"external_id": str(number), "data": {}} for number in range(5)]
    engine.sync_records(name="Contacts", connection_id="crm", records=records)
    engine.memory.create_thread(resource_id="r")
    ago = datetime.now(UTC) - timedelta(days=3)
    Record.objects.filter(external_id__in="01").update(created_at=ago)
    Record.objects.filter(external_id="2").update(created_at=ago - timedelta(days=60))
    days = read_growth("default")
    today = days[-1]
    assert (today.day, today.records, today.threads) == (datetime.now(UTC).date(), 2, 1)
    assert {day.day: day.records for day in days if day.records} == {today.day: 2, ago.date(): 2}


def test_the_growth_of_a_large_table_is_estimated(
    entity: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql("TRUNCATE mastra_engine_record CASCADE")  # or what other tests rolled back is sampled, too
    sql(
        "INSERT INTO mastra_engine_record "
        "(id, entity_id, external_id, data, content_hash, rev, created_rev, created_at) "
        "SELECT gen_random_uuid(), %s, i, '{}', gen_random_uuid(), i, i, now() - i %% 2 * "
        "interval '1 day' FROM generate_series(1, 30000) i",
        [entity.pk],
    )
    monkeypatch.setattr(samples, "PAGES", 100)
    today, yesterday = (read_growth("default")[-days].records for days in (1, 2))
    assert today != 15_000  # or it was no sample
    assert today == pytest.approx(15_000, rel=0.3)
    assert yesterday == pytest.approx(15_000, rel=0.3)


@pytest.mark.parametrize("many", [1, 40])
def test_the_number_of_statements_is_that_of_any_size(
    engine: PostgresEngine, entity: Entity, many: int
) -> None:
    for number in range(many):
        engine.vectors.create_index(index_name=f"index {number}", dimension=2)
        run(entity, sync=f"sync {number}", status="failed", error={})
    with registry.empty():
        assert len(statements(health)) == 20
        index_records(entity="Contacts", index="index 0", text=str)
        assert len(statements(health)) == 21


def test_what_is_counted_is_found_by_an_index(entity: Entity) -> None:
    sql("SET LOCAL enable_seqscan = off")
    used = {
        node.get("Index Name")
        for statement in statements(health)
        if "mastra_engine_message" in statement or "mastra_engine_syncrun" in statement
        if "TABLESAMPLE" not in statement and "pg_" not in statement
        for node in plan_of(statement)
    }
    assert {"mastra_engine_message_waiting", "mastra_engine_syncrun_active"} <= used
