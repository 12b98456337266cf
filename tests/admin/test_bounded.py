"""The cost of a page does not depend on the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test import Client
from django.utils import timezone

from mastra_engine import engine
from mastra_engine.admin import memory, paging
from mastra_engine.admin.paging import BoundedPaginator, rounded
from mastra_engine.models import (
    Embedding,
    Entity,
    Fact,
    Message,
    Record,
    StateItem,
    Sync,
    SyncPage,
    SyncRun,
    Thread,
    VectorIndex,
    WorkingMemory,
)
from tests.admin.conftest import list_of, page_of, view
from tests.admin.store import SECRET
from tests.integration.queries import plan_of, statements

#: Statements that every page sends: the session, the user, and how long others may take.
WHO = 3


def changes_of_today() -> str:
    today = timezone.localdate().isoformat()
    return view("changed_records", connection_id="crm-1", day=today)


PAGES: dict[str, tuple[Callable[[], str], int]] = {
    "threads": (lambda: list_of(Thread), 5),
    "threads of a resource or with its name": (lambda: list_of(Thread, q="ann"), 9),
    "messages": (lambda: list_of(Message), 4),
    "messages with words": (lambda: list_of(Message, q="Rosebud"), 7),
    "working memory": (lambda: list_of(WorkingMemory), 4),
    "facts": (lambda: list_of(Fact), 3),
    "facts of a resource": (lambda: view("resource_facts", resource_id="ann"), 1),
    "fact": (lambda: page_of(first(Fact)), 6),
    "state items": (lambda: list_of(StateItem), 3),
    "state of a resource": (lambda: list_of(StateItem, q="ann/prefs"), 3),
    "entities": (lambda: list_of(Entity), 4),
    "records": (lambda: list_of(Record), 5),
    "records with words": (lambda: list_of(Record, q="Rosebud"), 9),
    "sync runs": (lambda: list_of(SyncRun, status="failed"), 4),
    "vector indexes": (lambda: list_of(VectorIndex), 4),
    "embeddings": (lambda: list_of(Embedding), 3),
    "thread": (lambda: page_of(Thread.objects.get(id="chat/1")), 6),
    "context window": (lambda: view("context", "chat/1"), 7),
    "context before": (lambda: view("context", "chat/1", before=3), 8),
    "resources": (lambda: view("resources"), 1),
    "resource": (lambda: view("resources", resource_id="ann"), 9),
    "message": (lambda: page_of(first(Message)), 4),
    "memory": (lambda: page_of(WorkingMemory.objects.get(thread="chat/1")), 3),
    "state item": (lambda: page_of(first(StateItem)), 2),
    "entity": (lambda: page_of(first(Entity)), 4),
    "records of an entity": (lambda: view("download", first(Entity).pk, format="csv"), 5),
    "changes": (lambda: view("changes", first(Entity).pk), 3),
    "record": (lambda: page_of(first(Record)), 7),
    "changes of a day": (changes_of_today, 5),
    "connections that changed": (lambda: view("changed_records"), 2),
    "syncs": (lambda: list_of(Sync), 4),
    "sync": (lambda: page_of(first(Sync)), 3),
    "run": (lambda: page_of(first(SyncRun)), 5),
    "progress of a run": (lambda: view("progress", first(SyncRun).pk), 3),
    "pages of a run": (lambda: list_of(SyncPage, run__id__exact=first(SyncRun).pk), 4),
    "page of a run": (lambda: page_of(first(SyncPage)), 3),
    "index": (lambda: page_of(VectorIndex.objects.get(name="docs")), 3),
    "embedding": (lambda: page_of(Embedding.objects.get(vector_id="a")), 8),
}


def first(model: Any) -> Any:
    return model.objects.order_by("pk").first()


def grow() -> None:
    """Store many more rows in every table."""
    for i in range(60):
        engine.memory.create_thread(resource_id="ann", thread_id=f"t{i:03}")
        engine.memory.update_working_memory(thread_id=f"t{i:03}", content="x")
        engine.state.put(namespace=("ann", "prefs"), key=f"k{i:03}", value={"a": "x"})
        engine.create_entity(name=f"E{i:03}", connection_id="crm-1")
    messages = [{"role": "user", "content": "Hi"}] * 120
    saved = engine.memory.save_memory(thread_id="chat/1", messages=messages)
    sources = [{"message_id": message.id} for message in saved]
    for i in range(60):
        fact = {"subject": SECRET, "predicate": SECRET, "object": f"x{i}", "sources": sources}
        engine.facts.remember(resource_id="ann", facts=[fact])
    run = SyncRun.objects.get()
    SyncRun.objects.bulk_create(
        SyncRun(
            **{
                name: getattr(run, name)
                for name in ("sync", "connection_id", "entity_id", "mode", "params", "created_at")
            },
            status="failed",
        )
        for _ in range(60)
    )
    SyncPage.objects.bulk_create(
        SyncPage(run=run, number=i, attempt=1, created=1, updated=0, unchanged=0, deleted=0)
        for i in range(2, 120)
    )
    records = [{"external_id": f"r{i:03}", "data": {"n": i}} for i in range(120)]
    engine.upsert_records(entity_id=run.entity_id, records=records)
    engine.vectors.upsert(index_name="docs", vectors=[[1, 0, i + 1] for i in range(120)])
    for i in range(5):
        engine.vectors.create_index(index_name=f"index {i}", dimension=3)


def test_a_page_sends_a_fixed_number_of_statements(owner: Client, store: dict[str, Any]) -> None:
    def sent(address: Callable[[], str]) -> tuple[list[str], int]:
        """Return the statements of a page, and the number that read the address's row."""
        return statements(lambda: owner.get(address())), len(statements(address))

    ContentType.objects.get_for_model(Entity)  # the admin's log remembers it
    engine.memory.update_working_memory(thread_id="chat/1", content="She likes sleds")
    few = {name: sent(address) for name, (address, _) in PAGES.items()}
    grow()
    for name, (address, expected) in PAGES.items():
        of_few, query = few[name]
        assert len(of_few) - query - WHO == expected, f"{name}: {of_few}"
        of_many, _ = sent(address)
        assert len(of_many) == len(of_few), f"{name}: {of_many}"


