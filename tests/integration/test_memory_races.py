"""The unlucky moments of memory, one by one."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import ThreadNotFound, Unavailable, VersionConflict
from mastra_engine.models import Embedding, Message, Thread, WorkingMemory
from tests.concurrency.memory_work import Letters
from tests.integration.conftest import Elsewhere
from tests.integration.interleaving import just_before

pytestmark = pytest.mark.django_db(transaction=True)

THREAD = "a thread"
APPEND = "INSERT INTO mastra_engine_message"
MAKE_THREAD = "INSERT INTO mastra_engine_thread"


def texts(*ids: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Text {id}", "id": id} for id in ids]


@pytest.fixture
def memory(transactional_db: None) -> Memory:
    """A memory with a thread of three messages that wait for their vectors."""
    memory = PostgresEngine(embedder=Letters()).memory
    memory.vectors.create_index(index_name="memory", dimension=8)
    memory.embeds_at_once = False
    memory.save_memory(thread_id=THREAD, messages=texts("1", "2", "3"), resource_id="anna")
    return memory


@pytest.fixture
def others(other: PostgresEngine, memory: Memory) -> Memory:
    """Somebody else's memory of the same."""
    other.memory.vectors.embedder = Letters()
    other.memory.embeds_at_once = False
    return other.memory


def vectors() -> set[str]:
    return set(Embedding.objects.values_list("vector_id", flat=True))


# Deleting, transferring and embedding


def delete(memory: Memory) -> object:
    return memory.delete_thread(thread_id=THREAD)


def transfer(memory: Memory) -> object:
    return memory.transfer_thread(thread_id=THREAD, resource_id="bert")


@pytest.mark.parametrize("moment", ["SET LOCAL lock_timeout", "FOR NO KEY UPDATE"])
def test_a_thread_deleted_while_its_messages_are_embedded_leaves_no_vectors(
    memory: Memory, others: Memory, moment: str
) -> None:
    with just_before(moment, lambda: others.delete_thread(thread_id=THREAD)):
        memory.embed_pending()
    assert not Message.objects.exists()
    assert vectors() == set()


@pytest.mark.parametrize("moment", ["SET LOCAL lock_timeout", "FOR NO KEY UPDATE"])
def test_messages_transferred_while_they_are_embedded_have_vectors_of_their_new_resource(
    memory: Memory, others: Memory, moment: str
) -> None:
    with just_before(moment, lambda: transfer(others)):
        memory.embed_pending()
    assert set(Embedding.objects.values_list("vector_id", "namespace")) == {
        (id, "bert") for id in ("1", "2", "3")
    }


@pytest.mark.parametrize("moment", ["SET LOCAL lock_timeout", "FOR NO KEY UPDATE"])
def test_messages_deleted_while_they_are_embedded_leave_no_vectors(
    memory: Memory, others: Memory, moment: str
) -> None:
    with just_before(moment, lambda: others.delete_messages(ids=["1", "3"])):
        memory.embed_pending()
    assert vectors() == {"2"}


@pytest.mark.parametrize("name", ["delete_thread", "delete_messages", "transfer_thread"])
def test_a_deletion_or_transfer_waits_until_vectors_are_stored(
    memory: Memory, elsewhere: Elsewhere, name: str
) -> None:
    hasty = elsewhere(lock_timeout=0.1, statement_timeout="3s").memory
    change: Any = {
        "delete_thread": lambda: delete(hasty),
        "delete_messages": lambda: hasty.delete_messages(ids=["1", "2", "3"]),
        "transfer_thread": lambda: transfer(hasty),
    }[name]

    def try_to_change() -> None:
        with pytest.raises(Unavailable):
            change()

    with just_before("ON CONFLICT (index_id, namespace, id)", try_to_change):
        memory.embed_pending()
    assert vectors() == {"1", "2", "3"}
    change()
    assert vectors() == set()


@pytest.mark.parametrize("change", [delete, transfer])
@pytest.mark.parametrize("isolation", ["repeatable\\ read", "serializable"])
def test_a_change_that_began_before_vectors_were_stored_is_retried(
    memory: Memory, elsewhere: Elsewhere, isolation: str, change: Any
) -> None:
    """In its old snapshot the vectors are not there to be deleted."""
    isolated = elsewhere(default_transaction_isolation=isolation)
    with just_before("FOR UPDATE", memory.embed_pending, on=isolated):
        change(isolated.memory)
    assert vectors() == set()


def test_messages_embedded_twice_at_once_have_one_vector_each(
    memory: Memory, others: Memory
) -> None:
    with just_before("FOR NO KEY UPDATE", others.embed_pending):
        memory.embed_pending()
    assert sorted(Embedding.objects.values_list("vector_id", flat=True)) == ["1", "2", "3"]


def test_the_index_of_messages_made_by_another_in_between_is_used(
    memory: Memory, others: Memory
) -> None:
    memory.vectors.delete_index(index_name="memory")
    with just_before("pg_advisory_xact_lock", others.embed_pending):
        memory.embed_pending()
    assert vectors() == {"1", "2", "3"}


# Appending


def test_a_thread_made_by_another_in_between_is_appended_to(memory: Memory, others: Memory) -> None:
    def save(by: Memory, id: str) -> int:
        messages = texts(id)
        return by.save_memory(thread_id="new", messages=messages, resource_id="anna")[0].position

    with just_before(MAKE_THREAD, lambda: save(others, "theirs")):
        assert save(memory, "mine") == 2


