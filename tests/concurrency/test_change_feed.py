"""A reader follows the change feed while others write."""

from __future__ import annotations

import time
from uuid import UUID

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from tests.concurrency import work
from tests.concurrency.conftest import Start
from tests.concurrency.feed import View
from tests.concurrency.processes import Worker, run_at_once

pytestmark = pytest.mark.django_db(transaction=True)


class Reader:
    """Somebody who reads a stretch of the change feed now and then."""

    def __init__(self, engine: PostgresEngine, entity_id: UUID, *, limit: int = 1_000) -> None:
        self.engine = engine
        self.entity_id = entity_id
        self.limit = limit
        self.next = 0
        self.view = View()

    def read_on(self) -> bool:
        """Read a stretch; tell whether there was anything."""
        changes = self.engine.get_changes(
            entity_id=self.entity_id, after=self.next, limit=self.limit
        )
        for change in changes:
            self.view.apply(change)
        self.next = changes.next
        return len(changes) > 0


def running(workers: list[Worker]) -> bool:
    return not all(worker.pipe.poll() for worker in workers)


def check_reading_beside_writers(
    engine: PostgresEngine, start: Start, *, readings: int, pause: float
) -> None:
    entity = engine.create_entity(name="Tickets", connection_id="desk")
    ids = [f"{i:03}" for i in range(40)]
    arguments = {"entity_id": entity.id, "ids": ids, "pause": pause}
    workers = start(work.write_slowly, [arguments] * 8)
    reader = Reader(engine, entity.id, limit=7)
    for worker in workers:
        worker.go()
    processed = 0
    while processed < readings:
        processed += reader.read_on()
    run_at_once(workers)  # which stops them
    while reader.read_on():
        pass
    reader.view.assert_is_all_of(reader.entity_id)


def test_a_reader_beside_slow_writers_sees_every_final_state(
    engine: PostgresEngine, start: Start
) -> None:
    check_reading_beside_writers(engine, start, readings=100, pause=0.02)


@pytest.mark.long
def test_a_reader_beside_slower_writers_sees_every_final_state_of_many(
    engine: PostgresEngine, start: Start
) -> None:
    check_reading_beside_writers(engine, start, readings=2_000, pause=0.05)


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
    assert len(reader.view.revs) == 300
    # A stretch ends within the updates, within the additions and within the deletions.
    sync(range(150, 450), 2)
    while reader.read_on():
        pass
    assert len(reader.view.revs) == 300 + 300 + 150
    reader.view.assert_is_all_of(reader.entity_id)


# Followers


def check_following(
    engine: PostgresEngine, start: Start, *, writers: int, changes: int, most: int
) -> None:
    """Have processes follow an entity that others change, one woken and one only looking."""
    entity = engine.create_entity(name="Tickets", connection_id="desk")
    followers = start(
        work.follow, [{"entity_id": entity.id, "woken": woken} for woken in (True, False)]
    )
    workers = start(
        work.change,
        [
            {"entity_id": entity.id, "worker": worker, "changes": changes // writers, "most": most}
            for worker in range(writers)
        ],
    )
    for follower in followers:
        follower.go()
        follower.report()  # it has begun
    for worker in workers:
        worker.go()
    while running(workers):
        time.sleep(0.1)
    assert [worker.result() for worker in workers] == [changes // writers] * writers
    engine.upsert_records(entity_id=entity.id, records=[{"external_id": work.END, "data": {}}])
    records = engine.get_records_by_entity_id(entity_id=entity.id)
    for follower in followers:
        view: View = follower.result()
        view.assert_is_all_of(entity.id)
        assert view.revs[-1] == changes + 1
        # Otherwise it read all of it in the end.
        assert len(view.revs) > len(records)


def test_followers_beside_writers_miss_nothing(engine: PostgresEngine, start: Start) -> None:
    check_following(engine, start, writers=3, changes=300, most=10)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_followers_of_a_hundred_thousand_changes_by_sixteen_writers_miss_none(
    engine: PostgresEngine, start: Start
) -> None:
    check_following(engine, start, writers=16, changes=100_000, most=100)
