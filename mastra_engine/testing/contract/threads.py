"""The contract of the threads of agent memory."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import (
    InvalidFilter,
    InvalidInput,
    MessageNotFound,
    ThreadExists,
    ThreadNotFound,
    VersionConflict,
)
from mastra_engine.testing.contract.filter_cases import MONGO, PRODUCTS
from mastra_engine.testing.hostile import DOCUMENTS
from mastra_engine.types import Message, Page, Thread

#: Documents that are small enough for the metadata of threads and messages.
METADATA = [document for document in DOCUMENTS if document.name != "1 MB of text"]


class WithThread:
    """Tests that begin with one empty thread of alice's."""

    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        return engine.memory

    @pytest.fixture
    def thread(self, memory: Memory) -> Thread:
        return memory.create_thread(resource_id="alice", thread_id="chat")

    def say(
        self, memory: Memory, *texts: str, thread_id: str = "chat", **message: Any
    ) -> list[Message]:
        """Save messages, one call each, with their texts as ids unless an id is passed."""
        return [
            memory.save_memory(
                thread_id=thread_id,
                messages=[{"role": "user", "content": text, "id": text, **message}],
            )[0]
            for text in texts
        ]

    def stored(self, memory: Memory, thread_id: str = "chat") -> list[Message]:
        return memory.list_messages(thread_id=thread_id, limit=1_000).items


def ids(items: Any) -> list[str]:
    return [item.id for item in items]


def texts(messages: Any) -> list[str]:
    return [message.content[0]["text"] for message in messages]


