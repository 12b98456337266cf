"""Subclasses of JSON's types, and times of any zone, are stored and compared as their values."""

from __future__ import annotations

from collections import namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidFilter, InvalidInput
from mastra_engine.types import Filter, QueryOptions, Sort

CONTACTS = {"entity_name": "Contacts", "connection_id": "user_123"}
INSTANT = datetime(2026, 7, 1, 1, 45, 30, 250_000, tzinfo=UTC)
ZONES: list[tzinfo] = [
    UTC,
    timezone(timedelta(hours=2)),
    timezone(timedelta(hours=-9, minutes=-30)),
    timezone(timedelta(hours=5, minutes=45, seconds=7)),
    ZoneInfo("America/New_York"),
    ZoneInfo("Pacific/Kiritimati"),
]


class Moment(datetime):
    """A datetime that writes itself differently, as pendulum's and pandas' do."""

    def isoformat(self, *_: Any, **__: Any) -> str:
        return "a moment"

    def __str__(self) -> str:
        return "a moment"


class Day(date):
    pass


class Clock(time):
    pass


class Id(UUID):
    pass


class Float(float):
    pass


class Int(int):
    pass


class Level(IntEnum):
    HIGH = 3


class Kind(Enum):
    AGENT = "agent"


Point = namedtuple("Point", "x y")