def test_nothing_is_counted_beyond_a_limit(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "COUNTED", 100)
    records = [{"external_id": f"r{i:03}", "data": {}} for i in range(260)]
    engine.sync_records(name="Many", connection_id="c", records=records)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mastra_engine_record")
    paginator = BoundedPaginator(Record.objects.order_by("id"), 50)
    sent = statements(lambda: paginator.count)
    assert "LIMIT 101" in sent[0]
    assert sent[1].startswith("EXPLAIN")
    assert paginator.count == 260
    assert paginator.num_pages == 2  # of those that are counted
    assert len(paginator.page(2).object_list) == 50


def test_few_rows_are_counted_exactly(db: None) -> None:
    paginator = BoundedPaginator(Record.objects.order_by("id"), 50)
    assert (paginator.count, paginator.num_pages) == (0, 1)


@pytest.mark.parametrize(("number", "seen"), [(7, 7), (101, 100), (1_234_567, 1_200_000)])
def test_an_estimate_is_rounded(number: int, seen: int) -> None:
    assert rounded(number) == seen


def test_lists_filter_by_allowed_parameters_only(owner: Client, store: dict[str, Any]) -> None:
    foreseen = {"resource_id__exact": "ann"}
    assert owner.get(list_of(Thread), foreseen).status_code == 200
    for lookup in ("title__startswith", "metadata__topic", "messages__text__contains", "id__gt"):
        assert owner.get(list_of(Thread), {lookup: "R"}).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        lambda: list_of(Thread, q="chat"),
        lambda: list_of(SyncPage, run__id__exact=first(SyncRun).pk),
        lambda: view("resources"),
        lambda: view("resources", q="an", after="am"),
        lambda: view("resources", resource_id="ann"),
        lambda: page_of(first(Fact)),
    ],
    ids=["threads", "pages of a run", "resources", "more resources", "a resource", "a fact"],
)
def test_searches_use_indexes(
    owner: Client, store: dict[str, Any], address: Callable[[], str]
) -> None:
    sent = statements(lambda: owner.get(address()))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # of small tables it is the best plan
    # test_fact_plans.py explains the engine's own statements, which have parameters.
    own = [
        sql for sql in sent if "mastra_engine_" in sql and not {"EXPLAIN", "$1"} & set(sql.split())
    ]
    plans = [plan_of(sql) for sql in own]
    assert plans
    for node in (node for plan in plans for node in plan):
        assert node["Node Type"] != "Seq Scan", node


def test_search_of_working_memory_uses_the_index_on_its_resource(
    owner: Client, store: dict[str, Any]
) -> None:
    WorkingMemory.objects.bulk_create(
        WorkingMemory(resource_id=f"r{i}", data={}, version=1) for i in range(2_000)
    )
    sent = statements(lambda: owner.get(list_of(WorkingMemory, q="an")))
    search = next(sql for sql in sent if "LIKE" in sql)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mastra_engine_workingmemory")
    used = {node.get("Index Name") for node in plan_of(search)} - {None}
    assert used == {"mastra_engine_memory_resource"}


def test_threads_of_a_resource_are_summed_up_to_a_limit(
    owner: Client, store: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    grow()
    assert "<dt>Tokens</dt>" in owner.get(view("resources", resource_id="ann")).content.decode()
    monkeypatch.setattr(paging, "COUNTED", 50)
    monkeypatch.setattr(memory, "COUNTED", 50)
    page = owner.get(view("resources", resource_id="ann")).content.decode()
    assert "more than 50" in page
    assert "<dt>Tokens</dt>" not in page
