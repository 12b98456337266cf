"""Conversations of Pydantic AI on both engines; its store in memory is the oracle."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from itertools import pairwise
from random import Random
from typing import Any, get_args

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pydantic_ai import Agent, conversation_store
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.contrib.pydantic_ai import STRIDE, EngineConversationStore
from mastra_engine.exceptions import EngineConfigError, InvalidInput, NotFound
from mastra_engine.types import StateItem
from tests.frameworks.pydantic_ai.random_messages import as_json, random_message, read_again
from tests.frameworks.random_operations import seeds

#: Random operations in one store.
OPERATIONS = 3_000

pytestmark = pytest.mark.django_db


def store(engine: MastraEngine, resource_id: str = "ann") -> EngineConversationStore:
    return EngineConversationStore(resource_id=resource_id, engine=engine)


def prompt(text: str) -> ModelMessage:
    return ModelRequest(parts=[UserPromptPart(text)])


def reply(text: str) -> ModelMessage:
    return ModelResponse(parts=[TextPart(text)])


def items(engine: MastraEngine) -> list[StateItem]:
    page = engine.state.list_items(namespace_prefix=("ann",), limit=10_000)
    assert page.next_cursor is None
    return list(page)


# Every type of message


def member_types(alias: Any) -> set[type]:
    """Return the classes of a union, of any depth."""
    members = get_args(getattr(alias, "__value__", alias))
    if not members:
        return {alias} if isinstance(alias, type) else set()
    return set().union(*map(member_types, members))


def test_every_type_of_message_comes_back_unchanged(each_engine: MastraEngine) -> None:
    random = Random(15)
    messages = [random_message(random) for _ in range(1_500)]
    parts = {type(part) for message in messages for part in message.parts}
    # Pydantic AI reads a retry prompt, which is deprecated, as another part.
    assert member_types(ModelRequestPart) | member_types(ModelResponsePart) == {
        *parts,
        RetryPromptPart,
    }

    async def save_and_load() -> Conversation:
        await store(each_engine).save(Conversation(conversation_id="c", messages=messages))
        loaded = await store(each_engine).load("c")
        assert loaded is not None
        return loaded

    loaded = async_to_sync(save_and_load)().messages
    assert loaded == messages
    assert json.dumps(as_json(loaded), sort_keys=True) == json.dumps(
        as_json(messages), sort_keys=True
    )


def test_records_come_back_unchanged(each_engine: MastraEngine) -> None:
    requests = DeferredToolRequests(
        calls=[ToolCallPart("pay", {"amount": 2**70, "note": "nul \0"})],
        approvals=[ToolCallPart("send", '{"to": "bob"}')],
        metadata={"call": {"reason": ["x", None, 1.5]}},
    )
    record = ConversationRecord(
        conversation_id="c",
        head_id=None,
        usage=RunUsage(requests=3, input_tokens=7, details={"cached": 2}),
        deferred_tool_requests=requests,
        scope="channel",
        forked_from="other",
        branches=[],
    )

    async def write_and_read() -> ConversationRecord | None:
        await store(each_engine).write_record(record, expected_revision=None)
        return await store(each_engine).read_record("c")

    assert async_to_sync(write_and_read)() == record


def test_binary_content_comes_back(each_engine: MastraEngine) -> None:
    content = BinaryContent(data=bytes(range(256)) * 4_000, media_type="application/pdf")
    message = read_again(ModelRequest(parts=[UserPromptPart(["Read this", content])]))

    async def save_and_load() -> Any:
        await store(each_engine).save(Conversation(conversation_id="c", messages=[message]))
        return await store(each_engine).load("c")

    assert async_to_sync(save_and_load)().messages == [message]


# The oracle


class Ids:
    """Ids that both stores give out alike: each operation starts with the same one again."""

    def __init__(self) -> None:
        self.operation = 0
        self.given = 0

    def __call__(self) -> str:
        self.given += 1
        return f"{self.operation:08}-{self.given:04}"


@pytest.fixture
def ids(monkeypatch: pytest.MonkeyPatch) -> Ids:
    ids = Ids()
    monkeypatch.setattr(conversation_store, "uuid7", ids)
    return ids


Operation = Callable[[ConversationStore], Awaitable[Any]]


class Operations:
    """Random operations, as applications do them, and some that must fail."""

    IDS = ("a", "b", "c", "d", "e")
    SCOPES = (*[None] * 20, "x", "y")

    def __init__(self, random: Random) -> None:
        self.random = random
        self.messages = [random_message(random) for _ in range(200)]
        self.loaded: dict[str, Conversation] = {}
        self.stale = [Conversation(conversation_id="a", revision="unknown")]
        self.entry_ids = ["unknown"]

    def next(self) -> Operation:
        kinds = [self.save, self.load, self.read, self.branch, self.fork, self.list, self.delete]
        (kind,) = self.random.choices([*kinds, self.write], [12, 4, 3, 3, 2, 2, 1, 1])
        return kind()

    def learn(self, result: Any) -> None:
        """Continue from the conversations and the entries that an operation has returned."""
        results = result if isinstance(result, list) else [result]
        for item in results:
            if isinstance(item, Conversation):
                self.stale = [*self.stale[-5:], self.loaded.get(item.conversation_id, item)]
                self.loaded[item.conversation_id] = item
        if results and isinstance(results[0], list):
            self.entry_ids = [*self.entry_ids[-60:], *(entry.id for entry in results[0])]

    def conversation(self) -> Conversation:
        """Return a conversation to go on with: mostly as it is stored."""
        id = self.id()
        if self.random.random() < 0.1:
            return self.random.choice(self.stale)
        new = Conversation(conversation_id=id, usage=RunUsage(requests=self.random.randrange(9)))
        return new if self.random.random() < 0.05 else self.loaded.get(id, new)

    def id(self) -> str:
        return self.random.choice(self.IDS)

    def scope(self) -> str | None:
        return self.random.choice(self.SCOPES)

    def point(self) -> dict[str, Any]:
        chance = self.random.random()
        if chance < 0.5:
            return {"at": self.random.randrange(20)}
        if chance < 0.9:
            return {"from_entry": self.random.choice(self.entry_ids)}
        return {}

    def save(self) -> Operation:
        conversation = self.conversation()
        change, scope = self.random.random(), self.scope()
        added = self.random.choices(self.messages, k=self.random.randrange(4))
        position = self.random.randrange(60)

        async def save(store: ConversationStore) -> Any:
            copied = deepcopy(conversation)
            if change < 0.1:  # The history is rewritten, which branches off.
                copied.messages[position:] = []
                copied.new_message_index = None
            copied.messages += added
            return [await store.save(copied, scope=scope), copied]

        return save

    def load(self) -> Operation:
        id, scope = self.id(), self.scope()
        limit = self.random.choice([None, None, None, 0, 1, 2, 5, 40, -1])
        return lambda store: store.load(id, limit=limit, scope=scope)

    def read(self) -> Operation:
        id, limit = self.random.choice(self.entry_ids), self.random.choice([None, 1, 3])
        conversation_id = self.id()

        async def read(store: ConversationStore) -> Any:
            if limit == 1:
                return await store.read_entry(id)
            if limit == 3:
                return await store.load_entries(conversation_id, limit=limit)
            return await store.read_history(id)

        return read

    def branch(self) -> Operation:
        conversation = self.conversation()
        point, scope = self.point(), self.scope()
        return lambda store: store.branch(
            conversation.conversation_id,
            expected_revision=conversation.revision,
            scope=scope,
            **point,
        )

    def fork(self) -> Operation:
        source, id, point, scope = self.id(), self.id(), self.point(), self.scope()
        return lambda store: store.fork(source, new_conversation_id=id, scope=scope, **point)

    def list(self) -> Operation:
        scope, limit = self.scope(), self.random.choice([None, 0, 1, 3])
        return lambda store: store.list_conversations(scope=scope, limit=limit)

    def delete(self) -> Operation:
        id, scope = self.id(), self.scope()
        return lambda store: store.delete(id, scope=scope)

    def write(self) -> Operation:
        """Write a record with a head that may not exist."""
        head_id, id = self.random.choice([None, *self.entry_ids]), self.id()

        async def write(store: ConversationStore) -> None:
            record = ConversationRecord(conversation_id=id, head_id=head_id)
            await store.write_record(record, expected_revision=None)

        return write


async def outcome(operation: Operation, store: ConversationStore, ids: Ids) -> Any:
    """Return the result of an operation, or its error; times of saving are left out."""
    ids.given = 0
    try:
        result = await operation(store)
    except UserError as error:
        return type(error), str(error)
    except LookupError:
        return LookupError
    return [*map(undated, result)] if isinstance(result, list) else undated(result)


def undated(value: Any) -> Any:
    if isinstance(value, ConversationRecord):
        return replace(value, updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    return value


@pytest.mark.parametrize("seed", seeds(OPERATIONS))
def test_random_operations_have_the_results_of_the_store_in_memory(
    each_engine: MastraEngine, ids: Ids, seed: int
) -> None:
    operations = Operations(Random(seed))
    ours, others = store(each_engine), InMemoryConversationStore()

    sizes: list[int] = []

    async def compare() -> None:
        for number in range(OPERATIONS):
            ids.operation = number
            operation = operations.next()
            expected = await outcome(operation, others, ids)
            result = await outcome(operation, ours, ids)
            assert result == expected, (number, operation)
            operations.learn(result)
            sizes.append(len(others._entries))

    async_to_sync(compare)()
    records, entries = others._records, others._entries
    assert {item.key for item in items(each_engine)} == {*records, *entries}
    assert max(sizes) > 5 * STRIDE  # Histories have milestones.


# Reading


def chain(length: int) -> list[ConversationEntry]:
    ids: list[str | None] = [None, *(f"entry-{number}" for number in range(length))]
    return [
        ConversationEntry(id=str(id), parent_id=parent, message=prompt(str(id)))
        for parent, id in pairwise(ids)
    ]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 32, 33, 48, 100, 500])
def test_histories_of_any_length_are_read_whole(each_engine: MastraEngine, length: int) -> None:
    entries, ours = chain(length), store(each_engine)

    async def check() -> None:
        revision = None
        for start in range(0, length, 7):
            part = entries[start : start + 7]
            record = ConversationRecord(conversation_id="c", head_id=part[-1].id)
            await ours.write_record(record, new_entries=part, expected_revision=revision)
            revision = record.revision
        assert await ours.read_history(entries[-1].id) == entries
        for limit in {0, 1, 2, 15, 16, 17, 31, 33, length - 1, length, length + 1}:
            expected = entries[-limit:] if limit else []
            assert await ours.read_history(entries[-1].id, limit=limit) == expected
            assert (
                len(entries) < 50
                or await ours.read_history(entries[49].id, limit=limit)
                == (entries[max(50 - limit, 0) : 50])
            )

    async_to_sync(check)()


def test_a_history_is_read_in_four_statements(postgres_engine: PostgresEngine) -> None:
    entries, ours = chain(900), store(postgres_engine)
    record = ConversationRecord(conversation_id="c", head_id=entries[-1].id)
    write = partial(ours.write_record, record, new_entries=entries, expected_revision=None)
    async_to_sync(write)()
    with CaptureQueriesContext(connection) as full:
        assert async_to_sync(ours.read_history)(entries[-1].id) == entries
    with CaptureQueriesContext(connection) as newest:
        assert len(async_to_sync(ours.read_history)(entries[-1].id, limit=20)) == 20
    assert (statements(full), statements(newest)) == (4, 3)


def statements(queries: CaptureQueriesContext) -> int:
    """Return the number of statements, without those that the transaction of the test adds."""
    return sum("SAVEPOINT" not in query["sql"] for query in queries)


def test_records_are_listed_by_their_time(each_engine: MastraEngine) -> None:
    random, moment = Random(1), datetime(2026, 1, 1, tzinfo=UTC)
    ours, others = store(each_engine), InMemoryConversationStore()

    async def check() -> None:
        for number in range(40):
            record = ConversationRecord(
                conversation_id=str(number),
                head_id=None,
                scope=random.choice(["x", "y", None]),
                updated_at=moment + timedelta(days=random.randrange(10)),
            )
            for item in (ours, others):
                await item.write_record(record, expected_revision=None)
        for scope in ("x", "y", "z", None):
            for limit in (None, 0, 1, 7):
                expected = await others.read_records(scope=scope, limit=limit)
                assert await ours.read_records(scope=scope, limit=limit) == expected

    async_to_sync(check)()


# Owners and bad input


def test_resources_have_their_own_conversations(each_engine: MastraEngine) -> None:
    async def check() -> None:
        conversation = Conversation(conversation_id="c", messages=[prompt("Hello")])
        (entry,) = await store(each_engine).save(conversation)
        other = store(each_engine, "bob")
        assert await other.load("c") is None
        assert await other.list_conversations() == []
        with pytest.raises(LookupError):
            await other.read_entry(entry.id)
        with pytest.raises(UserError):
            await other.fork("c")
        await other.delete("c")
        assert await store(each_engine).load("c") == conversation

    async_to_sync(check)()


def test_the_scope_of_the_engine_holds(each_engine: MastraEngine) -> None:
    async def check() -> None:
        inside = store(each_engine.within(resource_ids=["ann", "eve"]))
        outside = store(each_engine.within(resource_ids=["bob"]))
        await inside.save(Conversation(conversation_id="c", messages=[prompt("Hello")]))
        assert await store(each_engine).load("c") == await inside.load("c")
        with pytest.raises(NotFound):
            await outside.load("c")

    async_to_sync(check)()


def test_an_erased_resource_has_no_conversations(each_engine: MastraEngine) -> None:
    async def save() -> None:
        await store(each_engine).save(Conversation(conversation_id="c", messages=[prompt("Hi")]))

    async_to_sync(save)()
    each_engine.erase(resource_id="ann")
    assert items(each_engine) == []


class Unserializable:
    """A value that no JSON stands for."""


def test_a_message_that_is_not_json_is_refused(each_engine: MastraEngine) -> None:
    part = ToolReturnPart("tool", Unserializable(), tool_call_id="call")
    messages = [prompt("Hello"), ModelRequest(parts=[part])]
    conversation = Conversation(conversation_id="c", messages=messages)
    with pytest.raises(InvalidInput) as refusal:
        async_to_sync(store(each_engine).save)(conversation)
    assert refusal.value.path == "/new_entries/1"
    assert items(each_engine) == []


@pytest.mark.parametrize("id", ["", "\0", "x" * 513])
def test_ids_are_validated(each_engine: MastraEngine, id: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        EngineConversationStore(resource_id=id, engine=each_engine)
    assert refusal.value.path == "/resource_id"
    with pytest.raises(InvalidInput):
        async_to_sync(store(each_engine).load)(id)


def test_a_missing_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.optional_deps.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "mastra_engine.contrib.pydantic_ai")
    with pytest.raises(EngineConfigError, match=r"pip install '.*\[pydantic_ai\]'"):
        import_module("mastra_engine.contrib.pydantic_ai")


def test_an_old_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_ai.conversation_store", None)
    monkeypatch.delitem(sys.modules, "mastra_engine.contrib.pydantic_ai")
    with pytest.raises(EngineConfigError, match=r"pydantic-ai-slim 2\.66 or newer"):
        import_module("mastra_engine.contrib.pydantic_ai")


# An agent


def test_an_agent_continues_a_stored_conversation(each_engine: MastraEngine) -> None:
    agent = Agent(TestModel(call_tools=["find_order"], custom_output_text="Shipped."))

    @agent.tool_plain
    def find_order(number: int) -> dict[str, Any]:
        return {"number": number, "tags": ["nul \0", None, 1.5]}

    async def converse(memory: ConversationStore) -> list[ModelMessage]:
        for question in ("Where is order 7?", "Since when?"):
            conversation = await memory.load("c") or Conversation(conversation_id="c")
            result = await agent.run(question, conversation=conversation)
            assert len(await memory.save(result)) == len(result.new_messages())
        loaded = await memory.load("c")
        assert loaded is not None
        assert loaded.usage.requests > 2
        return loaded.messages

    ours = async_to_sync(converse)(store(each_engine))
    others = async_to_sync(converse)(InMemoryConversationStore())
    assert [type(part) for message in ours for part in message.parts] == [
        type(part) for message in others for part in message.parts
    ]
