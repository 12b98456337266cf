"""The contract of working memory."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import InvalidInput, ThreadNotFound, VersionConflict
from mastra_engine.testing.contract.threads import WithThread
from mastra_engine.types import Thread, WorkingMemory

#: RFC 7396, appendix A, as far as target and patch are objects: target, patch, result.
MERGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": None}}}, {"a": {"b": {"d": 2}}}),
    ({"a": 5}, {"a": {}}, {"a": {}}),
    ({"a": 5}, {"a": {"b": None}}, {"a": {}}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ({"a": 1}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
    ({"A": 1, "": 2}, {"a": 3, "": None}, {"A": 1, "a": 3}),
]

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "pets": {"items": {"type": "string"}}},
    "required": ["name"],
    "additionalProperties": False,
}


class TestWorkingMemory(WithThread):
    @pytest.fixture(params=["resource_id", "thread_id"])
    def holder(self, request: pytest.FixtureRequest, thread: Thread) -> dict[str, Any]:
        """The holder: each test runs with a resource and with a thread."""
        return {"resource_id": "alice"} if request.param == "resource_id" else {"thread_id": "chat"}

    def test_working_memory_is_empty_at_first(self, memory: Memory, holder: dict[str, Any]) -> None:
        nothing = WorkingMemory(content="", data={}, version=0)
        assert memory.get_working_memory(**holder) == nothing

    def test_text_is_replaced(self, memory: Memory, holder: dict[str, Any]) -> None:
        first = memory.update_working_memory(**holder, content="Likes tea")
        assert first == WorkingMemory(content="Likes tea", data={}, version=1)
        second = memory.update_working_memory(**holder, content="")
        assert second == WorkingMemory(content="", data={}, version=2)
        assert memory.get_working_memory(**holder) == second

    def test_text_and_json_are_independent(self, memory: Memory, holder: dict[str, Any]) -> None:
        memory.update_working_memory(**holder, patch={"name": "Ann"})
        memory.update_working_memory(**holder, content="Likes tea")
        memory.update_working_memory(**holder, patch={"age": 7})
        memory_state = memory.update_working_memory(**holder, content="Likes coffee")
        data = {"name": "Ann", "age": 7}
        assert memory_state == WorkingMemory(content="Likes coffee", data=data, version=4)
        replaced = memory.update_working_memory(**holder, content={"age": None})
        assert replaced == WorkingMemory(content="Likes coffee", data={"age": None}, version=5)
        assert memory.get_working_memory(**holder) == replaced

    @pytest.mark.parametrize(("target", "patch", "expected"), MERGES)
    def test_json_is_patched(
        self, memory: Memory, thread: Thread, target: Any, patch: Any, expected: Any
    ) -> None:
        memory.update_working_memory(thread_id="chat", content=target)
        patched = memory.update_working_memory(thread_id="chat", patch=patch)
        assert patched.data == expected
        assert memory.get_working_memory(thread_id="chat") == patched

    def test_the_first_patch_removes_nothing(self, memory: Memory, holder: dict[str, Any]) -> None:
        patch = {"a": None, "b": {"c": None, "d": [None]}}
        assert memory.update_working_memory(**holder, patch=patch).data == {"b": {"d": [None]}}

    def test_a_version_is_compared_before_it_is_changed(
        self, memory: Memory, holder: dict[str, Any]
    ) -> None:
        with pytest.raises(VersionConflict):
            memory.update_working_memory(**holder, content="lost", if_version=1)
        assert memory.get_working_memory(**holder).version == 0
        memory.update_working_memory(**holder, content="first", if_version=0)
        memory.update_working_memory(**holder, patch={"a": 1}, if_version=1)
        for outdated in (0, 1, 3):
            with pytest.raises(VersionConflict):
                memory.update_working_memory(**holder, content="lost", if_version=outdated)
        stored = WorkingMemory(content="first", data={"a": 1}, version=2)
        assert memory.get_working_memory(**holder) == stored

    def test_holders_are_independent(self, memory: Memory, thread: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="alice")
        holders: list[dict[str, Any]] = [
            {"resource_id": "alice"},
            {"resource_id": "bob"},
            {"thread_id": "chat"},
            {"thread_id": "alice"},
        ]
        for number, holder in enumerate(holders):
            memory.update_working_memory(**holder, content=f"{number}")
        stored = [memory.get_working_memory(**holder).content for holder in holders]
        assert stored == ["0", "1", "2", "3"]
        both = {"resource_id": "alice", "thread_id": "chat"}
        assert memory.get_working_memory(**both).content == "2"
        with pytest.raises(ThreadNotFound):
            memory.get_working_memory(resource_id="bob", thread_id="chat")
        with pytest.raises(ThreadNotFound):
            memory.update_working_memory(resource_id="bob", thread_id="chat", content="x")

    def test_a_view_has_the_threads_or_the_resources(self, memory: Memory, thread: Thread) -> None:
        assert memory.get_memory(thread_id="chat").working_memory == WorkingMemory()
        memory.update_working_memory(resource_id="alice", content="hers")
        assert memory.get_memory(thread_id="chat").working_memory.content == "hers"
        memory.update_working_memory(thread_id="chat", content="its own")
        assert memory.get_memory(thread_id="chat").working_memory.content == "its own"

    @pytest.mark.parametrize(
        ("value", "pointer"),
        [
            ({}, "/content"),
            ({"content": "x", "patch": {}}, "/content"),
            ({"content": ["x"]}, "/content"),
            ({"content": 7}, "/content"),
            ({"patch": "x"}, "/patch"),
            ({"patch": ["x"]}, "/patch"),
            ({"content": "x", "if_version": -1}, "/if_version"),
            ({"content": "x", "if_version": "1"}, "/if_version"),
        ],
    )
    def test_invalid_changes_are_refused(
        self, memory: Memory, holder: dict[str, Any], value: Any, pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.update_working_memory(**holder, **value)
        assert caught.value.path == pointer
        assert memory.get_working_memory(**holder).version == 0

    def test_a_holder_must_be_named(self, memory: Memory) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.get_working_memory()
        assert caught.value.path == "/resource_id"
        with pytest.raises(InvalidInput) as caught:
            memory.update_working_memory(content="x")
        assert caught.value.path == "/resource_id"

    # Schemas

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"content": {}}, "/content"),
            ({"content": {"name": 7}}, "/content/name"),
            ({"patch": {"name": None}}, "/patch"),
            ({"patch": {"pets": ["Mia", 7]}}, "/patch/pets/1"),
            ({"patch": {"other": True}}, "/patch"),
        ],
    )
    def test_json_must_satisfy_the_schema(
        self, memory: Memory, holder: dict[str, Any], change: Any, pointer: str
    ) -> None:
        memory.working_memory_schema = SCHEMA
        with pytest.raises(InvalidInput) as caught:
            memory.update_working_memory(**holder, patch={"pets": []})
        assert caught.value.path == "/patch"
        assert memory.get_working_memory(**holder).version == 0
        memory_state = memory.update_working_memory(**holder, content={"name": "Ann"})
        with pytest.raises(InvalidInput) as caught:
            memory.update_working_memory(**holder, **change)
        assert caught.value.path == pointer
        assert memory.get_working_memory(**holder) == memory_state

    def test_text_needs_no_schema(self, memory: Memory, holder: dict[str, Any]) -> None:
        memory.working_memory_schema = SCHEMA
        assert memory.update_working_memory(**holder, content="Likes tea").version == 1

    def test_a_tool_describes_the_change(self, memory: Memory) -> None:
        memory.working_memory_schema = SCHEMA
        tool = memory.working_memory_tool()
        assert tool["type"] == "function"
        parameters = tool["function"]["parameters"]
        assert (parameters["type"], set(parameters["properties"])) == ("object", {"name", "pets"})
        assert "required" not in parameters
        other = memory.working_memory_tool(format="anthropic")
        assert other["input_schema"] == parameters
        assert other["name"] == tool["function"]["name"]
        with pytest.raises(InvalidInput) as caught:
            memory.working_memory_tool(format="vercel")  # type: ignore[arg-type]
        assert caught.value.path == "/format"
