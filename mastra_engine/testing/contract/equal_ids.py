"""Of records with one id the last wins, in whatever chunks or pages they come."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.registry import sync
from mastra_engine.testing.contract.sync_runs import CONNECTION, WithSyncs
from mastra_engine.types import SyncMode
from mastra_engine.validation import inputs

CHUNK = 3
NAME: dict[str, Any] = {"name": "Contacts", "connection_id": CONNECTION}


def random_pages(random: Random) -> list[list[dict[str, Any]]]:
    """Return pages of records with few ids, some of them as they were before."""
    return [
        [
            {"external_id": random.choice("abcdef"), "data": {"n": random.choice((0, page, n))}}
            for n in range(random.randint(1, 2 * CHUNK))
        ]
        for page in range(1, 6)
    ]


@pytest.mark.parametrize("mode", ["incremental", "full"])
@pytest.mark.parametrize("seed", range(8))
class TestEqualIds(WithSyncs):
    @pytest.fixture(autouse=True)
    def _before(self, engine: MastraEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inputs, "CHUNK_RECORDS", CHUNK)
        records = [{"external_id": id, "data": {"n": 0}} for id in "abcxyz"]
        entity = engine.sync_records(**NAME, records=records).entity
        engine.delete_records(entity_id=entity.id, external_ids=["c", "z"])

    def check(self, engine: MastraEngine, pages: Any, mode: SyncMode, counted: Any) -> None:
        last = {record["external_id"]: record["data"] for page in pages for record in page}
        before = {id: {"n": 0} for id in "abxy"}
        expected = last if mode == "full" else before | last
        assert self.stored(engine) == expected
        entity = engine.get_entity(**NAME)
        assert entity is not None
        followed = {}
        for change in engine.get_changes(entity_id=entity.id):
            followed[change.record.external_id] = change.record.data
            if change.action == "deleted":
                del followed[change.record.external_id]
        assert followed == expected
        assert counted.deleted == len(before.keys() - expected.keys())
        assert counted.created == len(expected.keys() - before.keys())

    def test_in_chunks_of_a_sync(self, engine: MastraEngine, seed: int, mode: SyncMode) -> None:
        pages = random_pages(Random(seed))
        records = (record for page in pages for record in page)
        self.check(engine, pages, mode, engine.sync_records(**NAME, records=records, mode=mode))

    def test_in_pages_of_a_run(self, engine: MastraEngine, seed: int, mode: SyncMode) -> None:
        pages = random_pages(Random(seed))
        sync(entity="Contacts", name="contacts", mode=mode)(lambda _: pages)
        run = self.run(engine)
        assert run.status == "succeeded"
        self.check(engine, pages, mode, run)
