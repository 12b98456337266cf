"""The contract of messages."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import (
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    ThreadNotFound,
)
from mastra_engine.testing.contract.filter_cases import MONGO, PRODUCTS
from mastra_engine.testing.contract.threads import WithThread, ids, texts
from mastra_engine.types import MemoryView, Message, MessageInput, Page, Thread

HELLO = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi!"}]

#: Messages as other libraries write them, and the parts that are kept of them.
SPELLINGS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], str | None]] = {
    "text": ({"role": "user", "content": "Hi"}, [{"type": "text", "text": "Hi"}], None),
    "empty text": ({"role": "user", "content": ""}, [{"type": "text", "text": ""}], None),
    "no parts": ({"role": "assistant", "content": []}, [], None),
    "OpenAI's call": (
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Rome"}'},
                }
            ],
        },
        [
            {
                "type": "tool-call",
                "tool_call_id": "call_1",
                "tool_name": "weather",
                "args": {"city": "Rome"},
            }
        ],
        None,
    ),
    "OpenAI's call that is no JSON": (
        {
            "role": "assistant",
            "content": "Let me see",
            "tool_calls": [{"id": "call_1", "function": {"name": "weather", "arguments": "{"}}],
        },
        [
            {"type": "text", "text": "Let me see"},
            {"type": "tool-call", "tool_call_id": "call_1", "tool_name": "weather", "args": "{"},
        ],
        None,
    ),
    "OpenAI's result": (
        {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
        [{"type": "text", "text": "18 °C"}],
        "call_1",
    ),
    "Anthropic's call": (
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}],
        },
        [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}],
        None,
    ),
    "Anthropic's result": (
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 °C"}],
        },
        [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 °C"}],
        None,
    ),
    "Vercel's result": (
        {
            "role": "tool",
            "content": [
                {"type": "tool-result", "toolCallId": "c1", "toolName": "w", "output": [1, None]}
            ],
        },
        [{"type": "tool-result", "toolCallId": "c1", "toolName": "w", "output": [1, None]}],
        "c1",
    ),
    "Mastra's key": (
        {"role": "tool", "toolCallId": "c1", "content": "done"},
        [{"type": "text", "text": "done"}],
        "c1",
    ),
    "parts of one's own": (
        {"role": "assistant", "content": ({"type": "chart", "points": [1, 2.5, {"x": None}]},)},
        [{"type": "chart", "points": [1, 2.5, {"x": None}]}],
        None,
    ),
}


class TestMessages(WithThread):
    # Appending

    def test_positions_are_one_two_three(self, memory: Memory, thread: Thread) -> None:
        saved = [
            message
            for _ in range(3)
            for message in memory.save_memory(thread_id="chat", messages=HELLO)
        ]
        assert [message.position for message in saved] == [1, 2, 3, 4, 5, 6]
        assert self.stored(memory) == saved
        assert len(set(ids(saved))) == 6
        assert memory.get_thread(thread_id="chat").message_count == 6

    def test_saved_messages_are_returned_unchanged(self, memory: Memory, thread: Thread) -> None:
        value = MessageInput(
            role="tool", content="18 °C", id="m", tool_call_id="c", metadata={"n": [1, None]}
        )
        (saved,) = memory.save_memory(thread_id="chat", messages=iter([value]))
        assert saved == Message(
            id="m",
            thread_id="chat",
            position=1,
            role="tool",
            content=[{"type": "text", "text": "18 °C"}],
            tool_call_id="c",
            tokens=4 + 2,
            metadata={"n": [1, None]},
            created_at=saved.created_at,
        )
        assert saved.created_at >= thread.created_at
        assert memory.get_messages_by_id(ids=["m"]) == [saved]
        with pytest.raises(dataclasses.FrozenInstanceError):
            saved.role = "user"  # type: ignore[misc]
        saved.content[0]["text"] = "stolen"
        assert texts(memory.get_messages_by_id(ids=["m"])) == ["18 °C"]

    @pytest.mark.parametrize("spelling", SPELLINGS)
    def test_parts_are_stored_in_every_notation(
        self, memory: Memory, thread: Thread, spelling: str
    ) -> None:
        value, parts, tool_call_id = SPELLINGS[spelling]
        (saved,) = memory.save_memory(thread_id="chat", messages=[value])
        assert (saved.content, saved.tool_call_id) == (parts, tool_call_id)
        assert self.stored(memory) == [saved]

    def test_a_message_may_have_its_own_time(self, memory: Memory, thread: Thread) -> None:
        past = datetime(2024, 5, 1, 12, tzinfo=UTC)
        pages: list[dict[str, Any]] = [
            {"role": "user", "content": "Then", "created_at": past},
            {"role": "user", "content": "Later", "createdAt": "2024-05-01T16:00:00.000001+02:00"},
            {"role": "user", "content": "Now"},
        ]
        saved = memory.save_memory(thread_id="chat", messages=pages)
        later = past + timedelta(hours=2, microseconds=1)
        assert [message.created_at for message in saved[:2]] == [past, later]
        assert saved[2].created_at > thread.created_at
        assert self.stored(memory) == saved

    def test_saving_creates_the_thread(self, memory: Memory) -> None:
        for _ in range(2):
            memory.save_memory(thread_id="new", resource_id="alice", messages=HELLO)
        thread = memory.get_thread(thread_id="new")
        assert (thread.resource_id, thread.message_count) == ("alice", 4)
        assert memory.save_memory(thread_id="empty", resource_id="alice", messages=[]) == []
        assert memory.get_thread(thread_id="empty").message_count == 0

    def test_a_thread_of_another_resource_is_not_found(
        self, memory: Memory, thread: Thread
    ) -> None:
        for messages in (HELLO, []):
            with pytest.raises(ThreadNotFound):
                memory.save_memory(thread_id="chat", resource_id="bob", messages=messages)
        assert memory.get_thread(thread_id="chat") == thread

    # Repetition

    def test_a_repeated_call_returns_the_stored_messages(
        self, memory: Memory, thread: Thread
    ) -> None:
        self.say(memory, "before")
        call: dict[str, Any] = {
            "thread_id": "chat",
            "messages": HELLO,
            "idempotency_key": "k",
        }
        saved = memory.save_memory(**call)
        assert memory.save_memory(**call) == saved
        self.say(memory, "after")
        assert memory.save_memory(**call, resource_id="alice") == saved
        assert texts(self.stored(memory)) == ["before", "Hello", "Hi!", "after"]
        memory.delete_messages(ids=[saved[0].id])
        assert memory.save_memory(**call) == saved[1:]
        memory.delete_messages(ids=[saved[1].id])
        assert memory.save_memory(**call) == []
        assert texts(self.stored(memory)) == ["before", "after"]

    def test_a_repeated_call_may_name_its_messages(self, memory: Memory) -> None:
        call: dict[str, Any] = {
            "thread_id": "new",
            "resource_id": "alice",
            "messages": [{"id": "m", "role": "user", "content": "Hello"}],
            "idempotency_key": "k",
        }
        saved = memory.save_memory(**call)
        assert memory.save_memory(**call) == saved
        with pytest.raises(IdempotencyConflict):
            memory.save_memory(**{**call, "messages": [{**call["messages"][0], "role": "system"}]})
        assert self.stored(memory, "new") == saved

    @pytest.mark.parametrize(
        "other",
        [
            [],
            HELLO[:1],
            HELLO[::-1],
            [*HELLO, *HELLO],
            [{**HELLO[0], "id": "m"}, HELLO[1]],
            [{**HELLO[0], "metadata": {"a": 1}}, HELLO[1]],
            [{**HELLO[0], "role": "system"}, HELLO[1]],
            [{**HELLO[0], "created_at": "2024-01-01T00:00:00Z"}, HELLO[1]],
        ],
        ids=str,
    )
    def test_a_key_stands_for_one_body(
        self, memory: Memory, thread: Thread, other: list[Any]
    ) -> None:
        saved = memory.save_memory(thread_id="chat", messages=HELLO, idempotency_key="k")
        if other:
            with pytest.raises(IdempotencyConflict):
                memory.save_memory(thread_id="chat", messages=other, idempotency_key="k")
        else:
            assert memory.save_memory(thread_id="chat", messages=[], idempotency_key="k") == []
        assert self.stored(memory) == saved

    def test_keys_are_unique_per_thread(self, memory: Memory, thread: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="other")
        for id in ("chat", "other"):
            memory.save_memory(thread_id=id, messages=HELLO, idempotency_key="k")
        clone = memory.clone_thread(thread_id="chat")
        memory.save_memory(thread_id=clone.id, messages=HELLO[:1], idempotency_key="k")
        counts = [
            memory.get_thread(thread_id=id).message_count for id in ("chat", "other", clone.id)
        ]
        assert counts == [2, 2, 3]

    def test_a_stored_id_cannot_be_used_again(self, memory: Memory, thread: Thread) -> None:
        memory.create_thread(resource_id="bob", thread_id="other")
        (mine,) = self.say(memory, "mine")
        for id in ("chat", "other", "new"):
            with pytest.raises(Conflict):
                memory.save_memory(
                    thread_id=id,
                    resource_id={"chat": "alice"}.get(id, "bob"),
                    messages=[HELLO[0], {**HELLO[1], "id": "mine"}],
                    idempotency_key="k",
                )
        assert self.stored(memory) == [mine]
        assert self.stored(memory, "other") == []
        with pytest.raises(ThreadNotFound):
            memory.get_thread(thread_id="new")
        saved = memory.save_memory(thread_id="chat", messages=HELLO, idempotency_key="k")
        assert [message.position for message in saved] == [2, 3]

    def test_an_id_twice_in_a_call_is_refused(self, memory: Memory, thread: Thread) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.save_memory(
                thread_id="chat", messages=[{**message, "id": "m"} for message in HELLO]
            )
        assert caught.value.path == "/messages/1/id"
        assert self.stored(memory) == []

    # Reading

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_pages_contain_every_message_once(
        self, memory: Memory, thread: Thread, order: Any
    ) -> None:
        numbers = [str(i) for i in range(7)]
        # One call, so that all are of one time.
        memory.save_memory(
            thread_id="chat",
            messages=[{"role": "user", "content": number} for number in numbers],
        )
        for limit in range(1, 9):
            items, cursor = [], None
            while True:
                page = memory.list_messages(
                    thread_id="chat", limit=limit, cursor=cursor, order=order
                )
                assert len(page) <= limit
                items += texts(page)
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert items == (numbers if order == "asc" else numbers[::-1])
        assert memory.list_messages(thread_id="chat", limit=0) == Page([])

    def test_roles_and_metadata_are_filters(self, memory: Memory, thread: Thread) -> None:
        for id, data in PRODUCTS.items():
            role = "assistant" if "i" in id else "user"
            self.say(memory, id, metadata=data, role=role)
        for role in ("user", "assistant", "tool"):
            messages = memory.list_messages(thread_id="chat", role=role)  # type: ignore[arg-type]
            assert ids(messages) == [m.id for m in self.stored(memory) if m.role == role]
        for where, expected in MONGO:
            if "@" not in str(where):
                messages = memory.list_messages(thread_id="chat", metadata=where)
                assert sorted(ids(messages)) == sorted(expected), where
        cheap = {"price": {"$lt": 10}}
        both = memory.list_messages(thread_id="chat", role="user", metadata=cheap)
        assert set(ids(both)) == set(
            ids(memory.list_messages(thread_id="chat", metadata=cheap))
        ) & set(ids(memory.list_messages(thread_id="chat", role="user")))

    def test_a_cursor_belongs_to_its_query(self, memory: Memory, thread: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="other")
        self.say(memory, "a", "b", "c")
        query: dict[str, Any] = {"thread_id": "chat", "limit": 1}
        cursor = memory.list_messages(**query).next_cursor
        for other in (
            {"thread_id": "other"},
            {"order": "desc"},
            {"role": "user"},
            {"metadata": {"a": 1}},
        ):
            with pytest.raises(InvalidInput) as caught:
                memory.list_messages(**{**query, **other}, cursor=cursor)
            assert caught.value.path == "/cursor"

    def test_messages_by_id_come_in_that_order(self, memory: Memory, thread: Thread) -> None:
        a, b, _ = self.say(memory, "a", "b", "c")
        memory.create_thread(resource_id="bob", thread_id="other")
        (d,) = self.say(memory, "d", thread_id="other")
        assert memory.get_messages_by_id(ids=["d", "b", "nowhere", "a", "b"]) == [d, b, a]
        assert memory.get_messages_by_id(ids=[]) == []

    def test_a_view_has_the_latest_messages(self, memory: Memory, thread: Thread) -> None:
        saved = self.say(memory, "a", "b", "c")
        view = memory.get_memory(thread_id="chat", last=2)
        assert view == MemoryView(
            thread=memory.get_thread(thread_id="chat"),
            messages=saved[1:],
            recalled=[],
            working_memory=memory.get_working_memory(thread_id="chat"),
        )
        assert memory.get_memory(thread_id="chat", last=0).messages == []
        assert memory.get_memory(thread_id="chat").messages == saved

    # Deletion

    def test_deletion_keeps_the_positions_of_other_messages(
        self, memory: Memory, thread: Thread
    ) -> None:
        self.say(memory, "a", "b", "c", "d")
        memory.create_thread(resource_id="bob", thread_id="other")
        self.say(memory, "e", thread_id="other")
        assert memory.delete_messages(ids=["b", "d", "e", "nowhere", "b"]) == 3
        assert memory.delete_messages(ids=["b", "d", "e"]) == 0
        assert memory.delete_messages(ids=[]) == 0
        assert [(m.id, m.position) for m in self.stored(memory)] == [("a", 1), ("c", 3)]
        assert memory.get_thread(thread_id="chat").message_count == 2
        assert self.say(memory, "b")[0].position == 5
        assert memory.get_thread(thread_id="other").message_count == 0

    def test_async_variants(self, memory: Memory) -> None:
        async def use() -> list[Message]:
            await memory.acreate_thread(resource_id="alice", thread_id="chat")
            await memory.asave_memory(thread_id="chat", messages=HELLO)
            await memory.aupdate_thread(thread_id="chat", title="Greeting")
            copy = await memory.aclone_thread(thread_id="chat")
            view = await memory.aget_memory(thread_id=copy.id, last=1)
            assert texts(await memory.aget_messages_by_id(ids=ids(view.messages))) == ["Hi!"]
            assert await memory.adelete_messages(ids=ids(view.messages)) == 1
            assert len(await memory.aget_context_window(thread_id=copy.id)) == 1
            await memory.aupdate_working_memory(thread_id=copy.id, content="Hi")
            assert (await memory.aget_working_memory(thread_id=copy.id)).version == 1
            lines = [line async for line in memory.aexport_thread(thread_id="chat")]
            await memory.adelete_thread(thread_id="chat")
            assert (await memory.aimport_thread(lines=lines)).title == "Greeting"
            assert len(await memory.alist_threads(resource_id="alice")) == 2
            return (await memory.alist_messages(thread_id="chat")).items

        assert texts(async_to_sync(use)()) == ["Hello", "Hi!"]
