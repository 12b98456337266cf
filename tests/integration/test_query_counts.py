"""How many statements each method sends, however many records there are.

COPY counts as one: Django logs it when it begins, and its rows are no statements of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.registry import registry
from mastra_engine.registry import sync as declare
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import Entity, QueryOptions, Sort
from mastra_engine.validation.inputs import CHUNK_RECORDS
from tests.integration.queries import statements
from tests.integration.test_indexing_query_counts import COUNTS as INDEXING

pytestmark = pytest.mark.django_db(transaction=True)

NAME = {"name": "Contacts", "connection_id": "crm"}
Call = Callable[[PostgresEngine, Entity], Any]
RUNS: dict[str, UUID] = {}


def records(size: int, version: int = 0, start: int = 0) -> list[dict[str, Any]]:
    ids = range(start, start + size)
    return [{"external_id": f"{id:06}", "data": {"version": version}} for id in ids]


@pytest.fixture
def entity(engine: PostgresEngine) -> Entity:
    """An entity of 300 records, and 100 deleted ones."""
    engine.sync_records(**NAME, records=records(400), mode="full")
    return engine.sync_records(**NAME, records=records(300), mode="full").entity


def upsert(value: list[dict[str, Any]], **options: Any) -> Call:
    return lambda engine, entity: engine.upsert_records(
        entity_id=entity.id, records=value, **options
    )


def sync(value: list[dict[str, Any]], **options: Any) -> Call:
    return lambda engine, entity: engine.sync_records(**NAME, records=value, **options)


@pytest.fixture(autouse=True)
def _runs(engine: PostgresEngine) -> Iterator[None]:
    """Syncs of a page or two of records, and elsewhere a run that is queued and a cancelled one."""
    with registry.empty():
        for mode in ("incremental", "full"):
            of = {"entity": "Contacts", "mode": mode}
            declare(**of, name=f"{mode} new")(lambda ctx: [records(200, start=1_000)])
            declare(**of, name=f"{mode} unchanged")(lambda ctx: [records(300)])
            declare(**of, name=f"{mode} pages")(lambda ctx: [records(300), records(300)])
        engine.queue = Held()
        queued = engine.enqueue_sync("full new", connection_id="queued")
        cancelled = engine.enqueue_sync("full new", connection_id="cancelled")
        engine.cancel_sync_run(id=cancelled.id)
        RUNS.update(queued=queued.id, cancelled=cancelled.id)
        yield


CASES = [{"query": "q", "expected_ids": ["a"]}]


def once() -> Call:
    return lambda engine, entity: engine.run_idempotent(
        owner="ann", key="1", body=b"", act=lambda: b""
    )


def run(name: str) -> Call:
    return lambda engine, entity: engine.run_sync(name, connection_id="crm")


def of_run(method: str, status: str = "queued") -> Call:
    return lambda engine, entity: getattr(engine, method)(id=RUNS[status])


def of_sync(method: str, connection: str = "queued") -> Call:
    return lambda engine, entity: getattr(engine, method)("full new", connection_id=connection)


# Each write begins with the lock timeout, the entity's lock and the entity as it is under it; one
# that changed records ends with a NOTIFY.
COUNTS: list[tuple[str, str, int, Call]] = [
    (
        "create_entity",
        "",
        # the entity that may be there, the lock timeout, the new one, what the database gave it
        4,
        lambda engine, entity: engine.create_entity(name="New", connection_id="crm"),
    ),
    (
        "get_or_create_entity",
        "there",
        1,
        lambda engine, entity: engine.get_or_create_entity(**NAME),
    ),
    ("get_entity_by_id", "", 1, lambda engine, entity: engine.get_entity_by_id(id=entity.id)),
    ("get_entity", "", 1, lambda engine, entity: engine.get_entity(**NAME)),
    ("list_entities", "", 1, lambda engine, entity: engine.list_entities()),
    (
        "delete_entity_by_id",
        "",
        # the entity and its index_progress, both locked
        6,
        lambda engine, entity: engine.delete_entity_by_id(id=entity.id),
    ),
    ("upsert_records", "all unchanged", 4, upsert(records(300))),
    ("upsert_records", "all new", 7, upsert(records(200, start=1_000))),
    ("upsert_records", "all changed", 7, upsert(records(300, version=1))),
    ("upsert_records", "some of each", 8, upsert(records(400, version=1, start=200))),
    # what is stored, too
    ("upsert_records", "merged", 8, upsert(records(300, version=1), mode="merge")),
    # per further chunk: what differs, revs, COPY
    ("upsert_records", "two chunks", 10, upsert(records(CHUNK_RECORDS + 10, start=1_000))),
    (
        "get_records_by_entity_id",
        "",
        2,
        lambda engine, entity: engine.get_records_by_entity_id(entity_id=entity.id),
    ),
    (
        "get_records_by_entity_name",
        "",
        2,
        lambda engine, entity: engine.get_records_by_entity_name(**NAME),
    ),
    (
        "get_record",
        "",
        1,
        lambda engine, entity: engine.get_record(entity_id=entity.id, external_id="000001"),
    ),
    (
        "get_records",
        "",
        2,
        lambda engine, entity: engine.get_records(
            entity_name="Contacts", connection_id="crm", options=QueryOptions(limit=50)
        ),
    ),
    (
        "get_records",
        "some fields",
        2,
        lambda engine, entity: engine.get_records(
            entity_name="Contacts",
            connection_id="crm",
            options=QueryOptions(fields=["name", "address.city"], sort=[Sort("age")]),
        ),
    ),
    (
        "count_records",
        "",
        2,
        lambda engine, entity: engine.count_records(
            entity_name="Contacts", connection_id="crm", filters={"n": {"$gt": 1}}
        ),
    ),
    (
        "delete_records",
        "",
        7,
        lambda engine, entity: engine.delete_records(
            entity_id=entity.id, external_ids=[f"{id:06}" for id in range(100)]
        ),
    ),
    (
        "purge_deleted_records",
        "",
        6,
        lambda engine, entity: engine.purge_deleted_records(
            entity_id=entity.id, up_to_rev=entity.rev
        ),
    ),
    ("sync_records", "unchanged", 4, sync(records(300))),
    ("sync_records", "with a cursor", 5, sync(records(300), last_sync_id="1")),
    # the revs of what is unchanged, and what is live beside it
    ("sync_records", "full and unchanged", 5, sync(records(300), mode="full")),
    ("sync_records", "full with deletions", 9, sync(records(200), mode="full")),
    (
        "get_changes",
        "",
        2,
        lambda engine, entity: engine.get_changes(entity_id=entity.id),
    ),
    (
        "follow_changes",
        "",
        # the entity; what changed, and that nothing more did, for which the entity is read again
        4,
        lambda engine, entity: list(engine.follow_changes(entity_id=entity.id, timeout=0)),
    ),
    # Around the pages: the entity, the sync, which is created here, the new run, those that are too
    # old, the claim, the run as it ended.
    ("run_sync", "unchanged", 19, run("incremental unchanged")),
    ("run_sync", "new", 22, run("incremental new")),
    # Per page one statement that tells the run of it, beside what an upsert sends.
    ("run_sync", "another page", 24, run("incremental pages")),
    # No run before; what is live. Where there is more than a page, what each found is dropped.
    ("run_sync", "full and unchanged", 20, run("full unchanged")),
    ("run_sync", "full, another page", 26, run("full pages")),
    (
        "enqueue_sync",
        "",
        10,
        lambda engine, entity: engine.enqueue_sync("full unchanged", connection_id="crm"),
    ),
    ("perform_sync_run", "", 15, of_run("perform_sync_run")),
    ("get_sync_run", "", 1, of_run("get_sync_run")),
    ("cancel_sync_run", "", 6, of_run("cancel_sync_run")),
    ("retry_sync_run", "", 5, of_run("retry_sync_run", "cancelled")),
    (
        "list_sync_pages",
        "",
        2,
        lambda engine, entity: engine.list_sync_pages(run_id=RUNS["queued"]),
    ),
    ("get_sync_log", "", 2, lambda engine, entity: engine.get_sync_log(run_id=RUNS["queued"])),
    ("list_syncs", "", 1, lambda engine, entity: engine.list_syncs()),
    ("get_sync", "", 1, of_sync("get_sync")),
    # the sync, its row, the queued run, the sync as it is then
    ("pause_sync", "", 5, of_sync("pause_sync")),
    ("resume_sync", "", 3, of_sync("resume_sync")),
    ("reset_sync", "", 4, of_sync("reset_sync", "cancelled")),
    ("list_sync_runs", "", 1, lambda engine, entity: engine.list_sync_runs(sync="full new")),
    # four counts before and four after; the entities of it, each deleted under its lock; answers
    ("erase", "a connection", 21, lambda engine, entity: engine.erase(connection_id="crm")),
    # its lock, what came of it before, what comes of it now; a few that expired
    ("run_idempotent", "", 5, once()),
    (
        "run_idempotent",
        "again",
        5 + 3,
        lambda engine, entity: [once()(engine, entity) for _ in range(2)],
    ),
    (
        "expire_idempotency_records",
        "",
        1,
        lambda engine, entity: engine.expire_idempotency_records(),
    ),
    # only those of the search, which here has none
    # nothing of it: working memory, threads, items, facts
    (
        "export_resource",
        "",
        4,
        lambda engine, entity: list(engine.export_resource(resource_id="x")),
    ),
    ("evaluate", "", 0, lambda engine, entity: engine.evaluate(CASES, search=lambda q, top_k: [])),
    ("vacuum", "", 2, lambda engine, entity: engine.vacuum()),
    ("close", "", 0, lambda engine, entity: engine.close()),
]


@pytest.mark.parametrize(
    ("number", "call"),
    [(number, call) for _, _, number, call in COUNTS],
    ids=[f"{method} {case}".strip() for method, case, _, _ in COUNTS],
)
def test_a_method_sends_a_fixed_number_of_statements(
    engine: PostgresEngine, entity: Entity, number: int, call: Call
) -> None:
    sent = statements(lambda: call(engine, entity))
    assert len(sent) == number, "\n".join(sql[:100] for sql in sent)


def test_records_are_iterated_over_in_pages_of_two_thousand(
    engine: PostgresEngine, entity: Entity
) -> None:
    engine.upsert_records(entity_id=entity.id, records=records(5_000))
    sent = statements(
        lambda: list(engine.iter_records(entity_name="Contacts", connection_id="crm"))
    )
    assert len(sent) == 1 + 3


@pytest.mark.parametrize(
    "read",
    [
        lambda engine, entity: engine.get_records(
            entity_name="Contacts", connection_id="crm", options={"filters": {"n": 1}}
        ),
        lambda engine, entity: engine.count_records(entity_name="Contacts", connection_id="crm"),
        lambda engine, entity: engine.get_changes(entity_id=entity.id),
    ],
    ids=["get_records", "count_records", "get_changes"],
)
def test_an_entity_that_is_known_is_not_looked_up(
    engine: PostgresEngine, entity: Entity, read: Call
) -> None:
    data = [{"external_id": "1", "data": {"n": 1}}]
    engine.upsert_records(entity_id=entity.id, records=data)
    assert read(engine, entity)
    assert len(statements(lambda: read(engine, entity))) == 1
    # Another engine, as in another process, deletes it and creates it again.
    other = PostgresEngine()
    other.delete_entity_by_id(id=entity.id)
    again = other.create_entity(name="Contacts", connection_id="crm")
    assert not read(engine, again)
    other.upsert_records(entity_id=again.id, records=data)
    assert read(engine, again)
    assert len(statements(lambda: read(engine, again))) == 1


def test_every_method_of_an_engine_is_counted() -> None:
    methods = {name for name in dir(MastraEngine) if f"a{name}" in dir(MastraEngine)}
    counted = {method for method, *_ in COUNTS + INDEXING} | {"iter_records"}
    assert methods == counted, (
        f"Add rows to COUNTS in {__file__}, or remove them: {', '.join(sorted(methods ^ counted))}"
    )