def test_a_thread_made_by_another_resource_in_between_is_not_found(
    memory: Memory, others: Memory
) -> None:
    make = lambda: others.create_thread(resource_id="bert", thread_id="new")  # noqa: E731
    with just_before(MAKE_THREAD, make), pytest.raises(ThreadNotFound):
        memory.save_memory(thread_id="new", messages=texts("mine"), resource_id="anna")
    assert not Message.objects.filter(thread="new").exists()


def test_a_thread_deleted_in_between_is_created_again_for_its_resource(
    memory: Memory, others: Memory
) -> None:
    with just_before(APPEND, lambda: others.delete_thread(thread_id=THREAD)):
        (saved,) = memory.save_memory(thread_id=THREAD, messages=texts("mine"), resource_id="anna")
    assert saved.position == 1
    assert memory.get_thread(thread_id=THREAD).message_count == 1


def test_a_thread_made_and_deleted_in_between_is_created_for_its_resource(
    memory: Memory, others: Memory
) -> None:
    make = lambda: others.create_thread(resource_id="anna", thread_id="new")  # noqa: E731
    delete = lambda: others.delete_thread(thread_id="new")  # noqa: E731
    with just_before(MAKE_THREAD, make), just_before(APPEND, lambda: None, delete):
        (saved,) = memory.save_memory(thread_id="new", messages=texts("mine"), resource_id="anna")
    assert saved.position == 1


def test_a_thread_deleted_in_between_is_not_found(memory: Memory, others: Memory) -> None:
    delete = lambda: others.delete_thread(thread_id=THREAD)  # noqa: E731
    with just_before(APPEND, delete), pytest.raises(ThreadNotFound):
        memory.save_memory(thread_id=THREAD, messages=texts("mine"))
    assert not Message.objects.exists()


@pytest.mark.parametrize("isolation", ["repeatable\\ read", "serializable"])
def test_an_append_that_began_before_another_ended_is_retried(
    memory: Memory, elsewhere: Elsewhere, isolation: str
) -> None:
    """A project may have chosen such an isolation level for all its transactions."""
    isolated = elsewhere(default_transaction_isolation=isolation)
    mine = isolated.memory

    def save(by: Memory, id: str) -> Any:
        return by.save_memory(thread_id="new", messages=texts(id), resource_id="anna")

    with just_before(MAKE_THREAD, lambda: save(memory, "theirs"), on=isolated):
        assert save(mine, "mine")[0].position == 2


def test_times_do_not_run_against_positions_whatever_the_clock_does(
    memory: Memory,
) -> None:
    """As after the clock was set back: what was last used is in the future."""
    for thread in Thread.objects.all():
        thread.updated_at += timedelta(hours=1)
        thread.save()
    memory.save_memory(thread_id=THREAD, messages=texts("4"))
    memory.update_thread(thread_id=THREAD, title="New")
    memory.save_memory(thread_id=THREAD, messages=texts("5"))
    times = [message.created_at for message in memory.list_messages(thread_id=THREAD)]
    assert all(earlier <= later for earlier, later in pairwise(times))


# Cloning, and working memory


def test_a_thread_deleted_before_it_is_cloned_is_not_found(memory: Memory, others: Memory) -> None:
    delete = lambda: others.delete_thread(thread_id=THREAD)  # noqa: E731
    with just_before(MAKE_THREAD, delete), pytest.raises(ThreadNotFound):
        memory.clone_thread(thread_id=THREAD, new_thread_id="new")
    assert not Thread.objects.exists()


def test_a_thread_appended_to_before_it_is_cloned_is_cloned_whole(
    memory: Memory, others: Memory
) -> None:
    save = lambda: others.save_memory(thread_id=THREAD, messages=texts("4"))  # noqa: E731
    with just_before(MAKE_THREAD, save):
        clone = memory.clone_thread(thread_id=THREAD)
    assert clone.message_count == 4
    assert len(memory.get_context_window(thread_id=clone.id, max_tokens=10_000)) == 4


def test_messages_deleted_after_they_were_chosen_are_not_counted_twice(
    memory: Memory, others: Memory
) -> None:
    with just_before("FOR NO KEY UPDATE", lambda: others.delete_messages(ids=["1"])):
        assert memory.delete_messages(ids=["1", "2"]) == 1
    thread = Thread.objects.get()
    (remaining,) = Message.objects.all()
    assert (thread.message_count, thread.total_tokens) == (1, remaining.tokens)
    assert thread.cum_tokens == remaining.cum_tokens == remaining.gap_tokens + remaining.tokens


def test_working_memory_of_a_thread_deleted_in_between_is_not_found(
    memory: Memory, others: Memory
) -> None:
    delete = lambda: others.delete_thread(thread_id=THREAD)  # noqa: E731
    write = "INSERT INTO mastra_engine_workingmemory"
    with just_before(write, delete), pytest.raises(ThreadNotFound):
        memory.update_working_memory(thread_id=THREAD, content="Asks about tea")
    assert not WorkingMemory.objects.exists()


def test_working_memory_deleted_in_between_has_no_version_any_more(
    memory: Memory, elsewhere: Elsewhere
) -> None:
    """Its snapshot, taken before, shows what was there, as if the deletion had just been begun."""
    late = elsewhere(default_transaction_isolation="repeatable\\ read")
    memory.update_working_memory(resource_id="anna", content="Likes tea")
    erase = lambda: WorkingMemory.objects.all().delete()  # noqa: E731
    write = "INSERT INTO mastra_engine_workingmemory"
    with just_before(write, erase, on=late), pytest.raises(VersionConflict):
        late.memory.update_working_memory(resource_id="anna", content="Coffee", if_version=1)
    assert not WorkingMemory.objects.exists()
