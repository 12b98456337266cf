"""The memory tool on PostgreSQL: several threads at once, and the transaction of the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from anthropic.lib.tools import ToolError
from django.db import transaction

from mastra_engine import PostgresEngine
from mastra_engine.contrib.anthropic_memory import EngineMemoryTool
from tests.frameworks.threads import THREADS, in_threads

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def memory() -> EngineMemoryTool:
    return EngineMemoryTool(resource_id="ann", engine=PostgresEngine(lock_timeout=60))


def create(memory: EngineMemoryTool, path: str, text: str = "") -> Any:
    return memory.call({"command": "create", "path": path, "file_text": text})


def succeeds(command: Callable[[], Any]) -> bool:
    try:
        command()
    except ToolError:
        return False
    return True


def text_of(memory: EngineMemoryTool, path: str) -> str:
    lines = memory.call({"command": "view", "path": path}).split("\n")[1:]
    return "\n".join(line.partition("\t")[2] for line in lines)


def test_concurrent_replacements_lose_nothing(memory: EngineMemoryTool) -> None:
    places = [f"<{thread}-{number}>" for thread in range(THREADS) for number in range(10)]
    create(memory, "/memories/a.txt", "\n".join(places))

    def replace(thread: int) -> None:
        for number in range(10):
            old, new = f"<{thread}-{number}>", f"[{thread}-{number}]"
            memory.call(
                {
                    "command": "str_replace",
                    "path": "/memories/a.txt",
                    "old_str": old,
                    "new_str": new,
                }
            )

    in_threads(replace)
    expected = [place.replace("<", "[").replace(">", "]") for place in places]
    assert text_of(memory, "/memories/a.txt").split("\n") == expected


def test_concurrent_inserts_lose_nothing(memory: EngineMemoryTool) -> None:
    create(memory, "/memories/a.txt")

    def insert(thread: int) -> None:
        for number in range(10):
            command = {"command": "insert", "path": "/memories/a.txt", "insert_line": 0}
            memory.call({**command, "insert_text": f"{thread}-{number}"})

    in_threads(insert)
    lines = text_of(memory, "/memories/a.txt").split("\n")
    assert sorted(filter(None, lines)) == sorted(
        f"{thread}-{number}" for thread in range(THREADS) for number in range(10)
    )


def test_one_of_several_creations_wins(memory: EngineMemoryTool) -> None:
    path = "/memories/a/b/c.txt"
    assert sum(in_threads(lambda _: succeeds(lambda: create(memory, path)))) == 1


def test_one_of_several_moves_wins(memory: EngineMemoryTool) -> None:
    create(memory, "/memories/a/one.txt", "one")
    create(memory, "/memories/a/two.txt", "two")

    def move(thread: int) -> bool:
        command = {"command": "rename", "old_path": "/memories/a"}
        return succeeds(lambda: memory.call({**command, "new_path": f"/memories/to-{thread}"}))

    moved = in_threads(move)
    assert sum(moved) == 1
    directory = f"/memories/to-{moved.index(True)}"
    assert text_of(memory, f"{directory}/one.txt") == "one"
    assert text_of(memory, f"{directory}/two.txt") == "two"


@pytest.mark.parametrize("attempt", range(5))
def test_no_file_is_left_in_a_directory_that_is_deleted(
    memory: EngineMemoryTool, attempt: int
) -> None:
    """A file is in a directory: it went with it, or is in one that was created again for it."""
    create(memory, "/memories/a/b/old.txt")

    def create_or_delete(thread: int) -> None:
        for number in range(5):
            if thread % 2:
                create(memory, f"/memories/a/b/{thread}-{number}.txt")
            else:
                succeeds(lambda: memory.call({"command": "delete", "path": "/memories/a"}))

    in_threads(create_or_delete)
    items = list(memory.engine.state.list_items(namespace_prefix=("ann",), limit=1_000))
    paths = {(*item.namespace[2:], item.key): item for item in items}
    for path in paths:
        for depth in range(1, len(path)):
            assert paths[path[:depth]].value == {"type": "directory"}


@pytest.mark.parametrize("attempt", range(5))
def test_a_path_is_a_file_or_a_directory(memory: EngineMemoryTool, attempt: int) -> None:
    def create_either(thread: int) -> bool:
        path = "/memories/a" if thread % 2 else f"/memories/a/{thread}.txt"
        return succeeds(lambda: create(memory, path))

    created = in_threads(create_either)
    assert sum(created[1::2]) <= 1
    assert any(created[1::2]) != any(created[::2])


def test_a_tool_joins_the_transaction_of_its_caller(memory: EngineMemoryTool) -> None:
    with transaction.atomic():
        create(memory, "/memories/a.txt", "Hello")
        assert text_of(memory, "/memories/a.txt") == "Hello"
        transaction.set_rollback(True)
    with pytest.raises(ToolError):
        text_of(memory, "/memories/a.txt")
