"""When records are indexed, and the unlucky moments of it, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import override_settings

from mastra_engine import engines
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Embedding, IndexProgress
from mastra_engine.registry import index_records, registry, sync
from mastra_engine.testing.contract.recall import BagOfWords, Broken
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import Entity
from mastra_engine.validation.vectors import matrix, vector_rows
from tests.integration.conftest import Elsewhere, record
from tests.integration.interleaving import just_before
from tests.integration.queries import plan_of, statements
from tests.integration.test_sync_runs import dummy

pytestmark = pytest.mark.django_db(transaction=True)

NAME = {"name": "Notes", "connection_id": "crm"}
CLAIM, STORE, DELETE, PUT = '"claimed_until" = (', 'SET "rev" = ', "ctid = ANY", "COPY"


class Watchful(BagOfWords):
    """Notes whether it was called within a transaction."""

    def __init__(self) -> None:
        self.within: list[bool] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.within.append(connection.in_atomic_block)
        return super().embed_documents(texts)


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    with registry.empty():
        index_records(entity="Notes", index="notes", text=lambda data: data["text"])
        yield


@pytest.fixture
def embedder() -> Watchful:
    return Watchful()


@pytest.fixture
def engine(transactional_db: None, embedder: Watchful) -> PostgresEngine:
    engine = PostgresEngine(embedder=embedder)
    engine.prepare_indexes()
    return engine


@pytest.fixture
def others(other: PostgresEngine) -> PostgresEngine:
    """Somebody else's engine."""
    other.vectors.embedder = BagOfWords()
    other.record_search.indexes_at_once = False
    return other


def write(engine: Any, **texts: str) -> Entity:
    records = [record(id, text=text) for id, text in texts.items()]
    return engine.sync_records(**NAME, records=records).entity  # type: ignore[no-any-return]


def chunks() -> set[str | None]:
    return set(Embedding.objects.values_list("document", flat=True))


# When


def test_what_is_written_is_indexed_after_the_commit(
    engine: PostgresEngine, embedder: Watchful
) -> None:
    with transaction.atomic():
        write(engine, a="one", b="two")
        engine.delete_records(entity_id=write(engine, c="three").id, external_ids=["b"])
        assert chunks() == set()
    assert chunks() == {"one", "three"}
    assert set(embedder.within) == {False}


def test_what_is_rolled_back_is_not_indexed(engine: PostgresEngine, embedder: Watchful) -> None:
    with transaction.atomic():
        write(engine, a="one")
        transaction.set_rollback(True)
    assert embedder.within == []


def test_what_did_not_change_is_not_looked_at(engine: PostgresEngine, embedder: Watchful) -> None:
    write(engine, a="one")
    del embedder.within[:]
    assert write(engine, a="one").rev == 1
    assert embedder.within == []


def test_a_declared_sync_is_indexed_page_by_page(
    engine: PostgresEngine, embedder: Watchful
) -> None:
    sync(entity="Notes", name="notes")(
        lambda ctx: [[record("a", text="one")], [record("b", text="two")]]
    )
    assert engine.run_sync("notes", connection_id="crm").status == "succeeded"
    assert chunks() == {"one", "two"}
    assert embedder.within == [False, False]


def test_a_dry_run_is_not_indexed(engine: PostgresEngine, embedder: Watchful) -> None:
    sync(entity="Notes", name="notes")(lambda ctx: [[record("a", text="one")]])
    engine.run_sync("notes", connection_id="crm", dry_run=True)
    assert embedder.within == []


def test_a_failure_does_not_reach_whoever_writes(engine: PostgresEngine, caplog: Any) -> None:
    engine.vectors.embedder = Broken()
    write(engine, a="one")
    assert "Indexing of 'Notes' of 'crm' is pending" in caplog.messages
    engine.vectors.embedder = BagOfWords()
    write(engine, b="two")
    assert chunks() == {"one", "two"}


def test_a_queue_that_is_away_does_not_reach_whoever_writes(
    engine: PostgresEngine, caplog: Any
) -> None:
    class Away(Held):
        def index(self, entity_id: Any) -> None:
            raise ConnectionError

    engine.queue = Away()
    write(engine, a="one")
    assert "Indexing of 'Notes' of 'crm' is pending" in caplog.messages


