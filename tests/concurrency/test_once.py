"""Processes that do the same under one key, at once or after one was killed, do it once."""

from __future__ import annotations

import signal

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.failpoints import IDEMPOTENCY_FAILPOINTS
from mastra_engine.models import IdempotencyRecord, Message
from tests.concurrency import once_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.processes import run_at_once
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

THREAD = "a thread"


@pytest.fixture(autouse=True)
def _thread(engine: PostgresEngine) -> None:
    engine.memory.create_thread(resource_id="anna", thread_id=THREAD)


@pytest.mark.parametrize("place", IDEMPOTENCY_FAILPOINTS)
def test_what_is_killed_on_the_way_is_not_done_and_can_be_asked_for_again(
    start: Start, place: str
) -> None:
    (worker,) = start(work.append_once_and_die, [{"thread_id": THREAD, "place": place}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert not Message.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    answers = {work.append_once(thread_id=THREAD) for _ in range(2)}
    assert answers == {Message.objects.get().id.encode()}


def test_a_key_used_by_many_at_once_is_used_once(start: Start) -> None:
    arguments = [{"thread_id": THREAD, "worker": i, "times": 20} for i in range(6)]
    answers = [
        answer
        for answers in run_at_once(start(work.append_once_if_free, arguments))
        for answer in answers
    ]
    assert set(answers) - {None} == {Message.objects.get().id.encode()}
