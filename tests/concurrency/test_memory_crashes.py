"""A process that changes memory is killed on the way."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.failpoints import MEMORY_FAILPOINTS
from mastra_engine.models import Embedding, IdempotentAppend, Message, Thread
from tests.concurrency import memory_work as work
from tests.concurrency.conftest import Start
from tests.waiting import wait_until_gone

pytestmark = pytest.mark.django_db(transaction=True)

THREAD = "a thread"
IDS = [f"message {i}" for i in range(6)]


def save(memory: Memory) -> object:
    return memory.save_memory(
        thread_id=THREAD, messages=[work.message("new")], idempotency_key="the key"
    )


def save_to_new_thread(memory: Memory) -> object:
    messages = [work.message("new")]
    return memory.save_memory(thread_id="new", messages=messages, resource_id="anna")


def clone(memory: Memory) -> object:
    return memory.clone_thread(thread_id=THREAD, new_thread_id="new")


def delete_messages(memory: Memory) -> object:
    return memory.delete_messages(ids=IDS[:3])


def transfer(memory: Memory) -> object:
    return memory.transfer_thread(thread_id=THREAD, resource_id="bert")


def delete_thread(memory: Memory) -> object:
    return memory.delete_thread(thread_id=THREAD)


#: A change, where it is killed, and whether by then it is committed, all but the vectors.
ENDS = [
    (save_to_new_thread, "thread_made", False),
    (clone, "thread_made", False),
    (transfer, "vectors_deleted", False),
    (delete_messages, "messages_deleted", False),
    (delete_thread, "thread_deleted", False),
    (save, "embeddings_made", True),
    (save, "embeddings_stored", True),
    (save_to_new_thread, "embeddings_stored", True),
    (clone, "embeddings_made", True),
]


@pytest.fixture
def memory(transactional_db: None) -> Memory:
    """A memory that embeds, with a thread whose messages have their vectors."""
    memory = work.memory(embeds=True)
    messages = [work.message(id, text=f"Text {id}") for id in IDS]
    memory.save_memory(thread_id=THREAD, messages=messages, resource_id="anna")
    return memory


def contents() -> list[list[Any]]:
    """All that memory keeps, but for times and for what is told by vectors."""
    messages = Message.objects.order_by("thread", "position")
    return [
        list(
            Thread.objects.order_by("id").values_list(
                "id", "resource_id", "message_count", "total_tokens"
            )
        ),
        list(messages.values_list("thread", "position", "text", "cum_tokens")),
        list(IdempotentAppend.objects.values_list("thread", "idempotency_key")),
    ]


def vectors() -> list[str]:
    return sorted(Embedding.objects.values_list("vector_id", flat=True))


def messages() -> list[str]:
    return sorted(Message.objects.values_list("id", flat=True))


@pytest.mark.parametrize(
    ("change", "place", "committed"),
    ENDS,
    ids=[f"{change.__name__} {place}" for change, place, _ in ENDS],
)
def test_a_killed_change_is_done_or_undone_and_its_vectors_follow(
    memory: Memory, start: Start, change: Any, place: str, committed: bool
) -> None:
    before, vectors_before = contents(), vectors()
    assert vectors_before == messages()
    (worker,) = start(work.change_and_die, [{"change": change, "place": place}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    assert vectors() == vectors_before
    waiting = Message.objects.filter(embedded_at=None).count()
    assert (contents() != before, waiting > 0) == (committed, committed)

    if committed:
        after = contents()
        assert memory.embed_pending() == waiting
        assert contents() == after
    else:
        assert contents() == before
        change(memory)
        assert contents() != before
    assert vectors() == messages()
    assert not Message.objects.filter(embedded_at=None).exists()


def test_a_recall_embeds_messages_left_by_a_killed_process(memory: Memory, start: Start) -> None:
    (worker,) = start(work.change_and_die, [{"change": save, "place": "embeddings_made"}])
    worker.go()
    assert worker.exit_code() == -signal.SIGKILL
    wait_until_gone(worker.backend_pid)
    recalled = memory.recall(query="Hello", thread_id=THREAD, top_k=1, message_range=(0, 0))
    assert [item.id for item in recalled] == ["new"]


def test_processes_are_killed_at_every_failpoint() -> None:
    assert {place for _, place, _ in ENDS} == set(MEMORY_FAILPOINTS)
