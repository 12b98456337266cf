"""Many processes remember facts of the same claims at the same time, and one is killed."""

from __future__ import annotations

import signal
from collections import Counter
from itertools import pairwise

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Fact, FactSource
from tests.concurrency import fact_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

WRITERS = 8


def test_every_claim_has_one_current_fact_and_a_complete_history(
    engine: PostgresEngine, start: Start
) -> None:
    arguments = [{"times": 20, "worker": worker} for worker in range(WRITERS)]
    by_worker = run_at_once(start(work.remember, arguments))
    current = engine.facts.list_facts(resource_id="ann")
    assert sorted(fact.subject for fact in current) == [f"person {n}" for n in range(work.CLAIMS)]
    remembered = []
    for fact in current:
        history = engine.facts.history(id=fact.id)
        remembered += [f"{version.subject} {version.object}" for version in history]
        for old, new in pairwise(history):
            assert old.superseded_at == new.created_at
            assert old.valid_to == new.valid_from
        assert history[-1] == fact
    assert Counter(remembered) == Counter(object for own in by_worker for object in own)


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
