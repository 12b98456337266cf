"""A scoped engine shows no records, syncs, runs and vectors outside its scope."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    EntityNotFound,
    IndexNotFound,
    InvalidInput,
    NotFound,
    SyncNotFound,
)
from mastra_engine.registry import registry
from mastra_engine.registry import sync as declare
from mastra_engine.testing.contract.threads import ids
from mastra_engine.types import Page

RECORD = {"external_id": "1", "data": {"of": "bob"}}
NAMED: Any = {"name": "Contacts", "connection_id": "bob"}
BY_NAME: Any = {"entity_name": "Contacts", "connection_id": "bob"}

#: Every method that is about an entity, called with the id of bob's.
ABOUT_AN_ENTITY: dict[str, Callable[[MastraEngine, Any], Any]] = {
    "get_entity_by_id": lambda e, id: e.get_entity_by_id(id=id),
    "delete_entity_by_id": lambda e, id: e.delete_entity_by_id(id=id),
    "upsert_records": lambda e, id: e.upsert_records(entity_id=id, records=[RECORD]),
    "upsert_records, nothing": lambda e, id: e.upsert_records(entity_id=id, records=[]),
    "get_records_by_entity_id": lambda e, id: e.get_records_by_entity_id(entity_id=id),
    "get_record": lambda e, id: e.get_record(entity_id=id, external_id="1"),
    "get_record, unknown": lambda e, id: e.get_record(entity_id=id, external_id="2"),
    "delete_records": lambda e, id: e.delete_records(entity_id=id, external_ids=["1"]),
    "purge_deleted_records": lambda e, id: e.purge_deleted_records(entity_id=id, up_to_rev=9),
    "get_changes": lambda e, id: e.get_changes(entity_id=id),
    "follow_changes": lambda e, id: e.follow_changes(entity_id=id, timeout=0),
}

#: Every method that is about a connection, called with bob's.
ABOUT_A_CONNECTION: dict[str, Callable[[MastraEngine], Any]] = {
    "create_entity": lambda e: e.create_entity(**NAMED),
    "create_entity, new": lambda e: e.create_entity(name="New", connection_id="bob"),
    "get_or_create_entity": lambda e: e.get_or_create_entity(**NAMED),
    "upsert_records": lambda e: e.upsert_records(
        entity_type="Contacts", connection_id="bob", records=[RECORD]
    ),
    "get_records_by_entity_name": lambda e: e.get_records_by_entity_name(**NAMED),
    "get_records": lambda e: e.get_records(**BY_NAME),
    "iter_records": lambda e: e.iter_records(**BY_NAME),
    "count_records": lambda e: e.count_records(**BY_NAME),
    "sync_records": lambda e: e.sync_records(**NAMED, records=[RECORD]),
    "sync_records, new": lambda e: e.sync_records(name="New", connection_id="bob", records=[]),
    "search_records": lambda e: e.search_records(query="bob", connection_id="bob"),
    "run_sync": lambda e: e.run_sync("contacts", connection_id="bob"),
    "run_sync, dry": lambda e: e.run_sync("contacts", connection_id="bob", dry_run=True),
    "enqueue_sync": lambda e: e.enqueue_sync("contacts", connection_id="bob"),
    "erase": lambda e: e.erase(connection_id="bob"),
    "erase, dry": lambda e: e.erase(connection_id="bob", dry_run=True),
}

#: Every method that is about a run, called with the id of bob's.
ABOUT_A_RUN: dict[str, Callable[[MastraEngine, Any], Any]] = {
    "get_sync_run": lambda e, id: e.get_sync_run(id=id),
    "cancel_sync_run": lambda e, id: e.cancel_sync_run(id=id),
    "retry_sync_run": lambda e, id: e.retry_sync_run(id=id),
    "perform_sync_run": lambda e, id: e.perform_sync_run(id=id),
    "list_sync_pages": lambda e, id: e.list_sync_pages(run_id=id),
    "get_sync_log": lambda e, id: e.get_sync_log(run_id=id),
}

#: Every method that is about a sync, called with bob's.
ABOUT_A_SYNC: dict[str, Callable[[MastraEngine], Any]] = {
    "get_sync": lambda e: e.get_sync("contacts", connection_id="bob"),
    "pause_sync": lambda e: e.pause_sync("contacts", connection_id="bob"),
    "resume_sync": lambda e: e.resume_sync("contacts", connection_id="bob"),
    "reset_sync": lambda e: e.reset_sync("contacts", connection_id="bob"),
}

#: Every method that is about a namespace, called with bob's.
ABOUT_A_NAMESPACE: dict[str, Callable[[MastraEngine], Any]] = {
    "upsert": lambda e: e.vectors.upsert(index_name="docs", vectors=[[1, 0]], namespace="bob"),
    "upsert, none": lambda e: e.vectors.upsert(index_name="docs", vectors=[[1, 0]]),
    "update_vector": lambda e: e.vectors.update_vector(
        index_name="docs", id="b", metadata={}, namespace="bob"
    ),
    "delete_vectors": lambda e: e.vectors.delete_vectors(
        index_name="docs", ids=["b"], namespace="bob"
    ),
    "get_vectors": lambda e: e.vectors.get_vectors(index_name="docs", ids=["b"], namespace="bob"),
    "list_vectors": lambda e: e.vectors.list_vectors(index_name="docs", namespace="bob"),
    "count_vectors": lambda e: e.vectors.count_vectors(index_name="docs", namespace="bob"),
    "query": lambda e: e.vectors.query(index_name="docs", query_vector=[1, 0], namespace="bob"),
}


class TestConfinedEngine:
    @pytest.fixture(autouse=True)
    def _declared(self) -> Iterator[None]:
        with registry.empty():
            declare(entity="Contacts", name="contacts")(lambda ctx: [[RECORD]])
            yield

    @pytest.fixture
    def confined(self, engine: MastraEngine) -> MastraEngine:
        """Alice's engine, where bob has all of it too."""
        engine.sync_records(**NAMED, records=[RECORD])
        engine.sync_records(name="Contacts", connection_id="alice", records=[])
        engine.run_sync("contacts", connection_id="bob")
        engine.vectors.create_index(index_name="docs", dimension=2)
        engine.vectors.upsert(
            index_name="docs",
            vectors=[[1, 0]],
            ids=["b"],
            documents=["of bob"],
            metadata=[{"kind": "text"}],
            namespace="bob",
        )
        mine = ["alice", "carol"]
        return engine.within(resource_ids=mine, connection_ids=mine, namespaces=mine)

    def bobs_entity(self, engine: MastraEngine) -> Any:
        return engine.list_entities(connection_id="bob").items[0].id

    def bobs_run(self, engine: MastraEngine) -> Any:
        return engine.list_sync_runs(connection_id="bob").items[0].id

    def all_of_it(self, engine: MastraEngine) -> Any:
        entities = engine.list_entities().items
        return (
            entities,
            [engine.get_changes(entity_id=entity.id) for entity in entities],
            engine.list_sync_runs(),
            engine.list_syncs(),
            engine.vectors.query(index_name="docs", query_vector=[1, 0], include_vector=True),
        )

    @pytest.mark.parametrize("method", ABOUT_AN_ENTITY)
    def test_entities_out_of_scope_are_not_found(
        self, engine: MastraEngine, confined: MastraEngine, method: str
    ) -> None:
        before = self.all_of_it(engine)
        with pytest.raises(EntityNotFound):
            ABOUT_AN_ENTITY[method](confined, self.bobs_entity(engine))
        assert self.all_of_it(engine) == before

    @pytest.mark.parametrize("method", ABOUT_A_CONNECTION)
    def test_connections_out_of_scope_are_not_found(
        self, engine: MastraEngine, confined: MastraEngine, method: str
    ) -> None:
        before = self.all_of_it(engine)
        with pytest.raises(EntityNotFound):
            ABOUT_A_CONNECTION[method](confined)
        assert self.all_of_it(engine) == before

    @pytest.mark.parametrize("method", ABOUT_A_RUN)
    def test_runs_out_of_scope_are_not_found(
        self, engine: MastraEngine, confined: MastraEngine, method: str
    ) -> None:
        before = self.all_of_it(engine)
        with pytest.raises(SyncNotFound):
            ABOUT_A_RUN[method](confined, self.bobs_run(engine))
        assert self.all_of_it(engine) == before

    @pytest.mark.parametrize("method", ABOUT_A_SYNC)
    def test_syncs_out_of_scope_are_not_found(
        self, engine: MastraEngine, confined: MastraEngine, method: str
    ) -> None:
        before = self.all_of_it(engine)
        with pytest.raises(NotFound):
            ABOUT_A_SYNC[method](confined)
        assert self.all_of_it(engine) == before

    @pytest.mark.parametrize("method", ABOUT_A_NAMESPACE)
    def test_namespaces_out_of_scope_are_not_found(
        self, engine: MastraEngine, confined: MastraEngine, method: str
    ) -> None:
        before = self.all_of_it(engine)
        with pytest.raises(NotFound):
            ABOUT_A_NAMESPACE[method](confined)
        assert self.all_of_it(engine) == before

    def test_lists_leave_out_rows_out_of_scope(self, confined: MastraEngine) -> None:
        assert [entity.connection_id for entity in confined.list_entities()] == ["alice"]
        assert confined.list_entities(connection_id="bob") == Page([])
        assert confined.get_entity(connection_id="bob") is None
        result = confined.get_entity(name="Contacts")  # bob's of that name does not make it two
        assert result is not None
        assert result.connection_id == "alice"
        assert confined.list_sync_runs() == Page([])
        assert confined.list_sync_runs(connection_id="bob") == Page([])
        assert confined.list_syncs() == Page([])
        assert confined.list_syncs(connection_id="bob") == Page([])

    def test_searches_leave_out_rows_out_of_scope(
        self, engine: MastraEngine, confined: MastraEngine
    ) -> None:
        docs: Any = {"index_name": "docs"}
        assert confined.vectors.query(**docs, query_vector=[1, 0]) == []
        confined.vectors.upsert(**docs, vectors=[[1, 0]], ids=["a"], namespace="alice")
        confined.vectors.upsert(**docs, vectors=[[1, 1]], ids=["c"], namespace="carol")
        assert ids(confined.vectors.query(**docs, query_vector=[1, 0])) == ["a", "c"]
        listed = confined.vectors.list_vectors(**docs, namespace=None)
        assert [row.id for row in listed] == ["a", "c"]
        assert confined.vectors.count_vectors(**docs, namespace=None) == 2
        everything: Any = {"filter": {"kind": {"$exists": True}}, "namespace": None}
        assert confined.vectors.delete_vectors(**docs, **everything) == 0
        assert confined.vectors.delete_vectors(**docs, ids=["a", "b"], namespace=None) == 1
        assert ids(engine.vectors.query(**docs, query_vector=[1, 0])) == ["b", "c"]

    def test_ones_own_is_all_there(self, confined: MastraEngine) -> None:
        assert confined.create_entity(name="Notes", connection_id="carol").rev == 0
        run = confined.run_sync("contacts", connection_id="alice")
        assert (run.status, run.created) == ("succeeded", 1)
        assert confined.get_sync_run(id=run.id) == run
        assert confined.get_record(entity_id=run.entity_id, external_id="1").data == {"of": "bob"}
        assert confined.delete_entity_by_id(id=run.entity_id).connection_id == "alice"

    def test_a_scope_can_only_be_narrowed(
        self, engine: MastraEngine, confined: MastraEngine
    ) -> None:
        narrower = confined.within(connection_ids=["bob", "alice"], namespaces=["bob"])
        assert [entity.connection_id for entity in narrower.list_entities()] == ["alice"]
        with pytest.raises(EntityNotFound):
            narrower.get_or_create_entity(name="Notes", connection_id="carol")
        assert narrower.vectors.query(index_name="docs", query_vector=[1, 0]) == []
        assert confined.within(connection_ids=[]).list_entities() == Page([])
        assert len(engine.list_entities()) == 2

    def test_scopes_are_independent(self, engine: MastraEngine, confined: MastraEngine) -> None:
        of_memory = engine.within(resource_ids=["alice"])
        assert len(of_memory.list_entities()) == 2
        assert len(of_memory.vectors.query(index_name="docs", query_vector=[1, 0])) == 1
        with pytest.raises(NotFound):
            of_memory.memory.list_threads(resource_id="bob")
        with pytest.raises(NotFound):
            of_memory.erase(resource_id="bob")
        with pytest.raises(NotFound):
            of_memory.export_resource(resource_id="bob")
        assert engine.within(namespaces=["x"]).memory.list_threads(resource_id="bob") == Page([])

    @pytest.mark.parametrize("value", ["alice", 7, [None], ["\0"]])
    @pytest.mark.parametrize("what", ["resource_ids", "connection_ids", "namespaces"])
    def test_scopes_are_lists_of_names(self, engine: MastraEngine, what: str, value: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.within(**{what: value})
        assert caught.value.path.startswith(f"/{what}")

    def test_a_namespace_may_be_empty(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="docs", dimension=2)
        unnamed = engine.within(namespaces=[""]).vectors
        unnamed.upsert(index_name="docs", vectors=[[1, 0]], ids=["a"])
        assert ids(unnamed.query(index_name="docs", query_vector=[1, 0])) == ["a"]

    def test_an_index_is_truncated_in_scope_only(self, engine: MastraEngine) -> None:
        vectors = engine.vectors
        vectors.create_index(index_name="docs", dimension=2)
        for space in ("", "ann", "bob"):
            vectors.upsert(index_name="docs", vectors=[[1, 0]], ids=[space or "-"], namespace=space)
        engine.within(namespaces=["ann", "cleo"]).vectors.truncate_index(index_name="docs")
        assert ids(vectors.query(index_name="docs", query_vector=[1, 0])) == ["-", "bob"]
        engine.within(namespaces=[]).vectors.truncate_index(index_name="docs")
        assert vectors.describe_index(index_name="docs").count == 2
        vectors.truncate_index(index_name="docs")
        assert vectors.describe_index(index_name="docs").count == 0
        with pytest.raises(IndexNotFound):
            engine.within(namespaces=["ann"]).vectors.truncate_index(index_name="nowhere")
