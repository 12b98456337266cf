"""How every engine returns some fields of documents, and counts and pages records."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidFilter
from mastra_engine.testing.contract.records import inputs
from mastra_engine.types import Entity, Page, QueryOptions, Record, Sort

NAMED: Any = {"entity_name": "Orders", "connection_id": "shop"}
ORDER = {
    "id": 7,
    "note": None,
    "buyer": {"name": "Ann", "address": {"city": "Graz", "zip": "8010"}, "tags": ["new"]},
    "lines": [{"sku": "a", "n": 1, "of": {"x": 1}}, {"sku": "b"}, 5, None, [{"sku": "deep"}]],
    "a.b": "dotted",
    "0": {"1": "numbers"},
    "text": "x" * 5_000,
}


class TestReturnedFields:
    @pytest.fixture
    def orders(self, engine: MastraEngine) -> Entity:
        entity = engine.create_entity(name="Orders", connection_id="shop")
        engine.upsert_records(entity_id=entity.id, records=inputs({"o1": ORDER}))
        return entity

    def many(self, engine: MastraEngine, number: int) -> None:
        rows = {f"{i:04}": {"n": i, "half": i // 2, "more": {"x": i}} for i in range(number)}
        engine.sync_records(name="Orders", connection_id="shop", records=inputs(rows))

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ([], {}),
            (["id"], {"id": 7}),
            (["id", "note", "missing"], {"id": 7, "note": None}),
            (["buyer.name"], {"buyer": {"name": "Ann"}}),
            (
                ["buyer.address.zip", "buyer.tags"],
                {"buyer": {"address": {"zip": "8010"}, "tags": ["new"]}},
            ),
            (["buyer", "buyer.name"], {"buyer": ORDER["buyer"]}),
            (["buyer.name", "buyer"], {"buyer": ORDER["buyer"]}),
            (["buyer.missing", "missing.name"], {"buyer": {}}),
            (["id.x", "note.x", "text.x"], {}),
            (["buyer.name.x"], {"buyer": {}}),
            (["lines.sku"], {"lines": [{"sku": "a"}, {"sku": "b"}]}),
            (["lines.of.x", "lines.n"], {"lines": [{"n": 1, "of": {"x": 1}}, {}]}),
            (["buyer.tags.x"], {"buyer": {"tags": []}}),
            (["lines.0"], {"lines": [{}, {}]}),
            (["0.1"], {"0": {"1": "numbers"}}),
            (["a.b"], {}),
            (("id", "id"), {"id": 7}),
        ],
        ids=str,
    )
    def test_only_these_fields_are_returned(
        self, engine: MastraEngine, orders: Entity, fields: Any, expected: Any
    ) -> None:
        (records,) = engine.get_records(**NAMED)
        for options in (
            QueryOptions(fields=fields),
            {"fields": fields},
            {"fields": fields, "limit": None},
        ):
            (record,) = engine.get_records(**NAMED, options=options)
            assert record.data == expected
            assert (record.id, record.external_id, record.rev) == (records.id, "o1", records.rev)
            assert (record.created_at, record.updated_at) == (
                records.created_at,
                records.updated_at,
            )
        (record,) = engine.iter_records(**NAMED, options={"fields": fields})
        assert record.data == expected

    def test_none_returns_whole_documents(self, engine: MastraEngine, orders: Entity) -> None:
        (record,) = engine.get_records(**NAMED, options=QueryOptions(fields=None))
        assert record.data == ORDER

    def test_other_fields_are_filtered_sorted_and_paged_by(
        self, engine: MastraEngine, orders: Entity
    ) -> None:
        self.many(engine, 9)
        sort, cursor, values = [Sort("half", "desc"), Sort("more.x")], None, []
        while True:
            options = QueryOptions(
                filters={"n": {"$gte": 2}},
                sort=sort,
                limit=2,
                cursor=cursor,
                fields=["n", "more.y"],
            )
            page = engine.get_records(**NAMED, options=options)
            assert all(record.data.keys() == {"n", "more"} for record in page)
            assert all(record.data["more"] == {} for record in page)
            values += [record.data["n"] for record in page]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert values == [8, 6, 7, 4, 5, 2, 3]

    def test_a_cursor_continues_with_other_fields(
        self, engine: MastraEngine, orders: Entity
    ) -> None:
        self.many(engine, 3)
        first = engine.get_records(**NAMED, options={"limit": 1, "fields": ["n"]})
        rest = {"cursor": first.next_cursor, "fields": ["half"]}
        assert [record.data for record in engine.get_records(**NAMED, options=rest)] == [
            {"half": 0},
            {"half": 1},
            {},
        ]

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ("id", ""),
            ({"id": 1}, ""),
            (7, ""),
            ([7], "/0"),
            (["id", None], "/1"),
            (["id", ""], "/1"),
            (["a..b"], "/0"),
            (["$id"], "/0"),
            (["id", "@rev"], "/1"),
            (["@nothing"], "/0"),
            (["a\0"], "/0"),
            (["\ud800"], "/0"),
            ([".".join("a" * 65)], "/0"),
            (["a.b"] * 251, ""),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_unfit_fields_are_refused(
        self, engine: MastraEngine, orders: Entity, fields: Any, pointer: str
    ) -> None:
        for read in (engine.get_records, engine.iter_records):
            with pytest.raises(InvalidFilter) as caught:
                read(**NAMED, options={"fields": fields})
            assert caught.value.path == f"/options/fields{pointer}"
        with pytest.raises(InvalidFilter) as caught:
            engine.search_records(query="x", connection_id="shop", fields=fields)
        assert caught.value.path == f"/fields{pointer}"

    def test_deep_and_many_fields(self, engine: MastraEngine, orders: Entity) -> None:
        deep: Any = 1
        for _ in range(60):
            deep = {"k": deep, "other": 1}
        wide = {f"k{i}": {"a": i, "b": i} for i in range(500)}
        engine.sync_records(
            name="Deep", connection_id="shop", records=inputs({"deep": deep, "wide": wide})
        )
        fields = [".".join("k" * 60), *(f"k{i}.a" for i in range(220))]
        page = engine.get_records(
            entity_name="Deep", connection_id="shop", options={"fields": fields}
        )
        expected: Any = 1
        for _ in range(60):
            expected = {"k": expected}
        assert page[0].data == expected
        assert page[1].data == {f"k{i}": {"a": i} for i in range(220)}

    # Counting

    def test_records_are_counted(self, engine: MastraEngine, orders: Entity) -> None:
        self.many(engine, 130)
        assert engine.count_records(**NAMED) == 131
        assert engine.count_records(**NAMED, filters={"n": {"$lt": 40}}) == 40
        assert engine.count_records(**NAMED, filters={"@external_id": "o1"}) == 1
        filters = [{"field": "n", "operator": "gte", "value": 100}]
        assert engine.count_records(**NAMED, filters=filters) == 30
        engine.delete_records(entity_id=orders.id, external_ids=["0000", "o1"])
        assert engine.count_records(**NAMED) == 129
        assert async_to_sync(engine.acount_records)(**NAMED, filters={"n": 0}) == 0

    def test_the_filters_of_a_count_are_checked(self, engine: MastraEngine, orders: Entity) -> None:
        for filters, pointer in (
            ({"n": {"$near": 1}}, "/filters/n/$near"),
            ([{"field": "n", "operator": "near", "value": 1}], "/filters/0/operator"),
            ("n", "/filters"),
        ):
            with pytest.raises(InvalidFilter) as caught:
                engine.count_records(**NAMED, filters=filters)  # type: ignore[arg-type]
            assert caught.value.path == pointer

    # Pages

    def test_a_page_has_100_records_by_default(self, engine: MastraEngine, orders: Entity) -> None:
        self.many(engine, 205)
        for options in (None, {}, QueryOptions(), {"sort": [Sort("n")]}):
            first = engine.get_records(**NAMED, options=options)
            assert len(first) == 100
            assert first.next_cursor is not None
        assert len(engine.get_records(**NAMED, options={"limit": None})) == 206
        assert len(engine.get_records(**NAMED, options=QueryOptions(limit=None))) == 206
        second = engine.get_records(
            **NAMED, options={"sort": [Sort("n")], "cursor": first.next_cursor}
        )
        assert len(second) == 100
        assert {record.id for record in first}.isdisjoint(record.id for record in second)

    def test_iteration_has_no_limit_by_default(self, engine: MastraEngine, orders: Entity) -> None:
        self.many(engine, 205)
        for options in (None, {"sort": [Sort("n")]}, QueryOptions(filters={"n": {"$gte": 0}})):
            assert len(list(engine.iter_records(**NAMED, options=options))) >= 205
        assert len(list(engine.iter_records(**NAMED, options={"limit": 100}))) == 100

    def test_a_page_is_a_sequence(self, engine: MastraEngine, orders: Entity) -> None:
        self.many(engine, 5)
        page: Page[Record] = engine.get_records(**NAMED)
        assert page[0] is page.items[0]
        assert page[-1].external_id == "o1"
        assert page[1:3] == page.items[1:3]
        assert page[::-1] == list(reversed(page))
        assert len(page) == 6
        assert page[2] in page
        with pytest.raises(IndexError):
            page[6]
        changes = engine.get_changes(entity_id=orders.id)
        assert changes[0].record.external_id == "o1"
        assert changes[-2:] == changes.items[-2:]
        engine.memory.create_thread(resource_id="ann", thread_id="t")
        engine.memory.save_memory(thread_id="t", messages=[{"role": "user", "content": "Hi"}])
        assert engine.memory.list_threads(resource_id="ann")[0].id == "t"
        assert engine.memory.list_messages(thread_id="t")[-1].position == 1
        window = engine.memory.get_context_window(thread_id="t")
        assert window[0] == window.messages[0]
        assert engine.list_entities()[:1] == [engine.get_entity_by_id(id=orders.id)]
