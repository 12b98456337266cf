"""A worker of a declared sync is killed or stopped on the way, and another one goes on."""

from __future__ import annotations

import signal
import time

import pytest

from mastra_engine.backends.base.sync_runs.store import FromNow, Guard
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import SyncConflict
from mastra_engine.failpoints import SYNC_RUN_FAILPOINTS
from mastra_engine.types import SyncRun
from tests.concurrency import catalogue, work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import Worker, run_at_once
from tests.waiting import PATIENCE, wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = catalogue.SIZE // catalogue.CHUNK
PAGE_POINTS = [point for point in SYNC_RUN_FAILPOINTS if "page" in point]
WRITE_POINTS = ["records_copied", "records_updated"]
#: How often a run comes by a pause point.
STEPS = 2 + PAGES * len(PAGE_POINTS + WRITE_POINTS)


@pytest.fixture(autouse=True)
def _first_version(engine: PostgresEngine) -> None:
    catalogue.sync(engine, 0)


def left_behind(engine: PostgresEngine) -> SyncRun | None:
    """Return the run of a dead worker, its lease ended as time would have done."""
    running = engine.list_sync_runs(status="running").items
    for run in running:
        assert engine.sync_runs.store.update(run.id, Guard("running"), lease_expires_at=FromNow())
    return running[0] if running else None


def check_takeover(engine: PostgresEngine, version: int, before: catalogue.State) -> bool:
    """Have the sync end, after whatever became of its worker; tell if that had not ended it."""
    remaining = left_behind(engine)
    run = catalogue.run(engine, version)
    written = catalogue.assert_holds(catalogue.state(), version, before=before)
    if remaining is None:
        return False
    assert (run.id, run.status, run.attempts) == (remaining.id, "succeeded", 2)
    assert run.checkpoint == catalogue.SIZE
    assert run.created + run.updated + run.deleted == written
    assert run.created + run.updated + run.unchanged == catalogue.SIZE
    assert run.pages == PAGES
    check_history(engine, run)
    return True


def check_history(engine: PostgresEngine, run: SyncRun) -> None:
    """Its pages are those that were committed, once each, and say by which worker."""
    pages = engine.list_sync_pages(run_id=run.id).items
    assert [page.number for page in pages] == [*range(1, PAGES + 1)]
    for count in ("created", "updated", "unchanged", "deleted"):
        assert sum(getattr(page, count) for page in pages) == getattr(run, count)
    attempts = [page.attempt for page in pages]
    assert attempts == sorted(attempts)
    assert attempts[-1] == 2


def check_kills(engine: PostgresEngine, start: Start, versions: range) -> None:
    workers = start(work.run_catalogue, [{"version": version} for version in versions])
    halted = 0
    for version, worker in zip(versions, workers, strict=True):
        before = catalogue.state()
        worker.kill_somewhere(STEPS)
        halted += check_takeover(engine, version, before)
    # Otherwise the kills came too late to show anything.
    assert halted > len(versions) / 2


def test_the_run_of_a_worker_killed_at_any_moment_is_taken_over(
    engine: PostgresEngine, start: Start
) -> None:
    check_kills(engine, start, range(1, 16))


@pytest.mark.long
def test_the_runs_of_a_hundred_killed_workers_are_taken_over(
    engine: PostgresEngine, start: Start
) -> None:
    for first in range(1, 101, 25):  # not more processes at a time than the server takes
        check_kills(engine, start, range(first, first + 25))


@pytest.mark.parametrize("place", [*SYNC_RUN_FAILPOINTS, *WRITE_POINTS])
def test_the_run_of_a_worker_killed_at_a_pause_point_is_taken_over(
    engine: PostgresEngine, start: Start, place: str
) -> None:
    before = catalogue.state()
    visit = 3 if place in PAGE_POINTS + WRITE_POINTS else 1
    (worker,) = start(work.run_catalogue_and_die, [{"version": 1, "place": place, "visit": visit}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert check_takeover(engine, 1, before)


def test_workers_of_one_sync_do_not_run_at_once(engine: PostgresEngine, start: Start) -> None:
    before = catalogue.state()
    workers = start(work.run_catalogue_at_once, [{"version": 1}] * 6)
    runs = [run for run in run_at_once(workers) if run is not None]
    written = catalogue.assert_holds(catalogue.state(), 1, before=before)
    assert sum(run.created + run.updated + run.deleted for run in runs) == written
    assert {run.status for run in runs} == {"succeeded"}
    assert len(engine.list_sync_runs()) == len(runs)


# A worker that is stopped


LEASE = 3.0  # seconds; a slow machine starts a run within them


def stopped(start: Start, place: str) -> Worker:
    """Return a worker that came by its third page and stands still."""
    arguments = {"version": 1, "place": place, "visit": 3, "lease": LEASE}
    (worker,) = start(work.run_catalogue_and_stop, [arguments])
    worker.go()
    worker.report()
    return worker


def run_when_free(engine: PostgresEngine) -> SyncRun:
    """Run the sync as soon as the lease of the other worker is over."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return catalogue.run(engine, 1)
        except SyncConflict:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_worker_that_wakes_up_after_a_takeover_writes_nothing(
    engine: PostgresEngine, start: Start
) -> None:
    before = catalogue.state()
    worker = stopped(start, "run_page_committed")
    with pytest.raises(SyncConflict):
        catalogue.run(engine, 1)
    run = run_when_free(engine)
    assert (run.status, run.attempts) == ("succeeded", 2)
    processed = catalogue.state()
    catalogue.assert_holds(processed, 1, before=before)

    worker.resume()
    assert worker.result() == run
    assert catalogue.state() == processed
    assert engine.get_sync_run(id=run.id) == run


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(
    engine: PostgresEngine, start: Start
) -> None:
    before = catalogue.state()
    worker = stopped(start, "run_page_committed")
    time.sleep(LEASE * 1.2)
    halfway = catalogue.state()
    worker.resume()
    remaining = worker.result()
    assert (remaining.status, remaining.pages) == ("running", 3)
    assert catalogue.state() == halfway
    assert catalogue.run(engine, 1).attempts == 2
    catalogue.assert_holds(catalogue.state(), 1, before=before)


def test_a_worker_that_wakes_up_within_a_page_takes_it_back(
    engine: PostgresEngine, start: Start
) -> None:
    """It holds the entity's lock meanwhile, which others wait for as long as they like."""
    before = catalogue.state()
    worker = stopped(start, "run_page_written")
    hasty = PostgresEngine(lock_timeout=0.2)
    run = run_when_free(hasty)
    assert run.error is not None
    assert (run.status, run.attempts) == ("failed", 2)
    assert run.error.type == "mastra_engine.exceptions.Unavailable"

    worker.resume()
    assert worker.result() == run
    processed = engine.perform_sync_run(id=engine.retry_sync_run(id=run.id).id)
    assert (processed.id, processed.status) == (run.id, "succeeded")
    catalogue.assert_holds(catalogue.state(), 1, before=before)