def test_tasks_do_it_where_they_are_set_up() -> None:
    from mastra_engine.tasks import index_entity

    path = f"{BagOfWords.__module__}.{BagOfWords.__qualname__}"
    backend = {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": path}
    with override_settings(MASTRA_ENGINE={"default": backend}), dummy():
        entity = write(engines["default"], a="one")
        (task,) = index_entity.get_backend().results
        assert (list(task.args), task.kwargs) == (["default", str(entity.id)], {})
        assert chunks() == set()
        task.task.call(*task.args)
        task.task.call(*task.args)
        assert chunks() == {"one"}
        engines["default"].delete_entity_by_id(id=entity.id)
        task.task.call(*task.args)


# Unlucky moments


@pytest.mark.parametrize("moment", [CLAIM, "lock_timeout", STORE])
def test_an_entity_deleted_while_it_is_indexed_leaves_nothing(
    engine: PostgresEngine, others: PostgresEngine, moment: str
) -> None:
    engine.record_search.indexes_at_once = False
    entity = write(engine, a="one")
    with just_before(moment, lambda: others.delete_entity_by_id(id=entity.id)):
        assert engine.index_pending() == 0
    assert chunks() == set()
    assert not IndexProgress.objects.exists()


@pytest.mark.parametrize("moment", [CLAIM, "lock_timeout", STORE])
@pytest.mark.parametrize("name", ["delete_index", "truncate_index"])
def test_an_index_emptied_while_it_is_filled_is_filled_again(
    engine: PostgresEngine, others: PostgresEngine, moment: str, name: str
) -> None:
    engine.record_search.indexes_at_once = False
    write(engine, a="one")
    empty = getattr(others.vectors, name)
    with just_before(moment, lambda: empty(index_name="notes")):
        engine.index_pending()
    engine.index_pending()
    assert chunks() == {"one"}


@pytest.mark.parametrize("moment", [CLAIM, "lock_timeout", STORE])
def test_a_record_changed_while_it_is_indexed_ends_as_it_is(
    engine: PostgresEngine, others: PostgresEngine, moment: str
) -> None:
    engine.record_search.indexes_at_once = False
    write(engine, a="one", b="two")
    with just_before(moment, lambda: write(others, a="new")):
        engine.index_pending()
    assert chunks() == {"new", "two"}


def test_the_slower_of_two_indexers_writes_nothing(
    engine: PostgresEngine, others: PostgresEngine
) -> None:
    engine.record_search.indexes_at_once = False
    engine.record_search.lease_seconds = -1.0  # its claim is over at once
    write(engine, a="one")

    def overtake() -> None:
        write(others, a="new")
        assert others.index_pending() == 1

    with just_before("lock_timeout", overtake):
        assert engine.index_pending() == 0
    assert chunks() == {"new"}


@pytest.mark.parametrize("name", ["delete_entity_by_id", "erase"])
def test_a_deletion_waits_for_whoever_stores_chunks(
    engine: PostgresEngine, elsewhere: Elsewhere, name: str
) -> None:
    engine.record_search.indexes_at_once = False
    entity = write(engine, a="one")
    hasty = elsewhere(lock_timeout=0.1, statement_timeout="3s")
    delete: Any = {
        "delete_entity_by_id": lambda: hasty.delete_entity_by_id(id=entity.id),
        "erase": lambda: hasty.erase(connection_id="crm"),
    }[name]

    def refused() -> None:
        with pytest.raises(Unavailable):
            delete()

    with just_before(DELETE, refused):
        engine.index_pending()
    assert chunks() == {"one"}
    delete()
    assert chunks() == set()


def test_a_failure_while_storing_takes_everything_back(
    engine: PostgresEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.record_search.indexes_at_once = False
    write(engine, a="one")
    engine.index_pending()
    write(engine, a="new")
    monkeypatch.setattr(engine.vectors.store, "put", _refuse)
    with pytest.raises(ZeroDivisionError):
        engine.index_pending()
    assert chunks() == {"one"}
    monkeypatch.undo()
    assert engine.index_pending() == 1
    assert chunks() == {"new"}


def _refuse(*_: Any, **__: Any) -> None:
    raise ZeroDivisionError


def test_indexing_may_be_part_of_a_transaction(engine: PostgresEngine) -> None:
    engine.record_search.indexes_at_once = False
    write(engine, a="one")
    with transaction.atomic():
        assert engine.index_pending() == 1
        assert engine.search_records(query="one", connection_id="crm")[0].text == "one"
        transaction.set_rollback(True)
    assert chunks() == set()
    assert engine.index_pending() == 1


def test_searching_for_what_was_deleted_since(
    engine: PostgresEngine, others: PostgresEngine
) -> None:
    entity = write(engine, a="one", b="one two")

    def delete() -> None:
        others.delete_records(entity_id=entity.id, external_ids=["a"])

    with just_before("FROM mastra_engine_record", delete):
        matches = engine.search_records(query="one", connection_id="crm", hybrid=False)
    assert [match.record.external_id for match in matches] == ["b"]


@pytest.mark.parametrize("is_known", [False, True], ids=["nothing known", "all known"])
def test_what_is_gone_is_found_by_the_index_on_ids(engine: PostgresEngine, is_known: bool) -> None:
    """Whatever is known of the tables: compared each with each, many take for ever."""
    entity = write(engine, **{f"n{i}": f"word {i}" for i in range(2_000)})
    engine.delete_records(entity_id=entity.id, external_ids=["n0"])
    engine.record_search.indexes_at_once = False
    engine.delete_records(entity_id=entity.id, external_ids=["n1"])
    engine.purge_deleted_records(entity_id=entity.id, up_to_rev=2_002)
    index = engine.vectors.indexes.require("notes")
    foreign = vector_rows(
        matrix([[1.0] * index.dimension], index),
        ids=["x"],
        documents=["x"],
        metadata=[{"@entity_id": str(entity.id)}],
        reserved=True,
    )
    engine.vectors.store.put(index, "crm", foreign, generated=False)
    if is_known:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE mastra_engine_record")
    (sql,) = [sql for sql in statements(engine.index_pending) if "NOT EXISTS" in sql]
    assert "mastra_engine_record_pkey" in {node.get("Index Name") for node in plan_of(sql)}
    assert chunks() == {f"word {i}" for i in range(2, 2_000)}
