"""Conversations on PostgreSQL: several threads at once, and the transaction of the caller."""

from __future__ import annotations

from threading import Barrier
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict, ConversationRecord
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart

from mastra_engine import PostgresEngine
from mastra_engine.contrib.pydantic_ai import EngineConversationStore
from tests.frameworks.threads import THREADS, in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> EngineConversationStore:
    return EngineConversationStore(resource_id="ann", engine=PostgresEngine(lock_timeout=60))


def prompt(text: str) -> ModelMessage:
    return ModelRequest(parts=[UserPromptPart(text)])


def prompts(count: int) -> list[ModelMessage]:
    return [prompt(str(number)) for number in range(count)]


def texts(conversation: Conversation | None) -> list[Any]:
    assert conversation is not None
    return [part.content for message in conversation.messages for part in message.parts]


def stored_keys(store: EngineConversationStore) -> set[str]:
    page = store.engine.state.list_items(namespace_prefix=("ann",), limit=10_000)
    return {item.key for item in page}


def test_concurrent_saves_lose_nothing(store: EngineConversationStore) -> None:
    async def append(text: str) -> int:
        conflicts = 0
        while True:
            conversation = await store.load("c") or Conversation(conversation_id="c")
            conversation.messages.append(prompt(text))
            try:
                await store.save(conversation)
            except ConversationConflict:
                conflicts += 1
            else:
                return conflicts

    def work(thread: int) -> int:
        return sum(async_to_sync(append)(f"{thread}-{number}") for number in range(10))

    assert sum(in_threads(work)) > 0
    saved = texts(async_to_sync(store.load)("c"))
    assert sorted(saved) == sorted(f"{thread}-{n}" for thread in range(THREADS) for n in range(10))
    assert len(stored_keys(store)) == len(saved) + 1


def test_one_of_several_saves_of_a_revision_wins(store: EngineConversationStore) -> None:
    async_to_sync(store.save)(Conversation(conversation_id="c", messages=prompts(3)))

    async def save(thread: int) -> bool:
        loaded = await store.load("c")
        assert loaded is not None
        barrier.wait()
        loaded.messages.append(prompt(f"thread {thread}"))
        try:
            await store.save(loaded)
        except ConversationConflict:
            return False
        return True

    barrier = Barrier(THREADS)
    assert sum(in_threads(async_to_sync(save))) == 1
    assert len(texts(async_to_sync(store.load)("c"))) == 4
    assert len(stored_keys(store)) == 5


@pytest.mark.parametrize("attempt", range(10))
def test_a_fork_of_a_conversation_that_is_deleted_is_whole_or_refused(
    store: EngineConversationStore, attempt: int
) -> None:
    async_to_sync(store.save)(Conversation(conversation_id="c", messages=prompts(40)))

    async def fork_or_delete(thread: int) -> bool:
        if thread == 0:
            await store.delete("c")
            return False
        try:
            await store.fork("c", at=20 + thread, new_conversation_id=f"fork {thread}")
        except (UserError, LookupError):  # A conflict is a UserError.
            return False
        return True

    forked = in_threads(async_to_sync(fork_or_delete))
    for thread, is_forked in enumerate(forked):
        loaded = async_to_sync(store.load)(f"fork {thread}")
        assert (loaded is not None) == is_forked
        if is_forked:
            assert texts(loaded) == [str(number) for number in range(20 + thread)]
    longest = max((20 + thread for thread, is_forked in enumerate(forked) if is_forked), default=0)
    assert len(stored_keys(store)) == sum(forked) + longest


def test_a_fork_made_while_a_long_conversation_is_deleted_stays_whole(
    store: EngineConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion takes several batches, and the fork is made between two of them."""
    entries = async_to_sync(store.save)(Conversation(conversation_id="c", messages=prompts(50)))
    monkeypatch.setattr("mastra_engine.contrib.pydantic_ai.MAX_OPERATIONS", 10)
    delete_batch = store.engine.state.abatch
    batches = []

    async def fork_after_two(*, operations: list[Any]) -> list[Any]:
        batches.append(operations)
        if [batch[0]["op"] for batch in batches].count("delete") == 3:
            monkeypatch.setattr(store.engine.state, "abatch", delete_batch)
            fork = ConversationRecord(conversation_id="fork", head_id=entries[20].id)
            await store.write_record(fork, expected_revision=None)
            monkeypatch.setattr(store.engine.state, "abatch", fork_after_two)
        return await delete_batch(operations=operations)

    monkeypatch.setattr(store.engine.state, "abatch", fork_after_two)
    async_to_sync(store.delete)("c")
    monkeypatch.setattr(store.engine.state, "abatch", delete_batch)
    assert texts(async_to_sync(store.load)("fork")) == [str(number) for number in range(21)]
    assert async_to_sync(store.load)("c") is None


@pytest.mark.parametrize("attempt", range(5))
def test_deleting_all_that_share_messages_at_once_leaves_none(
    store: EngineConversationStore, attempt: int
) -> None:
    async_to_sync(store.save)(Conversation(conversation_id="0", messages=prompts(40)))
    for thread in range(1, THREADS):
        async_to_sync(store.fork)("0", at=20 + thread, new_conversation_id=str(thread))
    in_threads(lambda thread: async_to_sync(store.delete)(str(thread)))
    assert stored_keys(store) == set()


def test_a_store_joins_the_transaction_of_its_caller(store: EngineConversationStore) -> None:
    save = async_to_sync(store.save)
    with transaction.atomic():
        save(Conversation(conversation_id="c", messages=prompts(3)))
        assert len(texts(async_to_sync(store.load)("c"))) == 3
        transaction.set_rollback(True)
    assert stored_keys(store) == set()
    with transaction.atomic():
        save(Conversation(conversation_id="c", messages=prompts(3)))
    assert len(stored_keys(store)) == 4


def test_a_long_conversation_is_deleted_whole(
    store: EngineConversationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async_to_sync(store.save)(Conversation(conversation_id="c", messages=prompts(2_500)))
    monkeypatch.setattr("mastra_engine.contrib.pydantic_ai.MAX_OPERATIONS", 1_000)
    assert len(texts(async_to_sync(store.load)("c"))) == 2_500
    async_to_sync(store.delete)("c")
    assert stored_keys(store) == set()
