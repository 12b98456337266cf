"""The contract of export, import and erasure."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import Conflict, InvalidInput, NotFound, ThreadExists, ThreadNotFound
from mastra_engine.registry import registry, sync
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.threads import METADATA, WithThread, ids, texts
from mastra_engine.testing.hostile import TEXTS, Kept
from mastra_engine.types import Erasure, Thread

HEADER = '{"id": "new", "resource_id": "alice", "title": "T", "metadata": {"a": 1}}'
HELLO = '{"role": "user", "content": "Hello", "id": "hello"}'


class TestTransfer(WithThread):
    def test_an_imported_thread_equals_the_exported_one(self, memory: Memory) -> None:
        before = memory.create_thread(
            resource_id="alice", thread_id="chat", title="Plan", metadata={"a": [None]}
        )
        saved = self.say(memory, "a", "b", "c", metadata={"n": 1.5})
        part = {"type": "tool-result", "toolCallId": "c", "output": {"x": None}}
        saved += self.say(memory, "d", role="tool", content=[part])
        lines = list(memory.export_thread(thread_id="chat"))
        assert len(lines) == 5
        assert all("\n" not in line and json.loads(line) for line in lines)
        memory.delete_thread(thread_id="chat")
        back = memory.import_thread(lines=iter(lines))
        assert (back.id, back.resource_id, back.title) == ("chat", "alice", "Plan")
        assert (back.metadata, back.message_count) == (before.metadata, 4)
        assert self.stored(memory) == saved
        assert list(memory.export_thread(thread_id="chat")) == lines
        assert self.say(memory, "e")[0].position == 5

    def test_a_thread_can_be_imported_under_another_id(
        self, memory: Memory, thread: Thread
    ) -> None:
        saved = self.say(memory, "a", "b", "c")
        memory.delete_messages(ids=["b"])
        lines = [line.encode() for line in memory.export_thread(thread_id="chat")]
        copy = memory.import_thread(lines=lines, thread_id="copy", resource_id="bob")
        assert (copy.id, copy.resource_id) == ("copy", "bob")
        first, second = self.stored(memory, "copy")
        assert first == replace(saved[0], id=first.id, thread_id="copy")
        assert second == replace(saved[2], id=second.id, thread_id="copy", position=2)
        assert not {first.id, second.id} & {"a", "c"}

    def test_lines_may_be_objects(self, memory: Memory, thread: Thread) -> None:
        saved = self.say(memory, "a", "b")
        lines = [json.loads(line) for line in memory.export_thread(thread_id="chat")]
        memory.delete_thread(thread_id="chat")
        assert memory.import_thread(lines=lines).message_count == 2
        assert self.stored(memory) == saved

    def test_a_long_thread_is_read_in_pages(self, memory: Memory, thread: Thread) -> None:
        messages = [{"role": "user", "content": str(n)} for n in range(2_001)]
        memory.save_memory(thread_id="chat", messages=messages)
        lines = list(memory.export_thread(thread_id="chat"))
        assert len(lines) == 2_002
        memory.delete_thread(thread_id="chat")
        assert memory.import_thread(lines=lines).message_count == 2_001

    def test_nothing_is_imported_twice(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "a")
        lines = list(memory.export_thread(thread_id="chat"))
        with pytest.raises(ThreadExists):
            memory.import_thread(lines=lines)
        with pytest.raises(Conflict):
            memory.import_thread(lines=[HEADER, *lines[1:]])
        with pytest.raises(ThreadNotFound):
            memory.get_thread(thread_id="new")
        assert texts(self.stored(memory)) == ["a"]

    @pytest.mark.parametrize(
        ("lines", "pointer"),
        [
            ([], "/lines"),
            (7, "/lines"),
            (HEADER, "/lines"),
            (["no JSON"], "/lines/0"),
            ([7], "/lines/0"),
            (["[]"], "/lines/0"),
            ([{"id": "new"}], "/lines/0/resource_id"),
            ([HEADER, "{"], "/lines/1"),
            (['{"resource_id": "alice"}'], "/lines/0/id"),
            (['{"id": "", "resource_id": "alice"}'], "/lines/0/id"),
            (['{"id": "new"}'], "/lines/0/resource_id"),
            (['{"id": "new", "resource_id": "alice", "title": 7}'], "/lines/0/title"),
            (['{"id": "new", "resource_id": "alice", "metadata": []}'], "/lines/0/metadata"),
            ([HEADER, HELLO, '{"role": "user"}'], "/lines/2/content"),
            ([HEADER, '{"role": "root", "content": ""}'], "/lines/1/role"),
            ([HEADER, HELLO, HELLO], "/lines/2/id"),
            ([HEADER, '{"role": "user", "content": "a\\u0000"}'], "/lines/1/content"),
        ],
    )
    def test_invalid_lines_are_refused(self, memory: Memory, lines: Any, pointer: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.import_thread(lines=lines)
        assert caught.value.path == pointer
        assert memory.list_threads(resource_id="alice").items == []

    @by_name([*TEXTS, *METADATA])
    def test_every_stored_thread_can_be_exported_and_imported(
        self, memory: Memory, hostile: Kept
    ) -> None:
        document = hostile.value if isinstance(hostile.value, dict) else {"a": hostile.value}
        memory.create_thread(resource_id="alice", thread_id="chat", metadata=document)
        saved = self.say(memory, str(hostile.value)[:100], id="m", metadata=document)
        lines = list(memory.export_thread(thread_id="chat"))
        memory.delete_thread(thread_id="chat")
        assert memory.import_thread(lines=lines).metadata == document
        assert self.stored(memory) == saved


class TestErasure(WithThread):
    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        engine.vectors.embedder = BagOfWords()
        engine.memory.embeds_at_once = False
        return engine.memory

    def fill(self, memory: Memory, resource_id: str) -> None:
        for number in (1, 2):
            id = f"{resource_id} {number}"
            memory.create_thread(resource_id=resource_id, thread_id=id)
            self.say(memory, f"dog {id}", f"cat {id}", thread_id=id)
            memory.update_working_memory(thread_id=id, content="x")
        memory.update_working_memory(resource_id=resource_id, content="x")

    def test_erasing_a_resource_deletes_all_its_memory(
        self, engine: MastraEngine, memory: Memory
    ) -> None:
        self.fill(memory, "alice")
        self.fill(memory, "bob")
        memory.embed_pending(resource_id="alice")
        erasure = Erasure(threads=2, messages=4, working_memory=3, vectors=4)
        assert engine.erase(resource_id="alice", dry_run=True) == erasure
        assert engine.erase(resource_id="alice") == erasure
        assert engine.erase(resource_id="alice") == Erasure()
        assert memory.list_threads(resource_id="alice").items == []
        assert memory.get_messages_by_id(ids=["dog alice 1"]) == []
        assert memory.get_working_memory(resource_id="alice").version == 0
        assert memory.recall(query="dog", resource_id="alice") == []
        assert engine.erase(resource_id="bob", dry_run=True) == replace(erasure, vectors=0)
        assert len(memory.recall(query="dog", resource_id="bob", top_k=9)) == 4

    def test_erasing_a_resource_deletes_its_other_vectors(
        self, engine: MastraEngine, memory: Memory
    ) -> None:
        memory.prepare_index()
        for space in ("alice", "bob"):
            engine.vectors.upsert(index_name="memory", namespace=space, documents=["dog"])
        assert engine.erase(resource_id="alice") == Erasure(vectors=1)
        assert engine.erase(resource_id="bob", dry_run=True) == Erasure(vectors=1)

    def test_erases_a_namespace(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.memory.save_memory(
            thread_id="chat", resource_id="alice", messages=[{"role": "user", "content": "hello"}]
        )
        for index in ("one", "two"):
            engine.vectors.create_index(index_name=index, dimension=2)
            for namespace in ("alice", "bob", ""):
                engine.vectors.upsert(
                    index_name=index, vectors=[[1, 0], [0, 1]], ids=["a", "b"], namespace=namespace
                )
        assert engine.erase(namespace="alice", dry_run=True) == Erasure(vectors=4)
        assert engine.erase(namespace="alice") == Erasure(vectors=4)
        assert engine.erase(namespace="alice") == Erasure()
        assert engine.erase(namespace="nobody") == Erasure()
        assert engine.vectors.describe_index(index_name="two").count == 4
        assert len(engine.memory.recall(query="hello", resource_id="alice")) == 1
        assert engine.erase(namespace="") == Erasure(vectors=4)
        scoped = engine.within(namespaces=["alice"])
        with pytest.raises(NotFound):
            scoped.erase(namespace="bob")
        with pytest.raises(InvalidInput, match="exactly one"):
            engine.erase(namespace="bob", resource_id="alice")
        with pytest.raises(InvalidInput, match="exactly one"):
            engine.erase()

    def test_erasing_a_connection_deletes_all_its_data(self, engine: MastraEngine) -> None:
        for connection in ("crm", "shop"):
            for name in ("Contacts", "Deals"):
                entity = engine.create_entity(name=name, connection_id=connection)
                records = [{"external_id": id, "data": {}} for id in "ab"]
                engine.upsert_records(entity_id=entity.id, records=records)
                engine.delete_records(entity_id=entity.id, external_ids=["a"])
        erasure = Erasure(entities=2, records=4)
        assert engine.erase(connection_id="crm", dry_run=True) == erasure
        assert engine.erase(connection_id="crm") == erasure
        assert engine.list_entities(connection_id="crm").items == []
        assert engine.erase(connection_id="shop", dry_run=True) == erasure

    def test_erasing_a_connection_deletes_its_runs(self, engine: MastraEngine) -> None:
        with registry.empty():
            sync(entity="Contacts", name="contacts")(lambda ctx: [])
            for connection in ("crm", "shop"):
                engine.run_sync("contacts", connection_id=connection)
        erasure = Erasure(entities=1, sync_runs=1)
        assert engine.erase(connection_id="crm") == erasure
        assert [run.connection_id for run in engine.list_sync_runs()] == ["shop"]
        assert engine.erase(connection_id="shop", dry_run=True) == erasure

    def test_one_subject_is_required(self, engine: MastraEngine) -> None:
        subjects: list[dict[str, Any]] = [
            {},
            {"resource_id": "a", "connection_id": "b"},
            {"resource_id": ""},
        ]
        for subject in subjects:
            with pytest.raises(InvalidInput) as caught:
                engine.erase(**subject)
            assert caught.value.path == "/resource_id"

    # Age

    def test_old_messages_expire(self, memory: Memory) -> None:
        now = datetime.now(UTC)
        for id in ("kept", "short"):
            memory.create_thread(resource_id="alice", thread_id=id)
        self.say(memory, "old a", "old b", thread_id="kept", created_at="2020-01-01T00:00:00Z")
        self.say(memory, "new c", thread_id="kept", created_at=now + timedelta(hours=2))
        self.say(memory, "old d", thread_id="short", created_at="2020-01-01T00:00:00Z")
        memory.embed_pending()
        assert memory.expire_messages(before="2020-01-01T00:00:00Z") == 0
        later = (now + timedelta(hours=1)).isoformat()
        for _ in range(2):
            assert memory.expire_messages(before=later, dry_run=True) == 3
        assert len(self.stored(memory, "kept")) == 3
        assert memory.expire_messages(before=later) == 3
        assert memory.expire_messages(before=later, dry_run=True) == 0
        assert ids(self.stored(memory, "kept")) == ["new c"]
        assert ids(memory.list_threads(resource_id="alice")) == ["kept"]
        assert memory.vectors.describe_index(index_name="memory").count == 1

    @pytest.mark.parametrize("old", [(0,), (3,), (1, 2), (0, 4), (0, 1, 2, 3, 4)], ids=str)
    def test_messages_expire_at_every_position(self, memory: Memory, old: tuple[int, ...]) -> None:
        """The thread was created after `before`; only the times of its messages matter."""
        memory.create_thread(resource_id="alice", thread_id="chat")
        times = [f"20{year}-06-01T00:00:00Z" for year in (20, 21, 22, 23, 24)]
        for position in range(5):
            time = "2001-01-01T00:00:00Z" if position in old else times[position]
            self.say(memory, str(position), created_at=time)
        memory.embed_pending()
        assert memory.expire_messages(before="2001-01-01T00:00:00Z") == 0
        assert memory.expire_messages(before="2002-01-01T00:00:00Z") == len(old)
        remaining = [str(position) for position in range(5) if position not in old]
        assert ids(self.stored(memory)) == remaining
        assert memory.get_thread(thread_id="chat").message_count == len(remaining)
        assert memory.vectors.describe_index(index_name="memory").count == len(remaining)
        assert memory.expire_messages(before="2002-01-01T00:00:00Z") == 0
        later = sum(times[int(position)] < "2022" for position in remaining)
        assert memory.expire_messages(before="2022-01-01T00:00:00Z") == later

    def test_copied_and_imported_messages_expire(self, memory: Memory) -> None:
        self.fill(memory, "alice")
        memory.create_thread(resource_id="bob", thread_id="chat")
        self.say(memory, "new")
        self.say(memory, "old", created_at="2001-01-01T00:00:00Z")
        memory.clone_thread(thread_id="chat", new_thread_id="clone")
        lines = list(memory.export_thread(thread_id="chat"))
        memory.import_thread(lines=lines, thread_id="import")
        memory.delete_messages(ids=["old"])
        assert memory.expire_messages(before="2002-01-01T00:00:00Z") == 2
        for thread_id in ("chat", "clone", "import"):
            assert len(self.stored(memory, thread_id)) == 1

    def test_the_retention_time_is_a_setting(self, memory: Memory) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.expire_messages()
        assert caught.value.path == "/before"
        self.fill(memory, "alice")
        memory.retention_days = 1
        assert memory.expire_messages() == 0
        memory.retention_days = -1
        assert memory.expire_messages() == 4