class TestThreads(WithThread):
    def test_a_new_thread_is_empty(self, memory: Memory) -> None:
        before = datetime.now(UTC) - timedelta(minutes=1)
        thread = memory.create_thread(
            resource_id="alice", title="Holidays", metadata={"tags": ["a", None]}
        )
        assert (thread.resource_id, thread.title) == ("alice", "Holidays")
        assert (thread.metadata, thread.version) == ({"tags": ["a", None]}, 1)
        assert thread.message_count == 0
        assert thread.created_at == thread.updated_at > before
        assert memory.get_thread(thread_id=thread.id) == thread
        assert memory.list_messages(thread_id=thread.id) == Page([])

    def test_an_id_may_be_chosen_once(self, memory: Memory, thread: Thread) -> None:
        assert (thread.id, thread.title, thread.metadata) == ("chat", "", {})
        for resource in ("alice", "bob"):
            with pytest.raises(ThreadExists):
                memory.create_thread(resource_id=resource, thread_id="chat")
        assert memory.get_thread(thread_id="chat") == thread

    def test_generated_ids_are_distinct(self, memory: Memory) -> None:
        created = [memory.create_thread(resource_id="alice") for _ in range(3)]
        assert len(set(ids(created))) == 3

    def test_values_are_frozen_and_apart_from_the_store(
        self, memory: Memory, thread: Thread
    ) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            thread.title = "Other"  # type: ignore[misc]
        thread.metadata["stolen"] = True
        assert memory.get_thread(thread_id="chat").metadata == {}

    def test_missing_threads_are_not_found(self, memory: Memory) -> None:
        for call in (
            lambda: memory.get_thread(thread_id="nowhere"),
            lambda: memory.update_thread(thread_id="nowhere", title="New"),
            lambda: memory.update_thread(thread_id="nowhere", if_version=1),
            lambda: memory.transfer_thread(thread_id="nowhere", resource_id="alice"),
            lambda: memory.clone_thread(thread_id="nowhere"),
            lambda: memory.delete_thread(thread_id="nowhere"),
            lambda: memory.export_thread(thread_id="nowhere"),
            lambda: memory.get_memory(thread_id="nowhere"),
            lambda: memory.get_context_window(thread_id="nowhere"),
            lambda: memory.list_messages(thread_id="nowhere"),
            lambda: memory.save_memory(thread_id="nowhere", messages=[]),
            lambda: memory.save_memory(
                thread_id="nowhere", messages=[{"role": "user", "content": "Hi"}]
            ),
            lambda: memory.recall(query="Hi", thread_id="nowhere"),
            lambda: memory.embed_pending(thread_id="nowhere"),
            lambda: memory.get_working_memory(thread_id="nowhere"),
            lambda: memory.update_working_memory(thread_id="nowhere", content="Hi"),
        ):
            with pytest.raises(ThreadNotFound):
                call()
        assert memory.list_threads(resource_id="alice") == Page([])

    # Lists

    def test_the_most_recently_used_thread_comes_first(self, memory: Memory) -> None:
        for id in ("a", "b", "c"):
            memory.create_thread(resource_id="alice", thread_id=id)
        self.say(memory, "Hi", thread_id="a")
        assert ids(memory.list_threads(resource_id="alice")) == ["a", "c", "b"]
        assert ids(memory.list_threads(resource_id="alice", order="asc")) == ["b", "c", "a"]
        memory.update_thread(thread_id="b", title="Used")
        assert ids(memory.list_threads(resource_id="alice")) == ["b", "a", "c"]

    @pytest.mark.parametrize("order", ["asc", "desc"])
    def test_pages_contain_every_thread_once(self, memory: Memory, order: Any) -> None:
        for id in "edabc":
            memory.create_thread(resource_id="alice", thread_id=id)
        for limit in range(1, 7):
            items, cursor = [], None
            while True:
                page = memory.list_threads(
                    resource_id="alice", limit=limit, cursor=cursor, order=order
                )
                assert len(page) <= limit
                items += ids(page)
                cursor = page.next_cursor
                if cursor is None:
                    break
            assert items == list("edabc" if order == "asc" else "cbade")
        assert memory.list_threads(resource_id="alice", limit=0) == Page([])

    def test_a_cursor_belongs_to_its_query(self, memory: Memory) -> None:
        for id in "abc":
            memory.create_thread(resource_id="alice", thread_id=id)
        query: dict[str, Any] = {"resource_id": "alice", "limit": 1}
        cursor = memory.list_threads(**query).next_cursor
        for other in ({"resource_id": "bob"}, {"order": "asc"}, {"metadata": {"a": 1}}):
            with pytest.raises(InvalidInput) as caught:
                memory.list_threads(**{**query, **other}, cursor=cursor)
            assert caught.value.path == "/cursor"

    def test_threads_are_listed_by_their_creation(self, memory: Memory) -> None:
        for id in ("b", "c", "a"):
            memory.create_thread(resource_id="alice", thread_id=id)
        memory.update_thread(thread_id="b", title="Used")
        query: dict[str, Any] = {"resource_id": "alice", "order_by": "created_at", "limit": 2}
        first = memory.list_threads(**query)
        second = memory.list_threads(**query, cursor=first.next_cursor)
        assert (ids(first), ids(second), second.next_cursor) == (["a", "c"], ["b"], None)
        assert ids(memory.list_threads(**query, order="asc")) == ["b", "c"]
        with pytest.raises(InvalidInput):
            memory.list_threads(resource_id="alice", cursor=first.next_cursor)

    def test_threads_are_counted(self, memory: Memory) -> None:
        for number in range(3):
            metadata = {"even": number % 2 == 0}
            memory.create_thread(resource_id="alice", metadata=metadata)
        memory.create_thread(resource_id="bob")
        assert memory.count_threads(resource_id="alice") == 3
        assert memory.count_threads(resource_id="alice", metadata={"even": True}) == 2
        assert memory.count_threads(resource_id="carol") == 0

    def test_threads_of_other_resources_are_not_listed(
        self, memory: Memory, thread: Thread
    ) -> None:
        memory.create_thread(resource_id="Alice", thread_id="other")
        memory.create_thread(resource_id="alice ", thread_id="another")
        assert memory.list_threads(resource_id="alice").items == [thread]
        assert memory.list_threads(resource_id="bob").items == []

    @pytest.mark.parametrize(
        ("where", "expected"),
        [case for case in MONGO if "@" not in str(case[0])],
        ids=lambda value: str(value)[:60],
    )
    def test_metadata_filters_work_as_on_records(
        self, memory: Memory, where: Any, expected: list[str]
    ) -> None:
        for id, data in PRODUCTS.items():
            memory.create_thread(resource_id="alice", thread_id=id, metadata=data)
        threads = memory.list_threads(resource_id="alice", metadata=where)
        assert sorted(ids(threads)) == sorted(expected)

    def test_metadata_has_no_columns(self, memory: Memory, thread: Thread) -> None:
        with pytest.raises(InvalidFilter):
            memory.list_threads(resource_id="alice", metadata={"@rev": 1})

    # Changes

    def test_metadata_is_merged_by_its_top_level_keys(self, memory: Memory) -> None:
        memory.create_thread(
            resource_id="alice", thread_id="chat", title="Old", metadata={"a": {"b": 1}, "c": 2}
        )
        first = memory.update_thread(thread_id="chat", metadata={"a": {"d": 3}, "e": None})
        assert first.metadata == {"a": {"d": 3}, "c": 2, "e": None}
        assert (first.title, first.version) == ("Old", 2)
        second = memory.update_thread(thread_id="chat", title="New")
        assert (second.title, second.version, second.metadata) == ("New", 3, first.metadata)
        assert second.updated_at > first.updated_at > second.created_at
        assert memory.update_thread(thread_id="chat", title="").title == ""
        assert memory.get_thread(thread_id="chat").version == 4

    def test_metadata_may_be_replaced_whole(self, memory: Memory) -> None:
        memory.create_thread(resource_id="alice", thread_id="chat", metadata={"a": 1, "b": 2})
        replaced = memory.update_thread(thread_id="chat", metadata={"c": 3}, mode="replace")
        assert (replaced.metadata, replaced.version) == ({"c": 3}, 2)
        renamed = memory.update_thread(thread_id="chat", title="New", mode="replace")
        assert (renamed.title, renamed.metadata) == ("New", {"c": 3})
        assert memory.update_thread(thread_id="chat", metadata={}, mode="replace").metadata == {}

    def test_a_version_is_compared_before_it_is_changed_or_deleted(
        self, memory: Memory, thread: Thread
    ) -> None:
        memory.update_thread(thread_id="chat", title="Second", if_version=1)
        for outdated in (0, 1, 3):
            with pytest.raises(VersionConflict):
                memory.update_thread(thread_id="chat", title="Lost", if_version=outdated)
            with pytest.raises(VersionConflict):
                memory.delete_thread(thread_id="chat", if_version=outdated)
        assert memory.get_thread(thread_id="chat").title == "Second"
        assert memory.delete_thread(thread_id="chat", if_version=2).title == "Second"

    def test_messages_do_not_change_the_version(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "a", "b")
        after = memory.get_thread(thread_id="chat")
        assert (after.version, after.message_count) == (1, 2)
        assert after.updated_at > thread.updated_at

    # Transfers

    def test_a_thread_goes_to_another_resource_with_all_it_has(self, memory: Memory) -> None:
        memory.create_thread(resource_id="alice", thread_id="chat", title="Plan", metadata={"a": 1})
        messages = self.say(memory, "one", "two", "three")
        memory.delete_messages(ids=["two"])
        memory.update_working_memory(thread_id="chat", content="goes along")
        memory.update_working_memory(resource_id="alice", content="stays behind")
        before = memory.get_thread(thread_id="chat")
        moved = memory.transfer_thread(thread_id="chat", resource_id="bob")
        assert moved.updated_at > before.updated_at
        assert moved == dataclasses.replace(
            before, resource_id="bob", version=2, updated_at=moved.updated_at
        )
        assert memory.list_threads(resource_id="bob").items == [moved]
        assert memory.list_threads(resource_id="alice").items == []
        assert self.stored(memory) == [messages[0], messages[2]]
        assert memory.get_working_memory(thread_id="chat").content == "goes along"
        assert memory.get_working_memory(resource_id="bob").version == 0
        assert memory.get_working_memory(resource_id="alice").content == "stays behind"
        assert self.say(memory, "four")[0].position == 4

    def test_a_transfer_to_its_own_resource_changes_nothing(
        self, memory: Memory, thread: Thread
    ) -> None:
        assert memory.transfer_thread(thread_id="chat", resource_id="alice") == thread

    def test_a_version_is_compared_before_a_transfer(self, memory: Memory, thread: Thread) -> None:
        with pytest.raises(VersionConflict):
            memory.transfer_thread(thread_id="chat", resource_id="bob", if_version=2)
        assert memory.get_thread(thread_id="chat") == thread
        moved = memory.transfer_thread(thread_id="chat", resource_id="bob", if_version=1)
        assert moved.resource_id == "bob"

    # Clones

    def test_a_clone_is_independent(self, memory: Memory) -> None:
        memory.create_thread(
            resource_id="alice", thread_id="chat", title="Plan", metadata={"a": 1, "b": 2}
        )
        self.say(memory, "one", "two", "three", metadata={"kept": True})
        memory.update_working_memory(thread_id="chat", content="stays behind")
        clone = memory.clone_thread(thread_id="chat", metadata={"b": 3})
        assert clone.id != "chat"
        assert (clone.resource_id, clone.title, clone.version) == ("alice", "Plan", 1)
        assert (clone.metadata, clone.message_count) == ({"a": 1, "b": 3}, 3)
        copied, originals = self.stored(memory, clone.id), self.stored(memory)
        assert [
            dataclasses.replace(copy, id=original.id, thread_id="chat")
            for copy, original in zip(copied, originals, strict=True)
        ] == originals
        assert not set(ids(copied)) & set(ids(originals))
        assert memory.get_working_memory(thread_id=clone.id).version == 0
        self.say(memory, "four", thread_id=clone.id)
        assert len(self.stored(memory)) == 3
        memory.delete_thread(thread_id="chat")
        assert texts(self.stored(memory, clone.id)) == ["one", "two", "three", "four"]

    def test_a_clone_may_end_earlier(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "one", "two", "three", "four")
        memory.delete_messages(ids=["two"])
        clone = memory.clone_thread(
            thread_id="chat", new_thread_id="copy", up_to_message_id="three", title="Other"
        )
        assert (clone.id, clone.title, clone.message_count) == ("copy", "Other", 2)
        copied = self.stored(memory, "copy")
        assert texts(copied) == ["one", "three"]
        assert [message.position for message in copied] == [1, 2]
        window = memory.get_context_window(thread_id="copy", max_tokens=copied[1].tokens)
        assert (texts(window), window.truncated) == (["three"], True)
        (added,) = self.say(memory, "five", thread_id="copy")
        assert added.position == 3

    def test_a_clone_may_go_to_another_resource(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "one")
        clone = memory.clone_thread(thread_id="chat", resource_id="bob")
        assert memory.list_threads(resource_id="bob").items == [clone]
        assert memory.list_threads(resource_id="alice").items == [
            memory.get_thread(thread_id="chat")
        ]

    def test_a_failed_clone_leaves_nothing(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "one")
        memory.create_thread(resource_id="bob", thread_id="taken")
        self.say(memory, "elsewhere", thread_id="taken")
        with pytest.raises(ThreadExists):
            memory.clone_thread(thread_id="chat", new_thread_id="taken")
        for unknown in ("elsewhere", "nowhere"):
            with pytest.raises(MessageNotFound):
                memory.clone_thread(
                    thread_id="chat", new_thread_id="copy", up_to_message_id=unknown
                )
        assert texts(self.stored(memory, "taken")) == ["elsewhere"]
        with pytest.raises(ThreadNotFound):
            memory.get_thread(thread_id="copy")

    # Deletion

    def test_deleting_a_thread_deletes_its_messages(self, memory: Memory, thread: Thread) -> None:
        self.say(memory, "one", "two")
        memory.create_thread(resource_id="alice", thread_id="other")
        self.say(memory, "three", thread_id="other")
        memory.update_working_memory(thread_id="chat", content="gone")
        memory.update_working_memory(resource_id="alice", content="kept")
        deleted = memory.delete_thread(thread_id="chat")
        assert (deleted.id, deleted.message_count) == ("chat", 2)
        with pytest.raises(ThreadNotFound):
            memory.get_thread(thread_id="chat")
        assert ids(memory.get_messages_by_id(ids=["one", "two", "three"])) == ["three"]
        assert memory.get_working_memory(resource_id="alice").content == "kept"
        memory.create_thread(resource_id="bob", thread_id="chat")
        assert self.stored(memory) == []
        assert memory.get_working_memory(thread_id="chat").version == 0
        assert self.say(memory, "one")[0].position == 1
