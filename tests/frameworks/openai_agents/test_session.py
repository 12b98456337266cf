"""Sessions of the OpenAI Agents SDK on both engines; its SQLite session is the oracle."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from random import Random
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from agents import Agent, Runner, SQLiteSession, function_tool
from agents.memory import OpenAIResponsesCompactionSession, Session, SessionSettings
from asgiref.sync import async_to_sync
from openai.types.responses import ResponseInputItemParam

from mastra_engine import MastraEngine, MockMastraEngine
from mastra_engine.contrib.openai_agents import EngineSession
from mastra_engine.exceptions import EngineConfigError, InvalidInput, ThreadNotFound
from tests.frameworks.openai_agents.scripted import ScriptedModel, calls, says
from tests.frameworks.random_operations import seeds
from tests.frameworks.random_values import TEXTS, json_value, typed_value

#: Random operations in one session.
OPERATIONS = 500
ITEM_TYPES = get_args(ResponseInputItemParam)

pytestmark = pytest.mark.django_db


def session(engine: MastraEngine, session_id: str = "chat-1", **settings: Any) -> EngineSession:
    return EngineSession(session_id, resource_id="ann", engine=engine, **settings)


def written(items: Any) -> str:
    """Return JSON text that differs where Python compares numbers as equal."""
    return json.dumps(items, sort_keys=True)


def random_item(random: Random) -> dict[str, Any]:
    if random.random() < 0.1:
        return {random.choice(TEXTS): json_value(random), "role": random.choice(["user", "x", 7])}
    item: dict[str, Any] = typed_value(random.choice(ITEM_TYPES), random)
    return item


def test_it_implements_the_protocol(each_engine: MastraEngine) -> None:
    assert isinstance(session(each_engine), Session)
    assert session(each_engine).session_settings == SessionSettings()


# The oracle


@pytest.mark.parametrize("seed", seeds(OPERATIONS))
def test_random_operations_have_the_results_of_the_sqlite_session(
    each_engine: MastraEngine, seed: int
) -> None:
    random = Random(seed)

    async def compare() -> None:
        settings = random.choice([None, {"limit": random.randrange(-1, 5)}])
        ours = session(each_engine, session_settings=settings)
        others = SQLiteSession("chat", session_settings=settings)
        for operation in range(OPERATIONS):
            name, arguments = random_operation(random)
            expected = await getattr(others, name)(*arguments)
            result = await getattr(ours, name)(*arguments)
            assert written(result) == written(expected), (operation, name, arguments)
        others.close()

    async_to_sync(compare)()


def random_operation(random: Random) -> tuple[str, tuple[Any, ...]]:
    chance = random.random()
    if chance < 0.4:
        return "add_items", ([random_item(random) for _ in range(random.randrange(4))],)
    if chance < 0.7:
        return "get_items", (random.choice([None, None, -1, 0, 1, 2, 5, 1_000]),)
    return ("pop_item" if chance < 0.97 else "clear_session"), ()


@pytest.mark.parametrize("item_type", ITEM_TYPES, ids=lambda item: item.__name__)
def test_every_type_of_item_comes_back_unchanged(each_engine: MastraEngine, item_type: Any) -> None:
    random = Random(item_type.__name__)
    items = [typed_value(item_type, random) for _ in range(50)]
    chat = session(each_engine)
    async_to_sync(chat.add_items)(items)
    assert written(async_to_sync(chat.get_items)()) == written(items)


@pytest.mark.parametrize("count", [999, 1_000, 1_001, 2_500])
def test_long_sessions_are_read_whole(each_engine: MastraEngine, count: int) -> None:
    chat = session(each_engine)
    items: list[Any] = [{"role": "user", "content": str(number)} for number in range(count)]
    async_to_sync(chat.add_items)(items)
    assert async_to_sync(chat.get_items)() == items
    assert async_to_sync(chat.get_items)(limit=1_100) == items[-1_100:]


def test_large_items_are_read_whole(each_engine: MastraEngine) -> None:
    url = f"data:image/png;base64,{'A' * 3_000_000}"
    image: Any = {"role": "user", "content": [{"type": "input_image", "image_url": url}]}
    chat = session(each_engine)
    async_to_sync(chat.add_items)([image] * 5)
    assert async_to_sync(chat.get_items)() == [image] * 5
    assert async_to_sync(chat.get_items)(4) == [image] * 4


# Messages of the engine


def test_items_are_messages_of_the_engine(each_engine: MastraEngine) -> None:
    call = calls("find_order", '{"id": 7}', "call_1").model_dump()
    items: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Where is order 7?"},
        {**call, "status": "completed"},
        {"type": "function_call_output", "call_id": "call_1", "output": "shipped\0"},
        says("It was shipped.").model_dump(),
    ]
    async_to_sync(session(each_engine).add_items)(items)
    messages = list(each_engine.memory.list_messages(thread_id="chat-1"))
    assert [message.role for message in messages] == [
        *("system", "user", "assistant", "tool", "assistant")
    ]
    window = each_engine.memory.get_context_window(thread_id="chat-1", format="openai")
    function = {"name": "find_order", "arguments": '{"id": 7}'}
    assert window.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is order 7?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "shipped\ufffd"},
        {"role": "assistant", "content": "It was shipped."},
    ]


def test_messages_of_the_engine_are_items(each_engine: MastraEngine) -> None:
    memory = each_engine.memory
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi"}, {"type": "x"}]},
        {"role": "tool", "content": "a result", "tool_call_id": "call_1"},
    ]
    memory.save_memory(thread_id="chat-1", resource_id="ann", messages=messages)
    chat = session(each_engine)
    assert async_to_sync(chat.get_items)(1) == [{"role": "assistant", "content": "Hi"}]
    assert async_to_sync(chat.pop_item)() == {"role": "assistant", "content": "Hi"}
    assert async_to_sync(chat.get_items)() == [{"role": "user", "content": "Hello"}]


def test_a_clone_of_the_thread_is_a_session(each_engine: MastraEngine) -> None:
    items: list[Any] = [{"role": "user", "content": "nul \0"}, {"type": "x", "big": 2**70}]
    async_to_sync(session(each_engine).add_items)(items)
    each_engine.memory.clone_thread(thread_id="chat-1", new_thread_id="chat-2")
    assert async_to_sync(session(each_engine, "chat-2").get_items)() == items


# Owners


def test_sessions_of_other_resources_are_not_touched(each_engine: MastraEngine) -> None:
    item: Any = {"role": "user", "content": "Hello"}
    own = session(each_engine)
    other = EngineSession("chat-1", resource_id="bob", engine=each_engine)
    async_to_sync(own.add_items)([item])
    assert async_to_sync(other.get_items)() == []
    assert async_to_sync(other.pop_item)() is None
    async_to_sync(other.clear_session)()
    with pytest.raises(ThreadNotFound):
        async_to_sync(other.add_items)([item])
    assert async_to_sync(own.get_items)() == [item]


def test_the_scope_of_the_engine_holds(each_engine: MastraEngine) -> None:
    item: Any = {"role": "user", "content": "Hello"}
    async_to_sync(session(each_engine).add_items)([item])
    inside = session(each_engine.within(resource_ids=["ann", "eve"]))
    outside = session(each_engine.within(resource_ids=["bob"]))
    assert async_to_sync(inside.get_items)() == [item]
    assert async_to_sync(outside.get_items)() == []


# Bad input


def cyclic() -> dict[str, Any]:
    item: dict[str, Any] = {"role": "user"}
    item["content"] = [item]
    return item


@pytest.mark.parametrize("item", [{"type": b"bytes"}, {"x": {1, 2}}, cyclic(), "text", None, [1]])
def test_other_values_than_json_objects_are_refused(each_engine: MastraEngine, item: Any) -> None:
    chat, valid = session(each_engine), {"role": "user", "content": "Hello"}
    with pytest.raises(InvalidInput) as refusal:
        async_to_sync(chat.add_items)([valid, item])
    assert refusal.value.path == "/items/1"
    assert async_to_sync(chat.get_items)() == []


def test_an_item_of_over_64_mib_is_refused(each_engine: MastraEngine) -> None:
    item: Any = {"type": "x", "output": "a" * (64 * 1024 * 1024)}
    with pytest.raises(InvalidInput) as refusal:
        async_to_sync(session(each_engine).add_items)([item])
    assert (refusal.value.path or "").startswith("/items/0")


@pytest.mark.parametrize("name", ["", "\0", "x" * 513, None])
def test_ids_are_validated(name: Any) -> None:
    for arguments, path in (((name, "ann"), "/session_id"), (("chat", name), "/resource_id")):
        with pytest.raises(InvalidInput) as refusal:
            EngineSession(arguments[0], resource_id=arguments[1])
        assert refusal.value.path == path


def test_deeply_nested_items_come_back(each_engine: MastraEngine) -> None:
    item: Any = {"type": "function_call_output", "call_id": "call_1", "output": []}
    for _ in range(100):
        item["output"] = [item["output"]]
    async_to_sync(session(each_engine).add_items)([item])
    assert async_to_sync(session(each_engine).get_items)() == [item]


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.optional_deps.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "mastra_engine.contrib.openai_agents")
    with pytest.raises(EngineConfigError, match=r"pip install '.*\[openai_agents\]'"):
        import_module("mastra_engine.contrib.openai_agents")


# The runner


@function_tool
def find_order(id: int) -> dict[str, Any]:
    """Find an order."""
    return {"id": id, "status": "shipped"}


def scripted() -> tuple[ScriptedModel, Agent[Any]]:
    model = ScriptedModel(
        calls("find_order", '{"id": 7}', "call_1"), says("It was shipped."), says("Yesterday.")
    )
    return model, Agent(name="desk", model=model, tools=[find_order])


def test_a_runner_continues_the_conversation(each_engine: MastraEngine) -> None:
    async def converse(memory: Any) -> tuple[list[Any], list[Any]]:
        model, agent = scripted()
        first = await Runner.run(agent, "Where is order 7?", session=memory)
        assert first.final_output == "It was shipped."
        second = await Runner.run(agent, "Since when?", session=memory)
        assert second.final_output == "Yesterday."
        return model.inputs, await memory.get_items()

    chat = session(each_engine)
    inputs, items = async_to_sync(converse)(chat)
    with_sqlite = SQLiteSession("chat-1")
    assert async_to_sync(converse)(with_sqlite) == (inputs, items)
    with_sqlite.close()
    assert len(inputs[-1]) == 5
    window = each_engine.memory.get_context_window(thread_id="chat-1", format="openai")
    assert [message["role"] for message in window] == [
        *("user", "assistant", "tool", "assistant", "user", "assistant")
    ]


def test_a_runner_reads_the_limit_of_the_session(each_engine: MastraEngine) -> None:
    model, agent = scripted()
    chat = session(each_engine, session_settings=SessionSettings(limit=1))
    async_to_sync(Runner.run)(agent, "Where is order 7?", session=chat)
    async_to_sync(Runner.run)(agent, "Since when?", session=chat)
    assert len(model.inputs[-1]) == 2


@pytest.fixture
def default_engine(settings: Any) -> MockMastraEngine:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.MockMastraEngine", "URL": "mock://sessions"}
    }
    return MockMastraEngine(url="mock://sessions")


def test_the_default_engine_is_looked_up_late(default_engine: MockMastraEngine) -> None:
    chat = EngineSession("chat-1", resource_id="ann")
    async_to_sync(chat.add_items)([{"role": "user", "content": "Hello"}])
    assert len(default_engine.memory.list_messages(thread_id="chat-1")) == 1


# Compaction


class Compacts:
    """A client of OpenAI's that returns one item in the place of a history."""

    def __init__(self) -> None:
        self.responses = self

    async def compact(self, **request: Any) -> Any:
        self.request = request
        content = [{"type": "input_text", "text": "All of it"}]
        output = [{"type": "message", "role": "user", "content": content}]
        return SimpleNamespace(output=output, usage=None)


def test_a_session_can_be_compacted(each_engine: MastraEngine) -> None:
    client: Any = Compacts()
    chat = session(each_engine)
    compacted = OpenAIResponsesCompactionSession("chat-1", chat, client=client)

    async def compact() -> list[Any]:
        await compacted.add_items([{"role": "user", "content": "Hello"}])
        await compacted.run_compaction({"force": True, "compaction_mode": "input"})
        return await chat.get_items()

    assert [item["content"][0]["text"] for item in async_to_sync(compact)()] == ["All of it"]
    assert client.request["input"] == [{"role": "user", "content": "Hello"}]
