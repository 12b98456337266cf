"""The contract of records."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    EntityNotFound,
    InvalidInput,
    RecordNotFound,
)
from mastra_engine.testing.hostile import (
    DOCUMENTS,
    TEXTS,
    TOO_DEEP,
    UNFIT_NAMES,
    UNFIT_VALUES,
    Kept,
    Refused,
)
from mastra_engine.types import Entity, Record, RecordInput, RecordLike, UpsertResult
from mastra_engine.validation.inputs import CHUNK_RECORDS

Rows = dict[str, dict[str, Any]]


def inputs(rows: Rows) -> list[RecordInput]:
    """Return {external_id: data} as records."""
    return [RecordInput(external_id, data) for external_id, data in rows.items()]


def stored(engine: MastraEngine, entity: Entity) -> Rows:
    """Return the live records of an entity as {external_id: data}."""
    records = engine.get_records_by_entity_id(entity_id=entity.id)
    return {record.external_id: record.data for record in records}


def by_name(entries: list[Any]) -> pytest.MarkDecorator:
    """Parametrize over a hostile corpus."""
    return pytest.mark.parametrize("hostile", entries, ids=lambda entry: entry.name)


class WithContacts:
    """Tests that begin with one empty entity."""

    @pytest.fixture
    def contacts(self, engine: MastraEngine) -> Entity:
        return engine.create_entity(name="Contacts", connection_id="user_123")


class TestRecords(WithContacts):
    def test_insert_and_read(self, engine: MastraEngine, contacts: Entity) -> None:
        rows: list[RecordLike] = [
            {"externalId": "c1", "data": {"name": "Alice"}, "entityType": "Contacts"},
            RecordInput("c2", {"name": "Bob"}),
        ]
        result = engine.upsert_records(entity_id=contacts.id, records=rows)
        assert result == UpsertResult(created=2, updated=0, unchanged=0)
        alice, bob = engine.get_records_by_entity_id(entity_id=contacts.id)
        assert (alice.external_id, alice.data) == ("c1", {"name": "Alice"})
        assert (alice.entity_id, alice.entity_type) == (contacts.id, "Contacts")
        assert alice.deleted_at is None
        assert alice.created_at == alice.updated_at
        assert 0 < alice.rev < bob.rev == engine.get_entity_by_id(id=contacts.id).rev
        by_name = engine.get_records_by_entity_name(name="Contacts", connection_id="user_123")
        assert by_name == [alice, bob]
        assert engine.get_record(entity_id=contacts.id, external_id="c2") == bob

    def test_the_entity_may_be_named_by_type(self, engine: MastraEngine, contacts: Entity) -> None:
        target: dict[str, Any] = {"entity_type": "Contacts", "connection_id": "user_123"}
        engine.upsert_records(records=inputs({"c1": {}}), **target)
        assert stored(engine, contacts) == {"c1": {}}
        with pytest.raises(EntityNotFound):
            engine.upsert_records(records=[], entity_type="Deals", connection_id="user_123")
        with pytest.raises(InvalidInput):
            engine.upsert_records(records=[], entity_id=contacts.id, **target)
        with pytest.raises(InvalidInput):
            engine.upsert_records(records=[], entity_type="Contacts")

    def test_unknown_entities(self, engine: MastraEngine) -> None:
        of: dict[str, Any] = {"connection_id": "user_123"}
        for call in (
            lambda: engine.get_records_by_entity_id(entity_id=uuid4()),
            lambda: engine.get_records_by_entity_name(name="Deals", **of),
            lambda: engine.get_records(entity_name="Deals", **of),
            lambda: engine.iter_records(entity_name="Deals", **of),
            lambda: engine.count_records(entity_name="Deals", **of),
            lambda: engine.get_record(entity_id=uuid4(), external_id="c1"),
            lambda: engine.upsert_records(entity_id=uuid4(), records=[]),
            lambda: engine.delete_records(entity_id=uuid4(), external_ids=["c1"]),
            lambda: engine.purge_deleted_records(entity_id=uuid4(), up_to_rev=1),
            lambda: engine.get_changes(entity_id=uuid4()),
        ):
            with pytest.raises(EntityNotFound):
                call()

    def test_replace_is_the_default(self, engine: MastraEngine, contacts: Entity) -> None:
        engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {"a": 1, "b": 2}}))
        before = engine.get_record(entity_id=contacts.id, external_id="c1")
        result = engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {"b": 3}}))
        after = engine.get_record(entity_id=contacts.id, external_id="c1")
        assert result == UpsertResult(created=0, updated=1, unchanged=0)
        assert after.data == {"b": 3}
        assert (after.id, after.created_at) == (before.id, before.created_at)
        assert after.rev > before.rev
        assert after.updated_at >= before.updated_at

    def test_merge_is_of_top_level_keys(self, engine: MastraEngine, contacts: Entity) -> None:
        self.merge(engine, contacts, {"c1": {"a": 1, "deep": {"x": 1}}})
        result = self.merge(engine, contacts, {"c1": {"b": 2, "deep": {"y": 2}}, "c2": {"a": 1}})
        assert result == UpsertResult(created=1, updated=1, unchanged=0)
        assert stored(engine, contacts) == {
            "c1": {"a": 1, "b": 2, "deep": {"y": 2}},
            "c2": {"a": 1},
        }
        assert self.merge(engine, contacts, {"c1": {"a": 1}, "c2": {}}).unchanged == 2
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        self.merge(engine, contacts, {"c1": {"z": 1}})
        assert stored(engine, contacts)["c1"] == {"z": 1}

    def merge(self, engine: MastraEngine, entity: Entity, rows: Rows) -> UpsertResult:
        return engine.upsert_records(entity_id=entity.id, records=inputs(rows), mode="merge")

    @pytest.mark.parametrize("mode", ["replace", "merge"])
    def test_unchanged_records_are_not_written(
        self, engine: MastraEngine, contacts: Entity, mode: Any
    ) -> None:
        rows: Rows = {
            "c1": {"b": 1.5, "a": [1, None, {"x": "y"}]},
            "c2": {"big": 1e22, "large": 2.0**60},
        }
        engine.upsert_records(entity_id=contacts.id, records=inputs(rows))
        before = engine.get_records_by_entity_id(entity_id=contacts.id)
        reordered: Rows = {"c2": rows["c2"], "c1": {"a": [1, None, {"x": "y"}], "b": 1.5}}
        again = engine.upsert_records(entity_id=contacts.id, records=inputs(reordered), mode=mode)
        assert again == UpsertResult(created=0, updated=0, unchanged=2)
        assert engine.get_records_by_entity_id(entity_id=contacts.id) == before
        assert engine.get_entity_by_id(id=contacts.id).rev == before[-1].rev

    def test_the_last_of_one_id_wins(self, engine: MastraEngine, contacts: Entity) -> None:
        rows = [RecordInput("c1", {"n": 1}), RecordInput("c2", {}), RecordInput("c1", {"n": 2})]
        result = engine.upsert_records(entity_id=contacts.id, records=rows)
        assert result.created == 2
        assert stored(engine, contacts)["c1"] == {"n": 2}

    def test_a_generator_of_several_chunks(self, engine: MastraEngine, contacts: Entity) -> None:
        total = 2 * CHUNK_RECORDS + 1

        def many() -> Any:
            for i in range(total):
                yield {"external_id": f"{i:05}", "data": {"n": i}}
            yield {"external_id": "00000", "data": {"n": "last"}}

        engine.upsert_records(entity_id=contacts.id, records=many())
        rows = stored(engine, contacts)
        assert len(rows) == total
        assert rows["00000"] == {"n": "last"}
        assert engine.upsert_records(entity_id=contacts.id, records=iter([])) == UpsertResult()

    def test_a_broken_generator_changes_nothing(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        engine.upsert_records(entity_id=contacts.id, records=inputs({"old": {"n": 0}}))
        before = engine.get_entity_by_id(id=contacts.id)

        def broken() -> Any:
            for i in range(CHUNK_RECORDS + 1):
                yield RecordInput(f"{i}", {"n": i})
            raise ConnectionError("the CRM went away")

        with pytest.raises(ConnectionError):
            engine.upsert_records(entity_id=contacts.id, records=broken())
        assert stored(engine, contacts) == {"old": {"n": 0}}
        assert engine.get_entity_by_id(id=contacts.id) == before

    def test_records_come_in_byte_order(self, engine: MastraEngine, contacts: Entity) -> None:
        ids = [
            "b",
            "B",
            "a",
            "10",
            "9",
            "\u00e9",
            "e\u0301",
            "z",
            "\U0001f600",
            "\uffff",
            "_",
            "a ",
        ]
        engine.upsert_records(entity_id=contacts.id, records=inputs({id: {} for id in ids}))
        assert list(stored(engine, contacts)) == sorted(ids, key=str.encode)

    def test_callers_cannot_reach_into_the_store(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        data = {"tags": ["a"]}
        engine.upsert_records(entity_id=contacts.id, records=[RecordInput("c1", data)])
        data["tags"].append("b")
        engine.get_record(entity_id=contacts.id, external_id="c1").data["tags"].append("c")
        assert stored(engine, contacts) == {"c1": {"tags": ["a"]}}

    def test_connections_do_not_see_each_other(self, engine: MastraEngine) -> None:
        for connection in ("one", "two"):
            entity = engine.create_entity(name="Contacts", connection_id=connection)
            rows = inputs({"c1": {"of": connection}})
            engine.upsert_records(entity_id=entity.id, records=rows)
        (record,) = engine.get_records(entity_name="Contacts", connection_id="one")
        assert record.data == {"of": "one"}

    def test_delete_leaves_a_tombstone(self, engine: MastraEngine, contacts: Entity) -> None:
        engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {}, "c2": {}}))
        ids = ["c1", "c1", "nobody"]
        assert engine.delete_records(entity_id=contacts.id, external_ids=ids) == 1
        assert engine.delete_records(entity_id=contacts.id, external_ids=ids) == 0
        assert engine.delete_records(entity_id=contacts.id, external_ids=[]) == 0
        assert list(stored(engine, contacts)) == ["c2"]
        with pytest.raises(RecordNotFound):
            engine.get_record(entity_id=contacts.id, external_id="c1")

    def test_a_deleted_record_can_come_back(self, engine: MastraEngine, contacts: Entity) -> None:
        engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {"n": 1}}))
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        result = engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {"n": 1}}))
        assert result.created == 1
        assert stored(engine, contacts) == {"c1": {"n": 1}}

    def test_iter_reads_everything_once(self, engine: MastraEngine, contacts: Entity) -> None:
        rows = {f"{i:05}": {"n": i % 7} for i in range(4_100)}
        engine.upsert_records(entity_id=contacts.id, records=inputs(rows))
        where: dict[str, Any] = {"entity_name": "Contacts", "connection_id": "user_123"}
        assert [record.external_id for record in engine.iter_records(**where)] == list(rows)
        options = {"sort": [{"field": "n", "direction": "desc"}], "offset": 2, "limit": 4_050}
        page = engine.get_records(**where, options=options)
        assert list(engine.iter_records(**where, options=options)) == page.items

    def test_async_iteration(self, engine: MastraEngine, contacts: Entity) -> None:
        rows: Rows = {f"{i:04}": {} for i in range(2_100)}

        async def read() -> list[Record]:
            await engine.aupsert_records(entity_id=contacts.id, records=inputs(rows))
            where: dict[str, Any] = {"entity_name": "Contacts", "connection_id": "user_123"}
            return [record async for record in engine.aiter_records(**where)]

        assert [record.external_id for record in async_to_sync(read)()] == list(rows)

    # Bad input: a typed error that names the place, and nothing written.

    def refused(self, engine: MastraEngine, entity: Entity, records: Any, pointer: str) -> None:
        for mode in ("replace", "merge"):
            with pytest.raises(InvalidInput) as caught:
                engine.upsert_records(entity_id=entity.id, records=records, mode=mode)
            assert caught.value.path.startswith(pointer), caught.value.path
        with pytest.raises(InvalidInput):
            engine.sync_records(name="Contacts", connection_id="user_123", records=records)
        assert stored(engine, entity) == {}
        assert engine.get_entity_by_id(id=entity.id).rev == 0

    @by_name(UNFIT_NAMES)
    def test_invalid_external_ids_are_refused(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        records = [RecordInput("fine", {}), {"externalId": hostile.value, "data": {}}]
        self.refused(engine, contacts, records, "/records/1/external_id")
        for call in (
            lambda: engine.get_record(entity_id=contacts.id, external_id=hostile.value),
            lambda: engine.delete_records(entity_id=contacts.id, external_ids=[hostile.value]),
        ):
            with pytest.raises(InvalidInput):
                call()

    @by_name(UNFIT_VALUES)
    def test_values_that_jsonb_cannot_hold_are_refused(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        records = [RecordInput("fine", {}), RecordInput("bad", {"field": hostile.value})]
        with pytest.raises(InvalidInput) as caught:
            engine.upsert_records(entity_id=contacts.id, records=records)
        assert caught.value.path == f"/records/1/data/field{hostile.pointer}"
        self.refused(engine, contacts, records, "/records/1/data/field")

    @by_name(TOO_DEEP)
    def test_refuses_deep_nesting(
        self, engine: MastraEngine, contacts: Entity, hostile: Refused
    ) -> None:
        self.refused(engine, contacts, [RecordInput("c1", hostile.value)], "/records/0/data/a/a")

    def test_refuses_circles(self, engine: MastraEngine, contacts: Entity) -> None:
        circle: dict[str, Any] = {}
        circle["self"] = circle
        self.refused(engine, contacts, [RecordInput("c1", circle)], "/records/0/data/self")

    @pytest.mark.parametrize(
        ("records", "pointer"),
        [
            (None, "/records"),
            ("c1", "/records"),
            ({"external_id": "c1", "data": {}}, "/records"),
            ([None], "/records/0"),
            (["c1"], "/records/0"),
            ([{"data": {}}], "/records/0/external_id"),
            ([{"external_id": "c1"}], "/records/0/data"),
            ([{"external_id": "c1", "data": None}], "/records/0/data"),
            ([{"external_id": "c1", "data": []}], "/records/0/data"),
            ([{"external_id": "c1", "data": "{}"}], "/records/0/data"),
            ([{"external_id": "c1", "data": {}, "rev": 5}], "/records/0/rev"),
            ([{"external_id": "c1", "externalId": "c2", "data": {}}], "/records/0/externalId"),
            ([{"external_id": "c1", "data": {}, "entityType": "Deals"}], "/records/0/entity_type"),
        ],
    )
    def test_invalid_records_are_refused(
        self, engine: MastraEngine, contacts: Entity, records: Any, pointer: str
    ) -> None:
        self.refused(engine, contacts, records, pointer)

    def test_one_bad_record_late_stops_everything(
        self, engine: MastraEngine, contacts: Entity
    ) -> None:
        position = CHUNK_RECORDS + 3
        records = [RecordInput(f"{i:05}", {}) for i in range(position)]
        self.refused(
            engine, contacts, [*records, RecordInput("", {})], f"/records/{position}/external_id"
        )

    def test_refuses_other_modes(self, engine: MastraEngine, contacts: Entity) -> None:
        with pytest.raises(InvalidInput):
            engine.upsert_records(entity_id=contacts.id, records=[], mode="append")  # type: ignore[arg-type]

    @by_name(DOCUMENTS)
    def test_keeps_documents_exactly(
        self, engine: MastraEngine, contacts: Entity, hostile: Kept
    ) -> None:
        records = [RecordInput("c1", hostile.value)]
        engine.upsert_records(entity_id=contacts.id, records=records)
        (record,) = engine.get_records_by_entity_id(entity_id=contacts.id)
        assert record.data == hostile.value
        assert engine.upsert_records(entity_id=contacts.id, records=records).unchanged == 1
        merged = engine.upsert_records(entity_id=contacts.id, records=records, mode="merge")
        assert merged.unchanged == 1

    @by_name(TEXTS)
    def test_keeps_external_ids_exactly(
        self, engine: MastraEngine, contacts: Entity, hostile: Kept
    ) -> None:
        others: Rows = {"bystander": {}, f"{hostile.value} ": {}}
        engine.upsert_records(entity_id=contacts.id, records=inputs({hostile.value: {}, **others}))
        record = engine.get_record(entity_id=contacts.id, external_id=hostile.value)
        assert record.external_id == hostile.value
        deleted = engine.delete_records(entity_id=contacts.id, external_ids=[hostile.value])
        assert deleted == 1
        assert set(stored(engine, contacts)) == set(others)
