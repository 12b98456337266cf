"""The memory tool of Anthropic's SDK on both engines; its local files are the oracle."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anthropic.lib.tools import ToolError
from anthropic.tools.memory import (
    BetaAbstractMemoryTool,
    BetaAsyncAbstractMemoryTool,
    BetaLocalFilesystemMemoryTool,
)
from asgiref.sync import async_to_sync

from mastra_engine import MastraEngine
from mastra_engine.contrib.anthropic_memory import EngineAsyncMemoryTool, EngineMemoryTool
from mastra_engine.exceptions import EngineConfigError, InvalidInput, NotFound
from tests.frameworks.random_operations import seeds

#: Random commands in the memory of one resource.
COMMANDS = 3_000

pytestmark = pytest.mark.django_db


def tool(engine: MastraEngine, resource_id: str = "ann") -> EngineMemoryTool:
    return EngineMemoryTool(resource_id=resource_id, engine=engine)


def test_it_is_a_memory_tool(each_engine: MastraEngine) -> None:
    memory = EngineMemoryTool(resource_id="ann", cache_control={"type": "ephemeral"})
    assert isinstance(memory, BetaAbstractMemoryTool)
    assert memory.to_dict() == {
        "type": "memory_20250818",
        "name": "memory",
        "cache_control": {"type": "ephemeral"},
    }
    asynchronous = EngineAsyncMemoryTool(resource_id="ann", cache_control={"type": "ephemeral"})
    assert isinstance(asynchronous, BetaAsyncAbstractMemoryTool)
    assert asynchronous.to_dict() == memory.to_dict()


# The oracle

NAMES = ["a", "b", "a.txt", "b.md", "Ω 漢字 🎉", ".hidden", "with space", "%", "_", "back\\slash"]
PLACES = [
    *("/memories", "/memories/", "/memories/.", "/memories/..", "/memories/../memories"),
    *("/memories/../..", "/memories/a/../../..", "/etc/passwd", "memories/a", "", "/memoriesa"),
    *("/memories//a", "/memories/a/./b", "/memories/b/../a", "/memories/nul\0", "/memories/\ud800"),
    *("/memories/../secret", "/memories/../memories/a", "/memories/../memories2/a"),
    *(f"/memories/{'x' * 255}", f"/memories/{'x' * 256}", "/memories/%2e%2e/a", "/memories/a\n"),
]
LINES = [
    "",
    "one",
    "two two",
    "Ω 漢字 🎉",
    "tab\t",
    "carriage\r",
    "nul \0",
    "{}",
    "\\n",
    "ａ",
    "x" * 99,
]


class Commands:
    """Random commands, as a model gives them, also wrong and hostile ones."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.texts = ["one"]

    def next(self) -> dict[str, Any]:
        commands = [self.view, self.create, self.str_replace, self.insert, self.delete, self.rename]
        (command,) = self.random.choices(commands, [5, 6, 4, 3, 2, 3])
        return {"command": command.__name__, **command()}

    def path(self) -> str:
        if self.random.random() < 0.1:
            return self.random.choice(PLACES)
        depth = self.random.choice([1, 1, 1, 2, 2, 3, 4])
        names = [self.random.choice(NAMES[:4] if depth > 1 else NAMES) for _ in range(depth)]
        return f"/memories/{'/'.join(names)}{self.random.choice(['', '', '', '/'])}"

    def text(self) -> str:
        lines = [self.random.choice(LINES) for _ in range(self.random.randrange(6))]
        return self.random.choice(["\n", "\n", "\r\n"]).join(lines)

    def part(self) -> str:
        """Return a text that may occur in a file."""
        text = self.random.choice([self.text(), *LINES])
        start = self.random.randrange(len(text) + 1)
        return self.random.choice([text, text[start : start + self.random.randrange(9)]])

    def view(self) -> dict[str, Any]:
        numbers = [-2, -1, 0, 1, 2, 3, 5, 100]
        span = [self.random.choice(numbers), self.random.choice(numbers)]
        ranges = [None, None, span, span[:1], []]
        return {"path": self.path(), "view_range": self.random.choice(ranges)}

    def create(self) -> dict[str, Any]:
        return {"path": self.path(), "file_text": self.text()}

    def str_replace(self) -> dict[str, Any]:
        return {"path": self.path(), "old_str": self.part(), "new_str": self.part()}

    def insert(self) -> dict[str, Any]:
        line = self.random.choice([-1, 0, 0, 1, 2, 3, 9])
        return {"path": self.path(), "insert_line": line, "insert_text": self.text()}

    def delete(self) -> dict[str, Any]:
        return {"path": self.path()}

    def rename(self) -> dict[str, Any]:
        return {"old_path": self.path(), "new_path": self.path()}


