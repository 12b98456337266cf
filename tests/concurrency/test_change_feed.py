"""A reader follows the change feed while others write."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Record
from mastra_engine.types import Change
from tests.concurrency import work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import Worker

pytestmark = pytest.mark.django_db(transaction=True)


class Reader:
    """Somebody who knows of an entity only what its change feed tells."""

    def __init__(self, engine: PostgresEngine, entity_id: UUID, *, limit: int = 1_000) -> None:
        self.engine = engine
        self.entity_id = entity_id
        self.limit = limit
        self.next = 0
        self.revs: list[int] = []
        self.view: dict[str, Any] = {}
        self.deleted: set[str] = set()

    def read_on(self) -> bool:
        """Read a stretch; tell whether there was anything."""
        changes = self.engine.get_changes(
            entity_id=self.entity_id, after=self.next, limit=self.limit
        )
        for change in changes:
            self.apply(change)
        self.next = changes.next
        return len(changes) > 0

    def apply(self, change: Change) -> None:
        self.revs.append(change.rev)
        id = change.record.external_id
        if change.action == "deleted":
            self.view.pop(id, None)
            self.deleted.add(id)
        else:
            # A record can be made, deleted and made anew between two readings.
            assert change.action == "added" or id in self.view
            self.view[id] = change.record.data
            self.deleted.discard(id)

    def assert_saw_everything(self) -> None:
        rows = Record.objects.filter(entity_id=self.entity_id)
        assert self.view == dict(rows.live().values_list("external_id", "data"))
        tombstones = rows.exclude(deleted_at=None)
        assert self.deleted == set(tombstones.values_list("external_id", flat=True))
        assert self.revs == sorted(set(self.revs))


def running(workers: list[Worker]) -> bool:
    return not all(worker.pipe.poll() for worker in workers)


def check_reading_beside_writers(
    engine: PostgresEngine, start: Start, *, seconds: float, pause: float
) -> None:
    entity = engine.create_entity(name="Tickets", connection_id="desk")
    ids = [f"{i:03}" for i in range(40)]
    arguments = {"entity_id": entity.id, "ids": ids, "seconds": seconds, "pause": pause}
    workers = start(work.write_slowly, [arguments] * 8)
    reader = Reader(engine, entity.id, limit=7)
    for worker in workers:
        worker.go()
    readings = 0
    while running(workers):
        readings += reader.read_on()
    transactions = sum(worker.result() for worker in workers)
    while reader.read_on():
        pass
    reader.assert_saw_everything()
    # Otherwise nobody wrote while the reader read.
    assert transactions > 10 * seconds
    assert readings > 10 * seconds


def test_a_reader_beside_slow_writers_sees_every_final_state(
    engine: PostgresEngine, start: Start
) -> None:
    check_reading_beside_writers(engine, start, seconds=3, pause=0.02)


@pytest.mark.long
def test_a_reader_beside_slower_writers_sees_every_final_state_for_a_minute(
    engine: PostgresEngine, start: Start
) -> None:
    check_reading_beside_writers(engine, start, seconds=60, pause=0.05)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_stretches_shorter_than_a_write_lose_nothing_of_it(
    engine: PostgresEngine, limit: int
) -> None:
    def sync(numbers: range, version: int) -> UUID:
        records = [{"external_id": f"{i:03}", "data": {"version": version}} for i in numbers]
        return engine.sync_records(
            name="Tickets", connection_id="desk", records=records, mode="full"
        ).entity.id

    reader = Reader(engine, sync(range(300), 1), limit=limit)
    while reader.read_on():
        pass
    assert len(reader.revs) == 300
    # A stretch ends within the updates, within the additions and within the deletions.
    sync(range(150, 450), 2)
    while reader.read_on():
        pass
    assert len(reader.revs) == 300 + 300 + 150
    reader.assert_saw_everything()
