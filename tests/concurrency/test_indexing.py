"""Indexers are killed, stopped, and at it all at once: what they leave is what the records say."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.functions import Now

from mastra_engine.backends.base.record_search import indexer
from mastra_engine.backends.base.vectors.search import CHUNK, ENTITY, RECORD
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.failpoints import INDEX_FAILPOINTS
from mastra_engine.models import Embedding, IndexProgress, Record
from mastra_engine.registry import registry
from tests.concurrency import index_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

#: No version takes fewer.
BATCHES = 6
#: With claims that are over at once, all do the same work, and only one may store it.
LEASES = pytest.mark.parametrize("lease", [60.0, -1.0], ids=["claiming", "racing"])

CONNECTION = work.NAME["connection_id"]
Passage = tuple[str, str, str, list[float], dict[str, Any]]


@pytest.fixture
def engine(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresEngine]:
    monkeypatch.setattr(indexer, "PAGE", indexer.PAGE)  # a worker's are left as they are set
    monkeypatch.setattr(indexer, "BATCH", indexer.BATCH)
    with registry.empty():
        yield work.make_engine()


def stored() -> list[Passage]:
    columns = ("vector_id", "namespace", "document", "embedding", "metadata")
    rows = Embedding.objects.order_by("vector_id", "row_id").values_list(*columns)
    return [(*rest, [*map(float, vector)], row) for *rest, vector, row in rows]  # type: ignore[misc]


def expected_passages() -> list[Passage]:
    """Return the chunks of the records as they are, in the same order."""
    chunks = []
    for record in Record.objects.filter(deleted_at=None):
        subject = {ENTITY: str(record.entity_id), RECORD: record.external_id}
        for number, piece in enumerate(work.pieces(work.text(record.data))):
            id, vector = f"{record.id}/{number}", work.Prints().embed_query(piece)
            chunks.append((id, CONNECTION, piece, vector, {**subject, CHUNK: number}))
    return sorted(chunks, key=lambda chunk: chunk[0])


def check_up_to_bookmark(before: list[Passage]) -> None:
    """Each record has its present chunks up to the progress, those it had before after it."""
    (rev,) = IndexProgress.objects.values_list("rev", flat=True)
    read = {str(id) for id in Record.objects.filter(rev__lte=rev).values_list("id", flat=True)}
    remaining = [chunk for chunk in before if chunk[0].split("/")[0] not in read]
    processed = [chunk for chunk in expected_passages() if chunk[0].split("/")[0] in read]
    assert stored() == sorted(remaining + processed, key=lambda chunk: chunk[0])


def end_claim() -> bool:
    """End the claim of a dead indexer, as time would have done; tell whether there was one."""
    return bool(IndexProgress.objects.exclude(claimed_until=None).update(claimed_until=Now()))


# Killed


def check_kills(engine: PostgresEngine, start: Start, versions: range) -> None:
    workers = start(work.index_step_by_step, [{}] * len(versions))
    halted = 0
    for version, worker in zip(versions, workers, strict=True):
        work.sync(engine, version)
        before = stored()
        worker.kill_somewhere(BATCHES * len(INDEX_FAILPOINTS))
        check_up_to_bookmark(before)
        halted += stored() != expected_passages()
        end_claim()
        engine.index_pending()
        assert stored() == expected_passages()
    # Otherwise the kills came too late to show anything.
    assert halted > len(versions) / 2


def test_what_an_indexer_killed_at_any_moment_leaves_is_gone_on_with(
    engine: PostgresEngine, start: Start
) -> None:
    check_kills(engine, start, range(8))


@pytest.mark.long
def test_what_a_hundred_killed_indexers_leave_is_gone_on_with(
    engine: PostgresEngine, start: Start
) -> None:
    for first in range(0, 100, 25):  # not more processes at a time than the server takes
        check_kills(engine, start, range(first, first + 25))


@pytest.mark.parametrize("place", INDEX_FAILPOINTS)
def test_what_an_indexer_killed_at_a_pause_point_leaves_is_gone_on_with(
    engine: PostgresEngine, start: Start, place: str
) -> None:
    work.sync(engine, 0)
    engine.index_pending()
    before = stored()
    changed = work.sync(engine, 1)
    (worker,) = start(work.index_and_die, [{"place": place, "visit": 3}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    check_up_to_bookmark(before)
    assert before != stored() != expected_passages()

    if place != "progress_moved":  # until its claim is over it may be alive
        assert engine.index_pending() == 0
        assert end_claim()
    assert 0 < engine.index_pending() < changed
    assert stored() == expected_passages()


def test_an_indexer_that_wakes_up_after_another_was_at_it_writes_nothing(
    engine: PostgresEngine, start: Start
) -> None:
    work.sync(engine, 0)
    (worker,) = start(work.index_and_stop, [{"place": "chunks_embedded", "lease": -1.0}])
    worker.go()
    worker.report()
    work.sync(engine, 1)
    engine.index_pending()
    assert stored() == expected_passages()
    rows = list(Embedding.objects.order_by("row_id").values_list())

    worker.resume()
    assert worker.result() == 0
    assert list(Embedding.objects.order_by("row_id").values_list()) == rows


# At once


@LEASES
def test_indexers_at_once_deal_with_each_change_once(
    engine: PostgresEngine, start: Start, lease: float
) -> None:
    for version in range(3):  # of an index that none of them has made yet, at first
        changed = work.sync(engine, version)
        assert sum(run_at_once(start(work.index, [{"lease": lease}] * 3))) == changed
        assert stored() == expected_passages()


def check_quick_changes(engine: PostgresEngine, start: Start, lease: float, times: int) -> None:
    entity = engine.create_entity(**work.NAME)
    indexer = {"entity_id": entity.id, "rev": 2 * times, "lease": lease}
    indexers = start(work.index_until, [indexer] * 2)
    (writer,) = start(work.change_twice, [{"entity_id": entity.id, "times": times}])
    run_at_once([writer, *indexers])
    assert stored() == expected_passages()
    assert engine.index_pending() == 0


@LEASES
def test_a_record_changed_twice_quickly_ends_with_its_latest_chunks(
    engine: PostgresEngine, start: Start, lease: float
) -> None:
    check_quick_changes(engine, start, lease, times=20)


@pytest.mark.long
def test_two_hundred_records_changed_twice_quickly_end_with_their_latest_chunks(
    engine: PostgresEngine, start: Start
) -> None:
    check_quick_changes(engine, start, lease=-1.0, times=200)
