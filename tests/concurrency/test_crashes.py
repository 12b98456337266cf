"""A process that syncs is killed, stopped or broken off on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import Unavailable
from mastra_engine.failpoints import RECORD_FAILPOINTS
from tests.concurrency import catalogue, work
from tests.concurrency.conftest import Start
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

#: How often a sync in small chunks comes by a pause point.
STEPS = len(RECORD_FAILPOINTS) - 2 + 2 * (catalogue.SIZE // catalogue.CHUNK)


def check_kills(engine: PostgresEngine, start: Start, times: int) -> None:
    catalogue.sync(engine, 0)
    workers = start(work.sync_catalogue, [{"version": i + 1} for i in range(times)])
    halted = 0
    for version, worker in enumerate(workers, start=1):
        before = catalogue.state()
        worker.kill_somewhere(STEPS)
        after = catalogue.state()
        halted += after == before
        if after != before:
            catalogue.assert_is_version(after, version, before=before)
        catalogue.sync(engine, version)
        catalogue.assert_is_version(catalogue.state(), version, before=before)
    # Otherwise the kills came too late to show anything.
    assert halted > times / 2


def test_a_sync_killed_at_any_moment_is_done_or_undone_and_can_be_repeated(
    engine: PostgresEngine, start: Start
) -> None:
    check_kills(engine, start, times=20)


@pytest.mark.long
def test_a_sync_killed_a_hundred_times_is_done_or_undone(
    engine: PostgresEngine, start: Start
) -> None:
    for _ in range(4):  # not more processes at a time than the server takes
        check_kills(engine, start, times=25)


@pytest.mark.parametrize("place", RECORD_FAILPOINTS)
def test_a_sync_killed_at_a_pause_point_has_changed_nothing(
    engine: PostgresEngine, start: Start, place: str
) -> None:
    catalogue.sync(engine, 0)
    before = catalogue.state()
    # On the second visit something has been written already.
    visit = 2 if place.startswith("records_") else 1
    (worker,) = start(work.sync_catalogue_and_die, [{"version": 1, "place": place, "visit": visit}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert catalogue.state() == before

    catalogue.sync(engine, 1)
    catalogue.assert_is_version(catalogue.state(), 1, before=before)


def test_a_sync_that_runs_out_of_memory_has_changed_nothing(
    engine: PostgresEngine, start: Start
) -> None:
    catalogue.sync(engine, 0)
    before = catalogue.state()
    (worker,) = start(work.sync_catalogue_and_run_out_of_memory, [{"version": 1}])
    worker.go()
    assert worker.result() == "out of memory"
    assert catalogue.state() == before
    catalogue.sync(engine, 1)
    catalogue.assert_is_version(catalogue.state(), 1, before=before)


class SourceFailed(Exception):
    pass


def records_that_fail_after(number: int) -> Iterator[dict[str, Any]]:
    for i in range(number):
        yield {"external_id": f"{i:06}", "data": {"from": "a source that fails"}}
    raise SourceFailed


@pytest.mark.parametrize("mode", ["incremental", "full"])
def test_a_sync_whose_source_fails_after_the_first_chunk_has_changed_nothing(
    engine: PostgresEngine, mode: Any
) -> None:
    catalogue.sync(engine, 0)
    before = catalogue.state()
    with pytest.raises(SourceFailed):
        engine.sync_records(
            **catalogue.NAME, records=records_that_fail_after(5_500), last_sync_id="x", mode=mode
        )
    assert catalogue.state() == before


def test_an_upsert_whose_source_fails_after_the_first_chunk_has_changed_nothing(
    engine: PostgresEngine,
) -> None:
    entity = catalogue.sync(engine, 0).entity
    before = catalogue.state()
    with pytest.raises(SourceFailed):
        engine.upsert_records(entity_id=entity.id, records=records_that_fail_after(5_500))
    assert catalogue.state() == before


def test_others_wait_no_longer_than_their_lock_timeout_for_a_process_that_stands_still(
    engine: PostgresEngine, start: Start
) -> None:
    entity = catalogue.sync(engine, 0).entity
    before = catalogue.state()
    (worker,) = start(work.sync_catalogue_and_stop, [{"version": 1, "place": "sync_before_commit"}])
    worker.go()
    worker.report()

    hasty = PostgresEngine(lock_timeout=0.3)
    with pytest.raises(Unavailable, match="55P03"):
        hasty.upsert_records(
            entity_id=entity.id, records=[{"external_id": "000000", "data": {"mine": True}}]
        )
    # Readers and other entities have nothing to wait for.
    assert catalogue.state() == before
    hasty.sync_records(name="Orders", connection_id="shop", records=[])

    worker.resume()
    worker.result()
    catalogue.assert_is_version(catalogue.state(), 1, before=before)
    hasty.delete_records(entity_id=entity.id, external_ids=["000500"])
