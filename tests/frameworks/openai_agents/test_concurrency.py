"""Sessions on PostgreSQL: several threads at once, and the transaction of the caller."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent, Runner
from asgiref.sync import async_to_sync
from django.db import transaction

from mastra_engine import PostgresEngine
from mastra_engine.contrib.openai_agents import EngineSession
from tests.frameworks.openai_agents.scripted import ScriptedModel, says
from tests.frameworks.threads import THREADS, in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def chat() -> EngineSession:
    return EngineSession("chat-1", resource_id="ann", engine=PostgresEngine(lock_timeout=60))


def numbered(number: int) -> Any:
    return {"role": "user", "content": str(number)}


def test_concurrent_pops_return_each_item_once(chat: EngineSession) -> None:
    items = [numbered(number) for number in range(200)]
    async_to_sync(chat.add_items)(items)

    def pop_all(_: int) -> list[Any]:
        popped = []
        while (item := async_to_sync(chat.pop_item)()) is not None:
            popped.append(item)
        return popped

    popped = [item for batch in in_threads(pop_all) for item in batch]
    assert sorted(item["content"] for item in popped) == sorted(i["content"] for i in items)


def test_concurrent_adds_and_pops_lose_nothing(chat: EngineSession) -> None:
    def add_and_pop(thread: int) -> list[Any]:
        popped = []
        for number in range(25):
            async_to_sync(chat.add_items)([numbered(100 * thread + number), numbered(-1)])
            popped.append(async_to_sync(chat.pop_item)())
        return popped

    popped = [item for batch in in_threads(add_and_pop) for item in batch]
    remaining = async_to_sync(chat.get_items)()
    assert len(popped) == len(remaining) == THREADS * 25
    numbers = [int(item["content"]) for item in [*popped, *remaining]]
    assert sorted(number for number in numbers if number >= 0) == [
        100 * thread + number for thread in range(THREADS) for number in range(25)
    ]
    assert numbers.count(-1) == THREADS * 25


def test_items_are_added_while_others_clear(chat: EngineSession) -> None:
    def add_and_clear(thread: int) -> None:
        for number in range(25):
            async_to_sync(chat.add_items)([numbered(number)])
            if thread % 2:
                async_to_sync(chat.clear_session)()

    in_threads(add_and_clear)
    async_to_sync(chat.clear_session)()
    assert async_to_sync(chat.get_items)() == []


def test_items_of_one_call_stay_together(chat: EngineSession) -> None:
    def add(thread: int) -> None:
        for _ in range(10):
            async_to_sync(chat.add_items)([numbered(thread) for _ in range(5)])

    in_threads(add)
    contents = [item["content"] for item in async_to_sync(chat.get_items)()]  # type: ignore[typeddict-item]
    assert all(len(set(contents[start : start + 5])) == 1 for start in range(0, 400, 5))


def test_a_session_joins_the_transaction_of_its_caller(chat: EngineSession) -> None:
    agent = Agent(name="desk", model=ScriptedModel(says("Hi."), says("Hi.")))
    with transaction.atomic():
        async_to_sync(Runner.run)(agent, "Hello", session=chat)
        assert len(async_to_sync(chat.get_items)()) == 2
        transaction.set_rollback(True)
    assert async_to_sync(chat.get_items)() == []
    with transaction.atomic():
        async_to_sync(Runner.run)(agent, "Hello", session=chat)
    assert len(async_to_sync(chat.get_items)()) == 2