def answer(memory: Any, command: dict[str, Any]) -> tuple[str, str]:
    """Return what a tool answers; errors of the operating system have no text in common."""
    try:
        return "answer", memory.call(command)
    except ToolError as error:
        return "refusal", str(error)
    except (OSError, ValueError) as error:
        return "failure", repr(error)


def with_equal_sizes(kind: str, text: str) -> tuple[str, str]:
    """Return an answer with one size for all directories, which file systems differ in."""
    if text.startswith("Here're the files"):
        first, root, *lines = text.split("\n")
        lines = [re.sub(r"^[^\t]+(?=\t.*/$)", "4K", line) for line in lines]
        text = "\n".join([first, re.sub(r"^[^\t]+", "4K", root), *lines])
    return kind, text


@pytest.mark.parametrize("seed", seeds(COMMANDS))
def test_random_commands_have_the_answers_of_local_files(
    each_engine: MastraEngine, tmp_path: Path, seed: int
) -> None:
    commands = Commands(Random(seed))
    ours, others = tool(each_engine), BetaLocalFilesystemMemoryTool(str(tmp_path / "base"))
    kinds: dict[tuple[str, str], int] = {}
    for number in range(COMMANDS):
        command = commands.next()
        kind, text = with_equal_sizes(*answer(others, command))
        result = answer(ours, command)
        if kind == "failure":
            assert result[0] == "refusal", (number, command, text)
        else:
            assert result == (kind, text), (number, command)
        kinds[command["command"], kind] = kinds.get((command["command"], kind), 0) + 1
    for name in ("view", "create", "str_replace", "insert", "delete", "rename"):
        assert kinds[name, "answer"] > 3, kinds
        assert kinds[name, "refusal"] > 3, kinds
    everything = answer(ours, {"command": "view", "path": "/memories"})
    assert everything == with_equal_sizes(*answer(others, {"command": "view", "path": "/memories"}))
    assert ours.clear_all_memory() == others.clear_all_memory()
    assert list(each_engine.state.list_items(namespace_prefix=("ann",))) == []


# Files


def create(memory: EngineMemoryTool, path: str, text: str) -> Any:
    return memory.call({"command": "create", "path": path, "file_text": text})


def view(memory: EngineMemoryTool, path: str = "/memories") -> Any:
    return memory.call({"command": "view", "path": path})


@pytest.mark.parametrize(
    "text", ["", "\n", "a\r\nb\r", "nul \0", "Ω 漢字 🎉", "\ufeffbom", "a\n" * 5_000]
)
def test_files_are_kept_as_they_are(each_engine: MastraEngine, tmp_path: Path, text: str) -> None:
    ours, others = tool(each_engine), BetaLocalFilesystemMemoryTool(str(tmp_path))
    for memory in (ours, others):
        create(memory, "/memories/notes/a.txt", text)
    assert view(ours, "/memories/notes/a.txt") == view(others, "/memories/notes/a.txt")


def test_the_async_tool_gives_the_same_answers(each_engine: MastraEngine) -> None:
    commands = Commands(Random(99))
    ours = tool(each_engine)
    asynchronous = EngineAsyncMemoryTool(resource_id="bob", engine=each_engine)

    async def call(command: dict[str, Any]) -> tuple[str, Any]:
        try:
            return "answer", await asynchronous.call(command)
        except ToolError as error:
            return "refusal", str(error)

    for _ in range(300):
        command = commands.next()
        assert async_to_sync(call)(command) == answer(ours, command)
    assert async_to_sync(asynchronous.clear_all_memory)() == "All memory cleared"


