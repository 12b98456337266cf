"""Many processes remember facts of the same claims at the same time, and one is killed."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from mastra_engine import types
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.failpoints import FACT_FAILPOINTS
from mastra_engine.models import Fact, FactReading, FactSource
from mastra_engine.testing.contract.fact_extraction import current
from tests.concurrency import fact_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once
from tests.waiting import PATIENCE, wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 8


@pytest.mark.parametrize(
    ("writers", "times"),
    [(8, 25), pytest.param(16, 1_000, marks=[pytest.mark.long, pytest.mark.timeout(1_800)])],
)
def test_every_claim_has_one_current_fact_and_a_complete_history(
    engine: PostgresEngine, start: Start, writers: int, times: int
) -> None:
    arguments = [{"times": times, "worker": worker} for worker in range(writers)]
    by_worker = run_at_once(start(work.remember, arguments), patience=PATIENCE + times)
    expected = Counter(object for own in by_worker for object in own)
    histories = histories_of_current_facts(engine)
    assert {fact.subject for fact in Fact.objects.all()} == histories.keys()
    assert (
        Counter(f"{subject} {fact.object}" for subject, own in histories.items() for fact in own)
        == expected
    )


def histories_of_current_facts(engine: PostgresEngine) -> dict[str, list[types.Fact]]:
    """Return the versions of each claim, of which the last one is current, by its subject."""
    histories: dict[str, list[types.Fact]] = {}
    for fact in engine.facts.list_facts(resource_id="ann"):
        history = engine.facts.history(id=fact.id)
        for old, new in pairwise(history):
            assert old.superseded_at == new.created_at
            assert old.valid_to == new.valid_from
        assert history[-1] == fact
        assert fact.subject not in histories
        histories[fact.subject] = history
    return histories


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
def test_a_killed_process_leaves_calls_whole_or_undone(
    engine: PostgresEngine, start: Start, kills: int
) -> None:
    first = 0
    for _ in range(kills):
        (worker,) = start(work.remember_one_after_the_other, [{"first": first}])
        worker.go()
        reported = [worker.report() for _ in range(random.randint(1, 10))]
        time.sleep(random.uniform(0, 0.02))
        worker.kill()
        wait_until_gone(worker.backend_pid)
        histories = histories_of_current_facts(engine)
        both, also, alone = (
            [int(fact.object) for fact in histories[f"person {number}"]] for number in range(3)
        )
        assert both == also == list(range(len(both)))
        assert alone in (both, both[:-1])
        assert reported[-1] in alone
        first = len(both)
        for number in range(3):  # the next worker continues all claims at the same object
            engine.facts.remember(resource_id="ann", facts=[work.claim(number, str(first - 1))])


def test_concurrent_calls_with_one_key_remember_one_fact(
    engine: PostgresEngine, start: Start
) -> None:
    arguments = [{"worker": worker} for worker in range(WRITERS)]
    ids = run_at_once(start(work.remember_with_key, arguments))
    assert len(set(ids)) == 1
    assert Fact.objects.count() == 1


def test_no_fact_rests_on_a_message_that_is_being_deleted(
    engine: PostgresEngine, start: Start
) -> None:
    for _ in range(5):
        (message,) = engine.memory.save_memory(
            thread_id="t", resource_id="ann", messages=[{"role": "user", "content": "x"}]
        )
        workers = start(work.remember_from, [{"message_id": message.id}] * 3)
        workers += start(work.delete_message, [{"message_id": message.id}])
        assert run_at_once(workers)[-1] is True
        assert Fact.objects.count() == FactSource.objects.count() == 0


def test_facts_of_a_killed_process_are_not_remembered(engine: PostgresEngine, start: Start) -> None:
    (old,) = engine.facts.remember(resource_id="ann", facts=[work.claim(0, "Berlin")])
    (worker,) = start(work.remember_until_killed, [{}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert list(engine.facts.list_facts(resource_id="ann", include_superseded=True)) == [old]


@pytest.mark.parametrize("place", [name for name in FACT_FAILPOINTS if name != "facts_indexed"])
def test_facts_that_a_killed_process_extracts_are_neither_lost_nor_doubled(
    engine: PostgresEngine, start: Start, place: str
) -> None:
    work.say("Berlin")
    (worker,) = start(work.extract_until_killed, [{"place": place}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert Fact.objects.count() == 0
    assert work.extract() == ["Berlin"]
    assert work.extract() == []
    assert Fact.objects.count() == FactSource.objects.count() == 1


@pytest.mark.parametrize("dies", [False, True])
def test_a_worker_whose_messages_another_one_has_read_stores_nothing(
    engine: PostgresEngine, start: Start, dies: bool
) -> None:
    """Its claim expires while it waits between the model's answer and the transaction."""
    work.say("Berlin")
    late, other = start(work.extract_late, [{}]) + start(work.extract, [{}])
    late.go()
    assert late.report() == "facts_extracted"
    FactReading.objects.update(claimed_until=datetime(2020, 1, 1, tzinfo=UTC))
    other.go()
    assert other.result() == ["Berlin"]
    if dies:
        late.kill()
        wait_until_gone(late.backend_pid)
    else:
        late.go()
        assert late.result() == ["Berlin"]
    assert [fact.object for fact in Fact.objects.all()] == ["Berlin"]
    reading = FactReading.objects.get()
    assert (reading.position, reading.claimed_until) == (1, None)


def test_a_message_is_read_once_by_many_processes(engine: PostgresEngine, start: Start) -> None:
    texts = [f"{number}" for number in range(60)]
    for text in texts:
        work.say(text)
    by_worker = run_at_once(start(work.extract, [{}] * WRITERS))
    assert sorted(text for own in by_worker for text in own) == sorted(texts)
    assert Fact.objects.count() == FactSource.objects.count() == len(texts)


def test_messages_that_are_saved_while_a_thread_is_read_are_read_too(
    engine: PostgresEngine, start: Start
) -> None:
    """Each worker saves a message and performs its task; the reader of the thread reads all."""
    run_at_once(start(work.say_and_extract, [{"worker": worker} for worker in range(WRITERS)]))
    assert current(work.extracting()) != []
    assert Fact.objects.count() == WRITERS * work.TURNS
