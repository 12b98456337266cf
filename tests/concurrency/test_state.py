"""Many processes write one key of agent state at the same time, and some are killed."""

from __future__ import annotations

import signal

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.failpoints import STATE_FAILPOINTS
from mastra_engine.models import Embedding, StateItem
from tests.concurrency import state_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.memory_work import Letters
from tests.concurrency.processes import run_at_once
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 8


@pytest.mark.parametrize("before", ["nothing", "an item", "a deleted item"])
def test_one_of_many_puts_with_a_version_wins(
    engine: PostgresEngine, start: Start, before: str
) -> None:
    version = 0
    if before != "nothing":
        version = engine.state.put(namespace=work.ANN, key="k", value={}).version
    if before == "a deleted item":
        engine.state.delete(namespace=work.ANN, key="k")
    required = 0 if before == "a deleted item" else version
    arguments = [{"if_version": required, "worker": i} for i in range(WRITERS)]
    versions = run_at_once(start(work.put_of_version, arguments))
    assert [stored for stored in versions if stored is not None] == [version + 1]
    item = engine.state.get(namespace=work.ANN, key="k")
    assert item is not None
    assert versions[item.value["worker"]] == item.version


def test_versions_never_repeat(engine: PostgresEngine, start: Start) -> None:
    arguments = [{"times": 30, "worker": i} for i in range(WRITERS)]
    by_worker = run_at_once(start(work.put_and_delete, arguments))
    assert all(versions == sorted(versions) for versions in by_worker)
    stored = sorted(version for versions in by_worker for version in versions)
    assert stored == list(range(1, len(stored) + 1))


def test_counting_by_versions_counts_right(engine: PostgresEngine, start: Start) -> None:
    lost = run_at_once(start(work.count_up, [{"times": 15}] * WRITERS))
    item = engine.state.get(namespace=work.ANN, key="k")
    assert item is not None
    assert (item.value, item.version) == ({"count": 15 * WRITERS}, 15 * WRITERS)
    assert sum(lost) > 0


def test_batches_of_the_same_keys_do_not_deadlock(engine: PostgresEngine, start: Start) -> None:
    arguments = [{"times": 20, "worker": i} for i in range(WRITERS)]
    run_at_once(start(work.batches, arguments))
    assert StateItem.objects.count() == 20


#: Failpoints, and whether by then the items are committed, all but the vectors.
KILLED = list(zip(STATE_FAILPOINTS, (False, True), strict=True))


@pytest.mark.parametrize(("place", "is_committed"), KILLED)
def test_a_killed_batch_is_written_whole_or_not_at_all(
    transactional_db: None, start: Start, place: str, is_committed: bool
) -> None:
    engine = work.engine(embedder=Letters())
    old = [f"old {number}" for number in range(10)]
    for key in old:
        engine.state.put(namespace=work.ANN, key=key, value={"said": "old"})
    (worker,) = start(work.batch_until, [{"place": place}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    keys = [item.key for item in engine.state.list_items(namespace_prefix=work.ANN)]
    assert keys == ([f"{number}" for number in range(10)] if is_committed else old)
    # The vectors of deleted items went with them; those of new ones wait.
    assert Embedding.objects.count() == (0 if is_committed else 10)
    assert engine.state.index_pending() == (10 if is_committed else 0)
    assert Embedding.objects.count() == 10


def test_items_are_embedded_when_the_transaction_commits(transactional_db: None) -> None:
    from django.db import transaction

    state = work.engine(embedder=Letters()).state
    with transaction.atomic():
        state.put(namespace=work.ANN, key="k", value={"said": "tea"})
        assert not Embedding.objects.exists()
    assert Embedding.objects.get().document == "tea"
