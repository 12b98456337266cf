"""The contract of filters, sorts and pages: MongoDB's semantics."""

from __future__ import annotations

import base64
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import EntityNotFound, InvalidFilter, InvalidInput
from mastra_engine.testing.contract.filter_cases import (
    ALL,
    BY_PRICE,
    LISTS,
    MONGO,
    NESTED,
    POSITIONS,
    PRODUCTS,
    but,
    nested_in,
)
from mastra_engine.testing.contract.records import by_name, inputs
from mastra_engine.testing.hostile import (
    DOCUMENTS,
    TEXTS,
    TOO_DEEP,
    TOO_DEEP_FILTERS,
    UNFIT_COUNTS,
    UNFIT_CURSORS,
    UNFIT_FILTERS,
    Kept,
    Refused,
)
from mastra_engine.types import Entity, Filter, Page, QueryOptions, Record, Sort


def lengthened(filters: Any) -> Any:
    """Return a filter with long lists that nothing else satisfies than the short ones."""
    fillers = [f"filler {i}" for i in range(150)]
    if isinstance(filters, list):
        return [lengthened(item) for item in filters]
    if not isinstance(filters, dict):
        return filters
    longer = {}
    for key, value in filters.items():
        if key in ("$in", "$nin") and value:
            longer[key] = [*value, *fillers]
        elif key == "$all" and not any("$elemMatch" in str(item) for item in value):
            longer[key] = value * 10
        else:
            longer[key] = lengthened(value)
    return longer