def test_the_texts_of_files_can_be_searched(each_engine: MastraEngine) -> None:
    memory = tool(each_engine)
    create(memory, "/memories/food.md", "Ann likes strawberries.")
    create(memory, "/memories/work/office.md", "The office is in Vienna.")
    matches = each_engine.state.search(
        namespace_prefix=("ann", "anthropic_memory"), query="strawberries", top_k=1
    )
    assert [match.item.key for match in matches] == ["food.md"]


def test_an_erased_resource_has_no_files(each_engine: MastraEngine) -> None:
    create(tool(each_engine), "/memories/a.txt", "Hello")
    each_engine.erase(resource_id="ann")
    assert view(tool(each_engine)).count("\n") == 1


# Owners and bad input


def test_resources_have_their_own_files(each_engine: MastraEngine) -> None:
    create(tool(each_engine), "/memories/a.txt", "Ann's")
    other = tool(each_engine, "bob")
    with pytest.raises(ToolError):
        view(other, "/memories/a.txt")
    create(other, "/memories/a.txt", "Bob's")
    other.clear_all_memory()
    assert "Ann's" in view(tool(each_engine), "/memories/a.txt")


def test_the_scope_of_the_engine_holds(each_engine: MastraEngine) -> None:
    create(tool(each_engine.within(resource_ids=["ann", "eve"])), "/memories/a.txt", "Hello")
    with pytest.raises(NotFound):
        view(tool(each_engine.within(resource_ids=["bob"])), "/memories/a.txt")


@pytest.mark.parametrize(
    "path",
    [
        "/memories/../../etc/passwd",
        "/memories/../eve/a.txt",
        "/memories/a/../../b",
        "/memories/nul\0",
        "/memories/nul\0/../a",
        "/memories/\ud800",
        f"/memories/{'x' * 256}",
        f"/memories/{'x/' * 300}x",
        f"/memories/{'ü' * 200}",
        "/memories",
        "/memories/..",
        "/",
    ],
)
def test_a_hostile_path_is_refused(each_engine: MastraEngine, path: str) -> None:
    memory = tool(each_engine)
    create(memory, "/memories/a.txt", "Hello")
    for command in (
        {"command": "create", "path": path, "file_text": "x"},
        {"command": "str_replace", "path": path, "old_str": "H", "new_str": "x"},
        {"command": "insert", "path": path, "insert_line": 0, "insert_text": "x"},
        {"command": "delete", "path": path},
        {"command": "rename", "old_path": "/memories/a.txt", "new_path": path},
        {"command": "rename", "old_path": path, "new_path": "/memories/b.txt"},
    ):
        with pytest.raises(ToolError):
            memory.call(command)
    items = each_engine.state.list_items(namespace_prefix=())
    assert [(item.namespace, item.key) for item in items] == [
        (("ann", "anthropic_memory"), "a.txt")
    ]


@pytest.mark.parametrize("text", ["\ud800", "\ud800\0", "x" * (17 * 1024 * 1024)])
def test_a_text_that_cannot_be_stored_is_refused(each_engine: MastraEngine, text: str) -> None:
    memory = tool(each_engine)
    with pytest.raises(ToolError):
        create(memory, "/memories/new/a.txt", text)
    assert list(each_engine.state.list_items(namespace_prefix=())) == []


@pytest.mark.parametrize("id", ["", "\0", "x" * 513])
def test_the_resource_is_validated(id: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        EngineMemoryTool(resource_id=id)
    assert refusal.value.path == "/resource_id"


def test_a_missing_sdk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.optional_deps.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "mastra_engine.contrib.anthropic_memory")
    with pytest.raises(EngineConfigError, match=r"pip install '.*\[anthropic_memory\]'"):
        import_module("mastra_engine.contrib.anthropic_memory")
