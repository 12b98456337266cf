"""The export of a resource: everything that every engine stores of it, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput


def exported(engine: MastraEngine, resource_id: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in engine.export_resource(resource_id=resource_id)]


def fill(engine: MastraEngine, owner: str) -> None:
    """Store one row of each kind that has the owner's name, and two messages."""
    memory = engine.memory
    memory.create_thread(resource_id=owner, thread_id=f"{owner}/1", title=owner)
    saved = memory.save_memory(
        thread_id=f"{owner}/1",
        messages=[{"role": "user", "content": owner}, {"role": "assistant", "content": owner}],
    )
    memory.update_working_memory(resource_id=owner, content=owner)
    memory.update_working_memory(thread_id=f"{owner}/1", content={"of": owner})
    engine.state.put(namespace=(owner, "prefs"), key="k", value={"of": owner}, index=False)
    fact = {"subject": owner, "predicate": "lives in", "object": "Bern"}
    source = {"message_id": saved[0].id, "quote": owner}
    engine.facts.remember(resource_id=owner, facts=[{**fact, "sources": [source]}])
    engine.facts.remember(resource_id=owner, facts=[{**fact, "object": "Basel"}])


class TestExport:
    def test_it_has_everything_of_a_resource(self, engine: MastraEngine) -> None:
        fill(engine, "ann")
        fill(engine, "bob")
        lines = exported(engine, "ann")
        assert [line["kind"] for line in lines] == [
            *("working_memory", "thread", "working_memory", "message", "message"),
            *("state_item", "fact", "fact"),
        ]
        assert "bob" not in json.dumps(lines)
        shared, thread, own, first, second, item, superseded, current = lines
        assert (shared["resource_id"], shared["content"]) == ("ann", "ann")
        assert (thread["id"], thread["title"]) == ("ann/1", "ann")
        assert (own["thread_id"], own["data"]) == ("ann/1", {"of": "ann"})
        assert [first["position"], second["position"]] == [1, 2]
        assert (item["namespace"], item["value"]) == (["ann", "prefs"], {"of": "ann"})
        assert [superseded["object"], current["object"]] == ["Bern", "Basel"]
        assert superseded["sources"][0]["message_id"] == first["id"]
        assert current["superseded_at"] is None
        assert thread["created_at"].endswith("Z")

    def test_long_lists_are_read_in_pages(self, engine: MastraEngine) -> None:
        for number in range(3):
            engine.memory.create_thread(resource_id="ann", thread_id=f"t{number}")
        messages = [{"role": "user", "content": str(number)} for number in range(1_001)]
        engine.memory.save_memory(thread_id="t1", messages=messages)
        lines = exported(engine, "ann")
        assert [line["id"] for line in lines if line["kind"] == "thread"] == ["t0", "t1", "t2"]
        positions = [line["position"] for line in lines if line["kind"] == "message"]
        assert positions == list(range(1, 1_002))

    def test_rows_that_go_meanwhile_are_left_out(self, engine: MastraEngine) -> None:
        for number in range(2):
            engine.memory.create_thread(resource_id="ann", thread_id=f"t{number}")
        lines = engine.export_resource(resource_id="ann")
        assert json.loads(next(lines))["id"] == "t0"
        engine.memory.delete_thread(thread_id="t0")
        engine.memory.delete_thread(thread_id="t1")
        assert [json.loads(line)["id"] for line in lines] == ["t1"]

    def test_nothing_is_stored_of_an_unknown_resource(self, engine: MastraEngine) -> None:
        assert exported(engine, "unknown") == []
        with pytest.raises(InvalidInput) as caught:
            engine.export_resource(resource_id="")
        assert caught.value.path == "/resource_id"

    def test_what_is_erased_is_not_exported(self, engine: MastraEngine) -> None:
        fill(engine, "ann")
        engine.erase(resource_id="ann")
        assert exported(engine, "ann") == []

    def test_async_variant(self, engine: MastraEngine) -> None:
        fill(engine, "ann")

        async def collect() -> list[str]:
            return [line async for line in engine.aexport_resource(resource_id="ann")]

        assert async_to_sync(collect)() == list(engine.export_resource(resource_id="ann"))
