"""Pages of records and changes end by their size in bytes as well as by their number."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.types import Entity, Sort

MIB = 1024 * 1024


def text(size: int) -> str:
    """Return a text that does not compress well."""
    return random.Random(size).randbytes(size // 2).hex()


#: Documents of three MiB as PostgreSQL writes them, whatever they are stored in.
DOCUMENTS: dict[str, Any] = {
    "text": {"v": text(3 * MIB)},
    "repeated text": {"v": "x" * 3 * MIB},
    "numbers with exponents": {"v": [1e-300] * (3 * MIB // 304)},
}
documents = pytest.mark.parametrize("data", DOCUMENTS.values(), ids=DOCUMENTS)


class TestPageSizes:
    def entity(self, engine: MastraEngine, *data: Any) -> Entity:
        records: list[Any] = [
            {"external_id": str(number), "data": document} for number, document in enumerate(data)
        ]
        return engine.sync_records(name="Files", connection_id="7", records=records).entity

    @documents
    def test_changes_end_with_the_one_that_fills_the_page(
        self, engine: MastraEngine, data: Any
    ) -> None:
        entity = self.entity(engine, *[data] * 4, {}, *[data] * 2, {})
        after, pages = 0, []
        while True:
            changes = engine.get_changes(entity_id=entity.id, after=after)
            pages.append("".join(change.record.external_id for change in changes))
            assert all(change.record.data in (data, {}) for change in changes)
            after = changes.next
            if not changes.more:
                break
        assert pages == ["012", "3456", "7"]
        assert len(engine.get_changes(entity_id=entity.id, limit=2)) == 2
        followed = engine.follow_changes(entity_id=entity.id, timeout=0)
        assert "".join(change.record.external_id for change in followed) == "01234567"

    def test_a_change_larger_than_a_page_is_a_page(self, engine: MastraEngine) -> None:
        large = {"v": text(9 * MIB)}
        entity = self.entity(engine, {}, large, large)
        after = 0
        for expected, more in (("01", True), ("2", False)):
            changes = engine.get_changes(entity_id=entity.id, after=after)
            assert "".join(change.record.external_id for change in changes) == expected
            assert changes.more == more
            after = changes.next
        assert engine.get_changes(entity_id=entity.id, after=after).items == []

    @documents
    def test_pages_end_with_the_record_that_fills_them(
        self, engine: MastraEngine, data: Any
    ) -> None:
        self.entity(engine, *({**data, "n": number} for number in range(7)))
        assert self.pages(engine, {"limit": 100}) == ["012", "345", "6"]
        assert self.pages(engine, {"limit": 3, "fields": ["v"]}) == ["012", "345", "6"]
        assert self.pages(engine, {"limit": 100, "fields": ["n"]}) == ["0123456"]
        assert self.pages(engine, {"limit": None}) == ["0123456"]
        assert self.pages(engine, {"limit": 2_000}) == ["012345", "6"]
        backwards: Any = {"sort": [Sort("n", "desc")], "filters": {"n": {"$gt": 0}}}
        assert self.pages(engine, {"limit": 100, **backwards}) == ["654", "321"]

    def test_a_record_larger_than_a_page_is_a_page(self, engine: MastraEngine) -> None:
        self.entity(engine, *[{"v": text(9 * MIB)}] * 2, {})
        assert self.pages(engine, {"limit": 100}) == ["0", "1", "2"]
        read = engine.iter_records(entity_name="Files", connection_id="7")
        assert [record.external_id for record in read] == ["0", "1", "2"]

    def pages(self, engine: MastraEngine, options: dict[str, Any]) -> list[str]:
        """Return the external ids of each page."""
        pages, cursor = [], None
        while True:
            page = engine.get_records(
                entity_name="Files", connection_id="7", options={**options, "cursor": cursor}
            )
            pages.append("".join(record.external_id for record in page))
            cursor = page.next_cursor
            if cursor is None:
                return pages
