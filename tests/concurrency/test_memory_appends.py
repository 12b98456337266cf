"""Many processes append to one thread at the same time; some read, clone, delete or are killed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Embedding
from mastra_engine.models import IdempotentAppend as IdempotentAppendRow
from mastra_engine.models import Message as MessageRow
from mastra_engine.models import Thread as ThreadRow
from tests.concurrency import memory_work as work
from tests.concurrency.conftest import Start
from tests.concurrency.histories import Appended, Read, check, check_sums, unacknowledged
from tests.concurrency.processes import run_at_once
from tests.waiting import PATIENCE, wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

THREAD = "a thread"


@pytest.fixture
def memory(engine: PostgresEngine) -> Memory:
    engine.memory.create_thread(resource_id="anna", thread_id=THREAD)
    return engine.memory


def ids_in_order(thread_id: str = THREAD) -> list[str]:
    rows = MessageRow.objects.filter(thread=thread_id).order_by("position")
    return list(rows.values_list("id", flat=True))


def check_thread(thread_id: str = THREAD) -> None:
    """Positions are 1, 2, 3 …, times never run against them, sums and counters are right."""
    rows = MessageRow.objects.filter(thread=thread_id).order_by("position")
    columns = list(rows.values_list("position", "tokens", "cum_tokens", "created_at"))
    assert not rows.filter(gap_tokens__gt=0).exists()
    thread = ThreadRow.objects.get(id=thread_id)
    assert [position for position, *_ in columns] == list(range(1, len(columns) + 1))
    assert all(earlier[3] <= later[3] for earlier, later in pairwise(columns))
    check_sums([row[:3] for row in columns])
    assert thread.last_position == thread.message_count == len(columns)
    assert thread.total_tokens == thread.cum_tokens == (columns[-1][2] if columns else 0)


def appenders(number: int, calls: int, most: int, seed: int = 0) -> list[dict[str, object]]:
    return [
        {"thread_id": THREAD, "worker": seed * 100 + i, "calls": calls, "most": most}
        for i in range(number)
    ]


def check_appends(start: Start, *, processes: int, calls: int, most: int, seed: int) -> None:
    arguments = appenders(processes, calls, most, seed)
    workers = start(work.append, arguments)
    total = sum(work.sizes(argument["worker"], calls, most) for argument in arguments)  # type: ignore[arg-type]
    readers = start(work.read, [{"thread_id": THREAD, "total": total, "pause": 0.2}] * 2)
    results = run_at_once([*workers, *readers], patience=10 * PATIENCE)
    appends: Sequence[Appended] = [call for calls in results[:processes] for call in calls]
    reads: Sequence[Read] = [read for reads in results[processes:] for read in reads]

    final = ids_in_order()
    assert len(final) == total
    assert unacknowledged(final, appends) == []
    assert len({len(read.ids) for read in reads}) > 2, "nothing was read on the way"
    check(final, appends, reads)
    check_thread()


def test_appends_to_one_thread_are_in_one_order(memory: Memory, start: Start) -> None:
    check_appends(start, processes=8, calls=60, most=3, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(1, 4))
def test_sixteen_thousand_appends_to_one_thread_are_in_one_order(
    memory: Memory, start: Start, seed: int
) -> None:
    check_appends(start, processes=16, calls=1_000, most=1, seed=seed)


def test_killed_appenders_leave_no_gap_and_lose_no_confirmed_message(
    memory: Memory, start: Start
) -> None:
    workers = start(
        work.append, [{**appender, "tells": True} for appender in appenders(6, 1_000, 2)]
    )
    for worker in workers:
        worker.go()
    reported: list[Appended] = []
    for worker in workers:
        reported += [worker.report() for _ in range(random.randint(5, 40))]
        time.sleep(random.uniform(0, 0.02))
        worker.process.kill()
        while worker.pipe.poll(1):  # what it told before it died
            try:
                reported.append(worker.report())
            except EOFError:
                break
    wait_until_gone(*(worker.backend_pid for worker in workers))

    final = ids_in_order()
    check(final, reported)
    check_thread()
    # At most the one call each that was under way.
    untold = {id.split("-")[0] for id in unacknowledged(final, reported)}
    calls = len(unacknowledged(final, reported))
    assert calls <= 2 * len(untold)


def test_clones_of_a_thread_that_grows_are_prefixes_of_it(memory: Memory, start: Start) -> None:
    growing = start(work.append, appenders(4, 60, 3))
    results = run_at_once([*growing, *start(work.clone, [{"thread_id": THREAD, "times": 10}] * 2)])
    rows = MessageRow.objects.order_by("position")
    columns = ("position", "tokens", "cum_tokens", "text", "created_at")
    original = list(rows.filter(thread=THREAD).values_list(*columns))
    clones = [id for ids in results[4:] for id in ids]
    sizes = set()
    for clone in clones:
        copy = list(rows.filter(thread=clone).values_list(*columns))
        assert copy == original[: len(copy)]
        assert memory.get_thread(thread_id=clone).message_count == len(copy)
        sizes.add(len(copy))
    assert len(sizes) > 2, "the thread did not grow meanwhile"
    assert memory.get_thread(thread_id=THREAD).message_count == len(original)


def test_appends_beside_deletions_keep_the_sums(memory: Memory, start: Start) -> None:
    growing = start(work.append, appenders(4, 60, 3))
    deleting = start(work.delete_some, [{"thread_id": THREAD, "times": 40}] * 3)
    results = run_at_once([*growing, *deleting])
    appends = [call for calls in results[:4] for call in calls]
    deleted = {id for ids in results[4:] for id in ids}

    acknowledged = {id: position for call in appends for id, position in call.elements}
    rows = list(MessageRow.objects.filter(thread=THREAD).order_by("position"))
    assert {row.id: row.position for row in rows} == {
        id: position for id, position in acknowledged.items() if id not in deleted
    }
    check_sums([(row.position, row.gap_tokens + row.tokens, row.cum_tokens) for row in rows])
    thread = ThreadRow.objects.get(id=THREAD)
    assert thread.cum_tokens == rows[-1].cum_tokens
    assert thread.message_count == len(rows)
    assert thread.last_position == len(acknowledged)
    assert thread.total_tokens == sum(row.tokens for row in rows)
    assert deleted


def test_threads_saved_to_concurrently_are_created_once(
    engine: PostgresEngine, start: Start
) -> None:
    threads = [f"thread {i}" for i in range(25)]
    arguments = [{"resource_id": "anna", "threads": threads}] * 8
    answers = run_at_once(start(work.save_to_new_threads, arguments))
    for i, thread in enumerate(threads):
        assert sorted(answer[i] for answer in answers) == list(range(1, 9))
        check_thread(thread)


def test_a_thread_created_by_two_resources_at_once_belongs_to_one(
    engine: PostgresEngine, start: Start
) -> None:
    threads = [f"thread {i}" for i in range(25)]
    owners = ["anna", "bert"]
    arguments = [{"resource_id": owners[i % 2], "threads": threads} for i in range(8)]
    answers = run_at_once(start(work.save_to_new_threads, arguments))
    for i, thread in enumerate(threads):
        winner = owners.index(engine.memory.get_thread(thread_id=thread).resource_id)
        assert sorted(answer[i] for answer in answers[winner::2]) == [1, 2, 3, 4]
        assert [answer[i] for answer in answers[1 - winner :: 2]] == [None] * 4
        check_thread(thread)


def test_a_key_used_concurrently_stores_once(memory: Memory, start: Start) -> None:
    arguments = [{"thread_id": THREAD, "key": "the key", "worker": i} for i in range(8)]
    answers = run_at_once(start(work.save_with_one_key, arguments))
    assert ids_in_order() == answers[0]
    assert all(answer == answers[0] for answer in answers)
    assert IdempotentAppendRow.objects.count() == 1
    check_thread()


def test_many_who_embed_at_once_give_each_message_one_vector(memory: Memory, start: Start) -> None:
    arguments = [{"thread_id": THREAD, "worker": i, "calls": 15} for i in range(6)]
    run_at_once(start(work.save_and_embed, arguments))
    assert not MessageRow.objects.filter(embedded_at=None).exists()
    vectors = Embedding.objects.values_list("vector_id", flat=True)
    assert sorted(vectors) == sorted(ids_in_order())
    check_thread()