#: Values, and the JSON they are stored as.
VALUES: dict[str, tuple[Any, Any]] = {
    "datetime": (Moment(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    "naive datetime": (Moment(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
    "date": (Day(2026, 1, 2), "2026-01-02"),
    "time": (Clock(3, 4, 5), "03:04:05"),
    "UUID": (Id(int=7), "00000000-0000-0000-0000-000000000007"),
    "float": (Float(1.5), 1.5),
    "int": (Int(7), 7),
    "IntEnum": (Level.HIGH, 3),
    "Enum": (Kind.AGENT, "agent"),
    "np.float64": (np.float64(1.5), 1.5),
    "np.float32": (np.float32(1.5), 1.5),
    "np.int64": (np.int64(7), 7),
    "np.bool": (np.bool_(True), True),
    "tuple": ((1, 2), [1, 2]),
    "namedtuple": (Point(1, Float(2.5)), [1, 2.5]),
    "enum as a key": ({Kind.AGENT: {Kind.AGENT: Level.HIGH}}, {"agent": {"agent": 3}}),
}

REFUSED: dict[str, tuple[Any, str]] = {
    "Decimal": (Decimal("1.10"), "str(value)"),
    "Fraction": (Fraction(1, 3), "type Fraction"),
    "time with a zone": (time(3, tzinfo=UTC), "time zone"),
    "bytes": (b"a", "Base64"),
    "set": ({1}, "sorted(value)"),
    "float NaN": (Float("nan"), "finite"),
    "np NaN": (np.float64("nan"), "finite"),
    "before year 1": (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "years 1 to 9999"),
    "a key twice": ({"agent": 1, Kind.AGENT: 2}, "twice"),
}


class TestValueTypes:
    def put(self, engine: MastraEngine, **documents: Any) -> None:
        engine.sync_records(
            name="Contacts",
            connection_id="user_123",
            records=[{"external_id": id, "data": {"v": value}} for id, value in documents.items()],
        )

    def stored(self, engine: MastraEngine) -> dict[str, Any]:
        page = engine.get_records(**CONTACTS, options=QueryOptions())
        return {record.external_id: record.data["v"] for record in page}

    def ids(self, engine: MastraEngine, filters: Any, *sort: Sort) -> list[str]:
        options = QueryOptions(filters=filters, sort=sort)
        return [record.external_id for record in engine.get_records(**CONTACTS, options=options)]

    @pytest.mark.parametrize(("value", "json"), VALUES.values(), ids=VALUES)
    def test_subclasses_are_stored_as_their_values(
        self, engine: MastraEngine, value: Any, json: Any
    ) -> None:
        self.put(engine, a=value, b=[{"deep": value}], plain=json)
        assert self.stored(engine) == {"a": json, "b": [{"deep": json}], "plain": json}
        assert self.ids(engine, {"v": {"$eq": value}}) == self.ids(engine, {"v": json})
        assert {"a", "plain"} <= set(self.ids(engine, [Filter("v", "in", [value])]))
        result = engine.sync_records(
            name="Contacts",
            connection_id="user_123",
            records=[{"external_id": "plain", "data": {"v": value}}],
        )
        assert (result.updated, result.unchanged) == (0, 1)
        thread = engine.memory.create_thread(resource_id="ann", metadata={"v": value})
        assert thread.metadata == {"v": json}

    @pytest.mark.parametrize(("value", "advice"), REFUSED.values(), ids=REFUSED)
    def test_other_types_are_refused_at_their_place(
        self, engine: MastraEngine, value: Any, advice: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.put(engine, a=[1, {"deep": value}])
        place = "/records/0/data/v/1/deep"
        assert caught.value.path in (place, f"{place}/agent")
        assert advice in caught.value.message
        with pytest.raises(InvalidFilter) as refused:
            self.ids(engine, {"v": {"$eq": value}})
        assert refused.value.path.startswith("/options/filters/v/$eq")

    def test_documents_are_bounded_by_the_size_they_are_written_in(
        self, engine: MastraEngine
    ) -> None:
        numbers = [1e-300] * 240_000  # 1.7 MB of JSON, 73 MB as PostgreSQL writes it
        for value in (numbers, {"deep": [numbers]}):
            with pytest.raises(InvalidInput, match="as PostgreSQL writes it") as caught:
                self.put(engine, a=value)
            assert caught.value.path == "/records/0/data"
        self.put(engine, a=[1e-300] * 2_000, b="e" * 2_000_000, c=[1.5] * 300_000)
        stored = self.stored(engine)
        assert stored["a"] == [1e-300] * 2_000
        assert len(stored["b"]) == 2_000_000

    def test_one_instant_is_one_value_in_every_zone(self, engine: MastraEngine) -> None:
        self.put(engine, **{str(n): INSTANT.astimezone(zone) for n, zone in enumerate(ZONES)})
        assert set(self.stored(engine).values()) == {"2026-07-01T01:45:30.250000+00:00"}
        for zone in ZONES:
            same = INSTANT.astimezone(zone)
            assert len(self.ids(engine, {"v": same})) == len(ZONES)
            assert len(self.ids(engine, {"v": {"$gte": same, "$lte": same}})) == len(ZONES)
            assert self.ids(engine, {"v": {"$gt": same}}) == []
            assert self.ids(engine, {"v": {"$lt": same}}) == []
            assert len(self.ids(engine, {"v": {"$in": [same]}})) == len(ZONES)

    @pytest.mark.parametrize("seed", range(3))
    def test_times_of_any_zone_compare_and_sort_by_instant(
        self, engine: MastraEngine, seed: int
    ) -> None:
        random = Random(seed)
        moments = {
            f"{n:02}": (
                INSTANT
                + timedelta(
                    days=random.choice([0, 0, random.randint(-700_000, 700_000)]),
                    seconds=random.randint(-90_000, 90_000),
                    microseconds=random.choice([0, -250_000, 1]),
                )
            ).astimezone(random.choice(ZONES))
            for n in range(40)
        }
        self.put(engine, **moments)
        ordered = sorted(moments, key=lambda id: (moments[id], id))
        assert self.ids(engine, (), Sort("v")) == ordered
        for bound in random.sample([*moments.values()], 8):
            later = [id for id in ordered if moments[id] >= bound]
            filters = {"v": {"$gte": bound.astimezone(random.choice(ZONES))}}
            assert self.ids(engine, filters, Sort("v")) == later

    def test_metadata_holds_times_in_utc(self, engine: MastraEngine) -> None:
        local = INSTANT.astimezone(ZoneInfo("Asia/Tokyo"))
        memory = engine.memory
        memory.create_thread(resource_id="ann", thread_id="t", metadata={"at": local})
        memory.save_memory(
            thread_id="t", messages=[{"role": "user", "content": "x", "metadata": {"at": local}}]
        )
        for filters in ({"at": INSTANT}, {"at": {"$lte": INSTANT, "$gte": local}}):
            assert len(memory.list_threads(resource_id="ann", metadata=filters)) == 1
            assert len(memory.list_messages(thread_id="t", metadata=filters)) == 1
        engine.vectors.create_index(index_name="docs", dimension=2)
        engine.vectors.upsert(index_name="docs", vectors=[[1, 0]], metadata=[{"at": local}])
        matches = engine.vectors.query(
            index_name="docs", query_vector=[1, 0], filter={"at": {"$gte": INSTANT}}
        )
        assert [match.metadata for match in matches] == [{"at": "2026-07-01T01:45:30.250000+00:00"}]

    def test_times_that_are_arguments_may_be_subclasses(self, engine: MastraEngine) -> None:
        before = Moment(2026, 1, 2, 3, 4, 5, tzinfo=ZONES[4])
        (message,) = engine.memory.save_memory(
            thread_id="t",
            resource_id="ann",
            messages=[{"role": "user", "content": "x", "created_at": before}],
        )
        assert message.created_at == before
        window = engine.memory.get_context_window(
            thread_id="t", start=before, end=before + timedelta(1)
        )
        assert len(window.messages) == 1
        entity = engine.create_entity(name="Contacts", connection_id="user_123")
        assert engine.get_entity_by_id(id=Id(int=entity.id.int)) == entity

    def test_cursors_hold_columns_of_times(
        self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A library that fakes the clock replaces the class `datetime` in every module."""
        from mastra_engine.filters import cursors, parsing
        from mastra_engine.validation import inputs, jsonb

        self.put(engine, a=1, b=2, c=3)
        for module in (cursors, parsing, inputs, jsonb):
            if hasattr(module, "datetime"):
                monkeypatch.setattr(module, "datetime", Faked)
        sort = [Sort("@created_at", "desc"), Sort("@external_id")]
        first = engine.get_records(**CONTACTS, options=QueryOptions(sort=sort, limit=2))
        rest = QueryOptions(sort=sort, limit=2, cursor=first.next_cursor)
        last = engine.get_records(**CONTACTS, options=rest)
        external_ids = [record.external_id for record in (*first, *last)]
        assert sorted(external_ids) == ["a", "b", "c"]
        filters = {"@created_at": {"$lte": Faked(2100, 1, 1, tzinfo=UTC)}}
        assert sorted(self.ids(engine, filters)) == ["a", "b", "c"]


class _FakedMeta(type(datetime)):  # type: ignore[misc]
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class Faked(datetime, metaclass=_FakedMeta):
    """A replacement of `datetime`, as libraries that fake the clock use it."""