class TestQueries:
    @pytest.fixture
    def products(self, engine: MastraEngine) -> Entity:
        entity = engine.create_entity(name="Products", connection_id="shop")
        engine.upsert_records(entity_id=entity.id, records=inputs(PRODUCTS))
        return entity

    def page(self, engine: MastraEngine, options: Any) -> Page[Record]:
        return engine.get_records(entity_name="Products", connection_id="shop", options=options)

    def external_ids(self, engine: MastraEngine, **options: Any) -> list[str]:
        return [record.external_id for record in self.page(engine, QueryOptions(**options))]

    @pytest.mark.parametrize(("filters", "expected"), MONGO, ids=lambda value: str(value)[:60])
    def test_mongo_notation(
        self, engine: MastraEngine, products: Entity, filters: Any, expected: list[str]
    ) -> None:
        assert self.external_ids(engine, filters=filters) == expected

    @pytest.mark.parametrize(("filters", "expected"), LISTS, ids=lambda value: str(value)[:60])
    def test_list_notation(
        self, engine: MastraEngine, products: Entity, filters: Any, expected: list[str]
    ) -> None:
        assert self.external_ids(engine, filters=filters) == expected

    @pytest.mark.parametrize(("filters", "expected"), POSITIONS, ids=lambda value: str(value)[:60])
    def test_a_number_is_a_position_or_a_key(
        self, engine: MastraEngine, products: Entity, filters: Any, expected: list[str]
    ) -> None:
        rows = {kinds: {"a": nested_in(kinds, 42)} for kinds in NESTED}
        engine.sync_records(
            name="Products", connection_id="shop", records=inputs(rows), mode="full"
        )
        assert self.external_ids(engine, filters=filters) == expected

    def test_times_are_compared_as_times(self, engine: MastraEngine, products: Entity) -> None:
        soon = datetime.now(UTC) + timedelta(minutes=5)
        for field in ("@created_at", "@updated_at"):
            assert self.external_ids(engine, filters={field: {"$lt": soon}}) == ALL
            assert self.external_ids(engine, filters={field: {"$gt": soon.isoformat()}}) == []

    def test_deleted_records_are_not_found(self, engine: MastraEngine, products: Entity) -> None:
        engine.delete_records(entity_id=products.id, external_ids=["cheap"])
        assert self.external_ids(engine, filters={"price": 5}) == ["array"]
        assert len(self.external_ids(engine)) == len(ALL) - 1

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [case for case in MONGO if any(key in str(case[0]) for key in ("$in", "$nin", "$all"))],
        ids=lambda value: str(value)[:60],
    )
    def test_long_lists_mean_the_same(
        self, engine: MastraEngine, products: Entity, filters: Any, expected: list[str]
    ) -> None:
        """PostgreSQL compares long lists in another way than short ones."""
        assert self.external_ids(engine, filters=lengthened(filters)) == expected

    @pytest.mark.parametrize("operator", ["$and", "$or", "$nor"])
    def test_many_equalities_mean_the_same(
        self, engine: MastraEngine, products: Entity, operator: str
    ) -> None:
        values = [5, "red", ["red"], {"w": 1}, None, True, 0, 5.0, "5", [], {}, "blue"]
        for field in ("price", "tags", "dims", "nowhere", "dims.w", "tags.0"):
            alone = [set(self.external_ids(engine, filters={field: {"$eq": v}})) for v in values]
            expected = {
                "$and": set.intersection(*alone),
                "$or": set[str]().union(*alone),
                "$nor": {*ALL}.difference(*alone),
            }
            conditions = [{field: {"$eq": value}} for value in values]
            assert {*self.external_ids(engine, filters={operator: conditions})} == expected[
                operator
            ]

    def test_operands_may_be_long(self, engine: MastraEngine, products: Entity) -> None:
        text = "To be, or not? {x} %s \\ " * 10_000
        within = {"a": [{"b": f"<{text}>"}], "d": text}
        engine.upsert_records(
            entity_id=products.id, records=inputs({"hit": within, "list": {"d": [f"<{text}>"]}})
        )
        for field in ("a.b", "d"):
            assert self.external_ids(engine, filters={field: {"$contains": text.upper()}}) == [
                "hit"
            ]
            assert self.external_ids(engine, filters={field: {"$contains": text + "!"}}) == []
        many = list(range(2, 30_000))
        assert self.external_ids(engine, filters={"price": {"$in": many}}) == ["array", "cheap"]
        assert self.external_ids(engine, filters={"price": {"$nin": [*many, None]}}) == [
            *("bool", "dear", "nested", "text", "zero"),
        ]

    def test_options_may_be_a_dict(self, engine: MastraEngine, products: Entity) -> None:
        options = {
            "filters": [{"field": "price", "operator": "gt", "value": 1}],
            "sort": [{"field": "@external_id", "direction": "desc"}],
            "limit": 2,
            "offset": 1,
        }
        assert [record.external_id for record in self.page(engine, options)] == ["cheap", "array"]

    # Sorting

    def test_sorts_by_type_then_value(self, engine: MastraEngine, products: Entity) -> None:
        assert self.external_ids(engine, sort=[Sort("price")]) == BY_PRICE
        assert self.external_ids(engine, sort=[Sort("price", "DESC")]) == BY_PRICE[::-1]

    def test_ties_go_by_external_id(self, engine: MastraEngine, products: Entity) -> None:
        expected = ["null", "dear", *but("null", "dear")]
        assert (
            self.external_ids(engine, sort=[Sort("dims.h", "desc"), Sort("dims.w", "desc")])
            == expected
        )
        assert self.external_ids(engine, sort=[Sort("nowhere")]) == ALL
        assert self.external_ids(engine, sort=[Sort("nowhere", "desc")]) == ALL

    def test_numbers_sort_as_numbers_and_text_by_bytes(self, engine: MastraEngine) -> None:
        entity = engine.create_entity(name="Products", connection_id="shop")
        values = [
            10,
            9,
            -1,
            2.5,
            2**60,
            1e300,
            "b",
            "B",
            "a",
            "\u00e9",
            "z",
            "\U0001f600",
            "\uffff",
        ]
        rows = {f"{i:02}": {"v": value} for i, value in enumerate(values)}
        engine.upsert_records(entity_id=entity.id, records=inputs(rows))
        expected = [
            -1,
            2.5,
            9,
            10,
            2**60,
            1e300,
            "B",
            "a",
            "b",
            "z",
            "\u00e9",
            "\uffff",
            "\U0001f600",
        ]
        page = self.page(engine, {"sort": [{"field": "v"}]})
        assert [record.data["v"] for record in page] == expected

    def test_columns_sort(self, engine: MastraEngine, products: Entity) -> None:
        assert self.external_ids(engine, sort=[Sort("@rev", "desc")]) == ALL[::-1]
        assert self.external_ids(engine, sort=[Sort("@external_id", "desc")]) == ALL[::-1]
        assert self.external_ids(engine, sort=[Sort("@updated_at"), Sort("@rev", "desc")]) in (
            ALL,
            ALL[::-1],
        )

    # Paging

    SORTS = [
        [],
        [Sort("price")],
        [Sort("price", "desc")],
        [Sort("tags"), Sort("price", "desc")],
        [Sort("@rev", "desc")],
        [Sort("@created_at"), Sort("dims.w", "desc")],
    ]

    @pytest.mark.parametrize("sort", SORTS, ids=str)
    @pytest.mark.parametrize("size", [1, 2, 4, 100])
    def test_pages_add_up(
        self, engine: MastraEngine, products: Entity, sort: list[Sort], size: int
    ) -> None:
        full = self.external_ids(engine, sort=sort)
        seen: list[str] = []
        cursor = None
        while True:
            page = self.page(engine, QueryOptions(sort=sort, limit=size, cursor=cursor))
            seen += [record.external_id for record in page]
            cursor = page.next_cursor
            if cursor is None:
                break
            assert len(page) == size
        assert seen == full

    def test_pages_do_not_shift_under_writers(self, engine: MastraEngine, products: Entity) -> None:
        first = self.page(engine, QueryOptions(limit=4))
        engine.delete_records(entity_id=products.id, external_ids=["array", "bool"])
        engine.upsert_records(entity_id=products.id, records=inputs({"aaa": {}, "zzz": {}}))
        rest = self.page(engine, QueryOptions(limit=100, cursor=first.next_cursor))
        assert [record.external_id for record in rest] == [*ALL[4:], "zzz"]

    def test_an_entity_that_was_created_again_is_read_anew(
        self, engine: MastraEngine, products: Entity
    ) -> None:
        by_name: Any = {"entity_name": "Products", "connection_id": "shop"}
        first = self.page(engine, QueryOptions(limit=4))
        assert engine.count_records(**by_name) == len(ALL)
        engine.delete_entity_by_id(id=products.id)
        for call in (
            lambda: engine.get_records(**by_name),
            lambda: engine.count_records(**by_name),
            lambda: engine.iter_records(**by_name),
            lambda: engine.get_changes(entity_id=products.id),
        ):
            with pytest.raises(EntityNotFound):
                call()
        again = engine.create_entity(name="Products", connection_id="shop")
        assert engine.get_records(**by_name).items == []
        engine.upsert_records(entity_id=again.id, records=inputs({"zzz": {}}))
        assert engine.count_records(**by_name) == 1
        rest = self.page(engine, QueryOptions(limit=4, cursor=first.next_cursor))
        assert [(record.entity_id, record.external_id) for record in rest] == [(again.id, "zzz")]

    def test_limits_and_offsets(self, engine: MastraEngine, products: Entity) -> None:
        assert self.external_ids(engine, limit=2, offset=1) == ALL[1:3]
        assert self.external_ids(engine, offset=7) == ALL[7:]
        assert self.external_ids(engine, limit=0) == []
        assert self.external_ids(engine, limit=10**9, offset=10**9) == []
        exact = self.page(engine, QueryOptions(limit=len(ALL)))
        assert exact.next_cursor is None

    def test_a_cursor_fits_its_query_only(self, engine: MastraEngine, products: Entity) -> None:
        cursor = self.page(engine, QueryOptions(limit=1)).next_cursor
        other = engine.create_entity(name="Products", connection_id="other shop")
        engine.upsert_records(entity_id=other.id, records=inputs(PRODUCTS))
        for where, options in (
            ("shop", {"sort": [{"field": "price"}]}),
            ("shop", {"filters": {"price": 5}}),
            ("other shop", {}),
        ):
            with pytest.raises(InvalidFilter) as caught:
                engine.get_records(
                    entity_name="Products",
                    connection_id=where,
                    options={**options, "cursor": cursor},
                )
            assert caught.value.path == "/options/cursor"
        with pytest.raises(InvalidFilter):
            self.page(engine, QueryOptions(cursor=cursor, offset=1))

    def test_a_set_has_no_order_to_fit(self, engine: MastraEngine, products: Entity) -> None:
        one, same = set(range(0, 9, 8)), set(range(8, -1, -8))
        assert [*one] != [*same]
        first = self.page(engine, QueryOptions(filters={"price": {"$nin": one}}, limit=1))
        options = QueryOptions(filters={"price": {"$nin": same}}, cursor=first.next_cursor)
        assert [record.external_id for record in self.page(engine, options)] == but("array", "zero")

    @by_name(UNFIT_CURSORS)
    def test_invalid_cursors_are_refused(
        self, engine: MastraEngine, products: Entity, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidFilter) as caught:
            self.page(engine, QueryOptions(limit=1, cursor=hostile.value))
        assert caught.value.path == "/options/cursor"

    @pytest.mark.parametrize(
        "forged",
        [[], [[]], [[], "x"], [[5], 7], [[], "\0"], [[["deep"] * 2], "x"], [[1], [2]], ["a", "b"]],
        ids=str,
    )
    @pytest.mark.parametrize("sort", [[], [Sort("price")], [Sort("@created_at")]], ids=str)
    def test_forged_cursors_do_no_harm(
        self, engine: MastraEngine, products: Entity, forged: list[Any], sort: list[Sort]
    ) -> None:
        genuine = self.page(engine, QueryOptions(limit=1, sort=sort)).next_cursor
        assert genuine is not None
        made_by = orjson.loads(base64.urlsafe_b64decode(genuine + "=="))[0]
        cursor = base64.urlsafe_b64encode(orjson.dumps([made_by, *forged])).decode()
        with suppress(InvalidInput):  # a valid position is accepted, everything else refused
            page = self.page(engine, QueryOptions(limit=1, sort=sort, cursor=cursor))
            assert {record.entity_id for record in page} <= {products.id}

    @pytest.mark.parametrize(
        ("time", "valid"),
        [
            ("0001-01-01T00:00:00+00:00", True),
            ("9999-12-31T23:59:59.999999+00:00", True),
            ("0001-01-01T00:00:00+00:01", False),
            ("9999-12-31T23:59:59-23:59", False),
            ("2026-01-01T00:00:00", False),
            ("10000-01-01T00:00:00+00:00", False),
        ],
    )
    def test_cursors_at_the_limits_of_the_calendar(
        self, engine: MastraEngine, products: Entity, time: str, valid: bool
    ) -> None:
        sort = [Sort("@created_at")]
        genuine = self.page(engine, QueryOptions(limit=1, sort=sort)).next_cursor
        assert genuine is not None
        made_by = orjson.loads(base64.urlsafe_b64decode(genuine + "=="))[0]
        cursor = base64.urlsafe_b64encode(orjson.dumps([made_by, [[time]], "x"])).decode()
        options = QueryOptions(limit=1, sort=sort, cursor=cursor)
        if valid:
            self.page(engine, options)
            return
        with pytest.raises(InvalidInput) as caught:
            self.page(engine, options)
        assert caught.value.path.endswith("/cursor")

    # Bad input

    @by_name(UNFIT_FILTERS)
    def test_refuses_filters_that_say_nothing(
        self, engine: MastraEngine, products: Entity, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidFilter) as caught:
            self.page(engine, {"filters": hostile.value})
        assert caught.value.path == f"/options/filters{hostile.pointer}"

    @by_name(TOO_DEEP_FILTERS)
    def test_refuses_deep_filters(
        self, engine: MastraEngine, products: Entity, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidFilter):
            self.page(engine, {"filters": hostile.value})

    def test_the_number_of_conditions_and_keys_is_limited(
        self, engine: MastraEngine, products: Entity
    ) -> None:
        many = {"$or": [{"a": {"$elemMatch": {"b": i}}} for i in range(500)]}
        self.page(engine, {"filters": many, "sort": [Sort(f"a{i}") for i in range(32)]})
        with pytest.raises(InvalidFilter) as caught:
            self.page(engine, {"sort": [Sort(f"a{i}") for i in range(33)]})
        assert caught.value.path == "/options/sort"

    @by_name(TOO_DEEP)
    def test_refuses_deep_operands(
        self, engine: MastraEngine, products: Entity, hostile: Refused
    ) -> None:
        for operator in ("$eq", "$in", "$all", "$contains"):
            with pytest.raises(InvalidFilter):
                self.page(engine, {"filters": {"a": {operator: [hostile.value]}}})

    @by_name(TEXTS)
    def test_values_and_paths_are_no_code(
        self, engine: MastraEngine, products: Entity, hostile: Kept
    ) -> None:
        text = hostile.value
        rows = {"hit": {"v": f"<{text}>", "w": [text], "x": text}}
        engine.upsert_records(entity_id=products.id, records=inputs(rows))
        for filters in (
            [Filter("x", "eq", text)],
            [Filter("x", "starts_with", text)],
            [Filter("v", "contains", text)],
            [Filter("w", "contains", text)],
            [Filter("w", "in", [text])],
            {"w": [text]},
            {"x": {"$gte": text, "$lte": text}},
        ):
            assert self.external_ids(engine, filters=filters) == ["hit"]

    @by_name([text for text in TEXTS if "." not in text.value and text.value[0] != "$"])
    def test_any_key_without_dots_can_be_a_path(
        self, engine: MastraEngine, products: Entity, hostile: Kept
    ) -> None:
        key = hostile.value
        rows = {"hit": {key: {"in": [{key: 7}]}}}
        engine.upsert_records(entity_id=products.id, records=inputs(rows))
        path = f"{key}.in.{key}"
        assert self.external_ids(engine, filters={path: 7}) == ["hit"]
        assert self.external_ids(engine, filters=[Filter(path, "exists", True)]) == ["hit"]
        assert self.external_ids(engine, sort=[Sort(key, "desc")])[0] == "hit"

    @by_name([document for document in DOCUMENTS if document.name != "64 levels"])
    def test_any_document_can_be_an_operand(
        self, engine: MastraEngine, products: Entity, hostile: Kept
    ) -> None:
        rows = {"hit": {"v": hostile.value, "w": [hostile.value]}}
        engine.upsert_records(entity_id=products.id, records=inputs(rows))
        for field in ("v", "w"):
            assert self.external_ids(engine, filters=[Filter(field, "eq", hostile.value)]) == [
                "hit"
            ]
            assert self.external_ids(engine, filters={field: {"$in": [hostile.value]}}) == ["hit"]

    @by_name(UNFIT_COUNTS)
    @pytest.mark.parametrize("field", ["limit", "offset"])
    def test_invalid_numbers_are_refused(
        self, engine: MastraEngine, products: Entity, hostile: Refused, field: str
    ) -> None:
        with pytest.raises(InvalidFilter) as caught:
            self.page(engine, {field: hostile.value})
        assert caught.value.path == f"/options/{field}"

    @pytest.mark.parametrize(
        ("options", "pointer"),
        [
            (7, "/options"),
            ({"order": "asc"}, "/options/order"),
            ({"sort": "price"}, "/options/sort"),
            ({"sort": ["price"]}, "/options/sort/0"),
            ({"sort": [{"field": "a", "direction": "up"}]}, "/options/sort/0/direction"),
            ({"sort": [{"field": "a", "direction": 1}]}, "/options/sort/0/direction"),
            ({"sort": [{"direction": "asc"}]}, "/options/sort/0/field"),
            ({"sort": [{"field": "@nothing"}]}, "/options/sort/0/field"),
            ({"sort": [{"field": "price; DROP TABLE x", "direction": ";"}]}, "/options/sort/0"),
        ],
    )
    def test_refuses_bad_options(
        self, engine: MastraEngine, products: Entity, options: Any, pointer: str
    ) -> None:
        with pytest.raises(InvalidFilter) as caught:
            self.page(engine, options)
        assert caught.value.path.startswith(pointer)
