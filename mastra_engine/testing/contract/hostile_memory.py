"""Hostile input, through every argument of every method of agent memory."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import InvalidFilter, InvalidInput
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.threads import METADATA, WithThread
from mastra_engine.testing.hostile import (
    DOCUMENTS,
    TEXTS,
    TOO_DEEP,
    TOO_DEEP_FILTERS,
    UNFIT_COUNTS,
    UNFIT_CURSORS,
    UNFIT_FILTERS,
    UNFIT_MESSAGES,
    UNFIT_MOMENTS,
    UNFIT_NAMES,
    UNFIT_TEXTS,
    UNFIT_VALUES,
    Kept,
    Refused,
)
from mastra_engine.types import Thread

HELLO = {"role": "user", "content": "Hello", "id": "hello"}

#: Every method with arguments that do.
CALLS: dict[str, dict[str, Any]] = {
    "create_thread": {"resource_id": "alice"},
    "get_thread": {"thread_id": "chat"},
    "list_threads": {"resource_id": "alice"},
    "count_threads": {"resource_id": "alice"},
    "update_thread": {"thread_id": "chat"},
    "transfer_thread": {"thread_id": "chat", "resource_id": "bob"},
    "clone_thread": {"thread_id": "chat"},
    "delete_thread": {"thread_id": "chat"},
    "export_thread": {"thread_id": "chat"},
    "import_thread": {"lines": ['{"id": "new", "resource_id": "alice"}']},
    "save_memory": {"thread_id": "chat", "messages": [HELLO]},
    "get_memory": {"thread_id": "chat", "query": "dog"},
    "get_context_window": {"thread_id": "chat", "query": "dog"},
    "list_messages": {"thread_id": "chat"},
    "get_messages_by_id": {"ids": ["hello"]},
    "delete_messages": {"ids": ["hello"]},
    "expire_messages": {"before": "2000-01-01T00:00:00Z"},
    "recall": {"thread_id": "chat", "query": "dog"},
    "embed_pending": {"thread_id": "chat"},
    "prepare_index": {},
    "reembed": {},
    "get_working_memory": {"thread_id": "chat"},
    "update_working_memory": {"thread_id": "chat", "content": "x"},
    "working_memory_tool": {},
    "within": {"resource_ids": ["alice"]},
}

NAMES = {"thread_id", "resource_id", "new_thread_id", "up_to_message_id", "idempotency_key"}
COUNTS = {"limit", "last", "top_k", "max_tokens", "if_version"}
TEXT = {"title", "query", "system"}
MOMENTS = {"start", "end", "before"}
CHOICES = {"mode", "order", "order_by", "role", "scope", "format"}
OBJECTS = {
    ("create_thread", "metadata"),
    ("update_thread", "metadata"),
    ("clone_thread", "metadata"),
}
FILTERS = {
    ("list_threads", "metadata"),
    ("count_threads", "metadata"),
    ("list_messages", "metadata"),
    ("recall", "filter"),
}
#: Arguments with tests of their own, below.
OTHERS = {"messages", "ids", "resource_ids", "lines", "cursor", "content", "patch"}
OTHERS |= {"dry_run", "explain", "facts", "hybrid", "message_range", "min_score", "working_memory"}

ARGUMENTS = [
    (method, parameter)
    for method in CALLS
    for parameter in inspect.signature(getattr(Memory, method)).parameters.values()
    if parameter.name != "self"
]


def methods(*kinds: set[str]) -> list[tuple[str, inspect.Parameter]]:
    return [(method, item) for method, item in ARGUMENTS if item.name in set().union(*kinds)]


class TestHostileMemory(WithThread):
    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        engine.vectors.embedder = BagOfWords()
        memory = engine.memory
        memory.save_memory(thread_id="chat", resource_id="alice", messages=[HELLO])
        return memory

    @pytest.fixture
    def thread(self, memory: Memory) -> Thread:
        return memory.get_thread(thread_id="chat")

    def refused(self, memory: Memory, method: str, pointer: str, **arguments: Any) -> InvalidInput:
        before = memory.list_threads(resource_id="alice"), self.stored(memory)
        with pytest.raises(InvalidInput) as caught:
            getattr(memory, method)(**{**CALLS[method], **arguments})
        assert caught.value.path == pointer, method
        after = memory.list_threads(resource_id="alice"), self.stored(memory)
        assert after == before
        return caught.value

    def test_every_argument_of_every_method_is_tested(self) -> None:
        public = {
            name
            for name, _ in inspect.getmembers(Memory, inspect.isfunction)
            if not name.startswith("_") and not hasattr(Memory, name[1:])
        }
        assert public == set(CALLS), f"Add methods to CALLS in {__file__}, or remove them"
        tried = NAMES | COUNTS | TEXT | MOMENTS | CHOICES | OTHERS
        assert {
            (method, item.name) for method, item in ARGUMENTS if item.name not in tried
        } == OBJECTS | FILTERS, f"Add arguments to one of the sets of their kinds in {__file__}"

    # Refused

    @by_name(UNFIT_NAMES)
    def test_names(self, memory: Memory, hostile: Refused) -> None:
        for method, parameter in methods(NAMES):
            if hostile.value is not None or parameter.default is parameter.empty:
                arguments = {parameter.name: hostile.value}
                self.refused(memory, method, f"/{parameter.name}", **arguments)

    @by_name(UNFIT_NAMES)
    def test_lists_of_names(self, memory: Memory, hostile: Refused) -> None:
        for method, parameter in methods({"ids", "resource_ids"}):
            arguments = {parameter.name: ["hello", hostile.value]}
            self.refused(memory, method, f"/{parameter.name}/1", **arguments)

    @by_name(UNFIT_COUNTS)
    def test_counts(self, memory: Memory, hostile: Refused) -> None:
        for method, parameter in methods(COUNTS):
            arguments = {parameter.name: hostile.value}
            self.refused(memory, method, f"/{parameter.name}", **arguments)

    @by_name(UNFIT_COUNTS)
    def test_ranges(self, memory: Memory, hostile: Refused) -> None:
        for method, _ in methods({"message_range"}):
            for place, pair in enumerate([(hostile.value, 1), (1, hostile.value)]):
                self.refused(memory, method, f"/message_range/{place}", message_range=pair)
            for value in (hostile.value, [1], (1, 1, 1), None, "11", {1: 1, 2: 2}):
                self.refused(memory, method, "/message_range", message_range=value)

    @pytest.mark.parametrize("value", ["0.5", True, [1], float("nan"), float("inf")])
    def test_scores(self, memory: Memory, value: Any) -> None:
        self.refused(memory, "recall", "/min_score", min_score=value)

    @by_name(UNFIT_TEXTS)
    def test_texts(self, memory: Memory, hostile: Refused) -> None:
        for method, parameter in methods(TEXT):
            arguments = {parameter.name: hostile.value}
            self.refused(memory, method, f"/{parameter.name}", **arguments)

    @by_name(UNFIT_MOMENTS)
    def test_moments(self, memory: Memory, hostile: Refused) -> None:
        for method, parameter in methods(MOMENTS):
            arguments = {parameter.name: hostile.value}
            self.refused(memory, method, f"/{parameter.name}", **arguments)
        messages = [{"role": "user", "content": "x", "created_at": hostile.value}]
        self.refused(memory, "save_memory", "/messages/0/created_at", messages=messages)

    @pytest.mark.parametrize("value", ["", "ASC", 1, True, ["asc"], "\0"])
    def test_choices(self, memory: Memory, value: Any) -> None:
        for method, parameter in methods(CHOICES):
            self.refused(memory, method, f"/{parameter.name}", **{parameter.name: value})

    @pytest.mark.parametrize("method", ["get_memory", "get_context_window"])
    def test_a_scope_without_a_query(self, memory: Memory, method: str) -> None:
        self.refused(memory, method, "/scope", scope="world", query=None)

    @by_name(UNFIT_CURSORS)
    def test_cursors(self, memory: Memory, hostile: Refused) -> None:
        for method, _ in methods({"cursor"}):
            self.refused(memory, method, "/cursor", cursor=hostile.value)

    @by_name([*UNFIT_FILTERS, *TOO_DEEP_FILTERS])
    def test_filters(self, memory: Memory, hostile: Refused) -> None:
        for method, argument in sorted(FILTERS):
            with pytest.raises(InvalidFilter) as caught:
                getattr(memory, method)(**CALLS[method], **{argument: hostile.value})
            assert caught.value.path.startswith(f"/{argument}")

    @by_name(UNFIT_VALUES)
    def test_values(self, memory: Memory, hostile: Refused) -> None:
        document, within = {"key": hostile.value}, f"/key{hostile.pointer}"
        for method, argument in sorted(OBJECTS):
            self.refused(memory, method, f"/{argument}{within}", **{argument: document})
        for argument in ("content", "patch"):
            arguments = {"content": None, argument: document}
            self.refused(memory, "update_working_memory", f"/{argument}{within}", **arguments)
        assert memory.get_working_memory(thread_id="chat").version == 0
        for message, place in (
            ({"role": "user", "content": "x", "metadata": document}, "/metadata"),
            ({"role": "user", "content": [{"type": "own", **document}]}, "/content/0"),
        ):
            pointer = f"/messages/1{place}{within}"
            self.refused(memory, "save_memory", pointer, messages=[HELLO, message])

    @by_name(TOO_DEEP)
    def test_depths(self, memory: Memory, hostile: Refused) -> None:
        part = {"type": "own", "value": hostile.value}
        for method, arguments, pointer in (
            ("create_thread", {"metadata": hostile.value}, "/metadata"),
            ("update_thread", {"metadata": hostile.value}, "/metadata"),
            ("clone_thread", {"metadata": hostile.value}, "/metadata"),
            ("update_working_memory", {"content": hostile.value}, "/content"),
            ("update_working_memory", {"content": None, "patch": hostile.value}, "/patch"),
            (
                "save_memory",
                {"messages": [{"role": "user", "content": [part]}]},
                "/messages/0/content",
            ),
            (
                "save_memory",
                {"messages": [{"role": "user", "content": "", "metadata": hostile.value}]},
                "/messages/0/metadata",
            ),
        ):
            with pytest.raises(InvalidInput) as caught:
                getattr(memory, method)(**{**CALLS[method], **arguments})
            assert caught.value.path.startswith(pointer)

    @pytest.mark.parametrize("value", ["text", 7, ["a"], [["a", 1]], b"a", True])
    def test_values_that_are_not_objects(self, memory: Memory, value: Any) -> None:
        for method, argument in sorted(OBJECTS):
            self.refused(memory, method, f"/{argument}", **{argument: value})
        self.refused(memory, "update_working_memory", "/patch", content=None, patch=value)

    @by_name(UNFIT_MESSAGES)
    def test_messages(self, memory: Memory, hostile: Refused) -> None:
        messages = [{"role": "user", "content": "fine"}, hostile.value]
        pointer = f"/messages/1{hostile.pointer}"
        self.refused(memory, "save_memory", pointer, messages=messages)
        self.refused(memory, "save_memory", pointer, messages=iter(messages), resource_id="alice")

    @pytest.mark.parametrize("value", [None, 7, "Hi", b"Hi", HELLO])
    def test_values_that_are_not_lists(self, memory: Memory, value: Any) -> None:
        self.refused(memory, "save_memory", "/messages", messages=value)

    @pytest.mark.parametrize("value", [None, 7, "hello", {"hello": 1}])
    def test_values_that_are_not_lists_of_names(self, memory: Memory, value: Any) -> None:
        for method, parameter in methods({"ids", "resource_ids"}):
            self.refused(memory, method, f"/{parameter.name}", **{parameter.name: value})

    # Kept

    @by_name(TEXTS)
    def test_any_text_is_a_name(self, memory: Memory, hostile: Kept) -> None:
        value = hostile.value
        thread = memory.create_thread(
            resource_id=value, thread_id=value, title=value, metadata={value: value}
        )
        assert (thread.id, thread.resource_id, thread.title) == (value, value, value)
        message = {
            "id": value,
            "role": "tool",
            "content": [{"type": "text", "text": value}, {"type": value, value: value}],
            "tool_call_id": value,
            "metadata": {value: value},
        }
        call: dict[str, Any] = {"messages": [message], "idempotency_key": value}
        (saved,) = memory.save_memory(thread_id=value, resource_id=value, **call)
        assert {key: getattr(saved, key) for key in message} == message
        assert memory.save_memory(thread_id=value, **call) == [saved]
        assert memory.get_messages_by_id(ids=[value]) == [saved]
        (listed,) = memory.list_threads(resource_id=value)
        assert listed.metadata == {value: value}
        assert self.stored(memory, value) == [saved]
        confined = memory.within(resource_ids=[value])
        assert confined.get_context_window(thread_id=value, end="2999-01-01T00:00:00Z") is not None
        clone = confined.clone_thread(thread_id=value, up_to_message_id=value, title=value)
        assert clone.message_count == 1
        assert memory.update_thread(thread_id=value, metadata={"a": value}).metadata["a"] == value
        assert memory.delete_messages(ids=[value]) == 1
        assert memory.delete_thread(thread_id=value).id == value

    @by_name(TEXTS)
    def test_any_text_can_be_working_memory(
        self, memory: Memory, thread: Thread, hostile: Kept
    ) -> None:
        value = hostile.value
        memory.update_working_memory(resource_id=value, content=value)
        changed = memory.update_working_memory(resource_id=value, patch={value: {value: value}})
        assert (changed.content, changed.data) == (value, {value: {value: value}})
        assert memory.get_working_memory(resource_id=value) == changed

    @by_name(TEXTS)
    def test_any_text_can_be_a_query(self, memory: Memory, thread: Thread, hostile: Kept) -> None:
        value = hostile.value
        self.say(memory, f"dog {value}", metadata={value: value})
        matches = memory.recall(
            query=f"dog {value}", thread_id="chat", top_k=1, message_range=(0, 0)
        )
        assert [message.id for message in matches] == [f"dog {value}"]
        assert matches[0].metadata == {value: value}
        memory.recall(query=value, resource_id="alice")
        window = memory.get_context_window(thread_id="chat", system=value, query=value)
        assert window.messages[0].content[0]["text"] == value
        memory.get_memory(thread_id="chat", query=value)

    @by_name(METADATA)
    def test_documents(self, memory: Memory, thread: Thread, hostile: Kept) -> None:
        value = hostile.value
        created = memory.create_thread(resource_id="bob", thread_id="new", metadata=value)
        assert created.metadata == memory.get_thread(thread_id="new").metadata == value
        merged = memory.update_thread(thread_id="chat", metadata=value)
        assert merged.metadata == memory.get_thread(thread_id="chat").metadata == value
        assert memory.clone_thread(thread_id="chat").metadata == value
        (saved,) = self.say(memory, "dog", metadata=value)
        assert saved.metadata == self.stored(memory)[1].metadata == value
        (matches,) = memory.recall(query="dog", thread_id="chat", top_k=1, message_range=(0, 0))
        assert matches.metadata == value
        memory_state = memory.update_working_memory(thread_id="chat", content=value)
        assert memory_state.data == memory.get_working_memory(thread_id="chat").data == value
        window = memory.get_context_window(thread_id="chat", working_memory=True)
        assert len(window) == (3 if value else 2)

    @by_name([item for item in DOCUMENTS if item.name != "64 levels"])
    def test_parts(self, memory: Memory, thread: Thread, hostile: Kept) -> None:
        part = {**hostile.value, "type": "own"}
        (saved,) = self.say(memory, "", id=None, content=[part, {"type": "own", "in": part}])
        assert saved.content == [part, {"type": "own", "in": part}]
        assert self.stored(memory)[1] == saved
        assert memory.get_context_window(thread_id="chat", format="openai").tokens > 0
        assert memory.get_context_window(thread_id="chat", format="anthropic").tokens > 0
