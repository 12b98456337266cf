"""Memory scoped to some resources shows nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import (
    InvalidInput,
    MessageNotFound,
    NotFound,
    ThreadExists,
    ThreadNotFound,
)
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.testing.contract.threads import WithThread, ids
from mastra_engine.types import Page

MESSAGES = [{"role": "user", "content": "Hello"}]

#: Every method that is about a thread, called with bob's.
ABOUT_A_THREAD: dict[str, Callable[[Memory], Any]] = {
    "get_thread": lambda m: m.get_thread(thread_id="bobs"),
    "update_thread": lambda m: m.update_thread(thread_id="bobs", title="Taken"),
    "update_thread, version": lambda m: m.update_thread(thread_id="bobs", if_version=9),
    "transfer_thread": lambda m: m.transfer_thread(thread_id="bobs", resource_id="alice"),
    "clone_thread": lambda m: m.clone_thread(thread_id="bobs", resource_id="alice"),
    "delete_thread": lambda m: m.delete_thread(thread_id="bobs"),
    "export_thread": lambda m: m.export_thread(thread_id="bobs"),
    "save_memory": lambda m: m.save_memory(thread_id="bobs", messages=MESSAGES),
    "save_memory, own resource": lambda m: m.save_memory(
        thread_id="bobs", messages=MESSAGES, resource_id="alice"
    ),
    "save_memory, used key": lambda m: m.save_memory(
        thread_id="bobs", messages=MESSAGES, idempotency_key="k"
    ),
    "save_memory, nothing": lambda m: m.save_memory(thread_id="bobs", messages=[]),
    "get_memory": lambda m: m.get_memory(thread_id="bobs"),
    "get_memory, query": lambda m: m.get_memory(thread_id="bobs", query="dog"),
    "get_context_window": lambda m: m.get_context_window(thread_id="bobs"),
    "list_messages": lambda m: m.list_messages(thread_id="bobs"),
    "recall": lambda m: m.recall(query="dog", thread_id="bobs"),
    "embed_pending": lambda m: m.embed_pending(thread_id="bobs"),
    "get_working_memory": lambda m: m.get_working_memory(thread_id="bobs"),
    "update_working_memory": lambda m: m.update_working_memory(thread_id="bobs", content="x"),
}

#: Every method that is about a resource, called with bob.
ABOUT_A_RESOURCE: dict[str, Callable[[Memory], Any]] = {
    "create_thread": lambda m: m.create_thread(resource_id="bob"),
    "list_threads": lambda m: m.list_threads(resource_id="bob"),
    "count_threads": lambda m: m.count_threads(resource_id="bob"),
    "transfer_thread": lambda m: m.transfer_thread(thread_id="chat", resource_id="bob"),
    "clone_thread": lambda m: m.clone_thread(thread_id="chat", resource_id="bob"),
    "import_thread": lambda m: m.import_thread(lines=['{"id":"new","resource_id":"bob"}']),
    "save_memory": lambda m: m.save_memory(thread_id="n", messages=MESSAGES, resource_id="bob"),
    "save_memory, there": lambda m: m.save_memory(
        thread_id="bobs", messages=MESSAGES, resource_id="bob"
    ),
    "recall": lambda m: m.recall(query="dog", resource_id="bob"),
    "embed_pending": lambda m: m.embed_pending(resource_id="bob"),
    "get_working_memory": lambda m: m.get_working_memory(resource_id="bob"),
    "update_working_memory": lambda m: m.update_working_memory(resource_id="bob", content="x"),
}


class TestScopedMemory(WithThread):
    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        engine.vectors.embedder = BagOfWords()
        engine.memory.embeds_at_once = False
        return engine.memory

    @pytest.fixture
    def scoped(self, memory: Memory) -> Memory:
        """Alice's memory, where bob has some too."""
        memory.create_thread(resource_id="alice", thread_id="chat")
        memory.create_thread(resource_id="bob", thread_id="bobs")
        texts = [{"role": "user", "content": "my dog", "id": "bob's dog"}, MESSAGES[0]]
        memory.save_memory(thread_id="bobs", messages=texts, idempotency_key="k")
        memory.update_working_memory(resource_id="bob", content="bob's")
        memory.update_working_memory(thread_id="bobs", content="bob's")
        return memory.within(resource_ids=["alice", "carol"])

    def all_of_bobs(self, memory: Memory) -> Any:
        return (
            memory.list_threads(resource_id="bob"),
            self.stored(memory, "bobs"),
            memory.get_working_memory(resource_id="bob"),
            memory.get_working_memory(thread_id="bobs"),
            memory.list_threads(resource_id="alice"),
        )

    @pytest.mark.parametrize("method", ABOUT_A_THREAD)
    def test_a_thread_out_of_scope_is_not_found(
        self, memory: Memory, scoped: Memory, method: str
    ) -> None:
        before = self.all_of_bobs(memory)
        with pytest.raises(ThreadNotFound):
            ABOUT_A_THREAD[method](scoped)
        assert self.all_of_bobs(memory) == before

    @pytest.mark.parametrize("method", ABOUT_A_RESOURCE)
    def test_a_resource_out_of_scope_is_not_found(
        self, memory: Memory, scoped: Memory, method: str
    ) -> None:
        before = self.all_of_bobs(memory)
        with pytest.raises(NotFound):
            ABOUT_A_RESOURCE[method](scoped)
        assert self.all_of_bobs(memory) == before

    def test_messages_out_of_scope_do_not_exist(self, memory: Memory, scoped: Memory) -> None:
        before = self.all_of_bobs(memory)
        others = ids(before[1])
        assert scoped.get_messages_by_id(ids=others) == []
        assert scoped.delete_messages(ids=others) == 0
        assert scoped.expire_messages(before="2999-01-01T00:00:00Z") == 0
        assert self.all_of_bobs(memory)[1] == before[1]

    def test_a_clone_cannot_end_at_a_message_out_of_scope(self, scoped: Memory) -> None:
        scoped.create_thread(resource_id="alice", thread_id="mine")
        with pytest.raises(MessageNotFound):
            scoped.clone_thread(thread_id="mine", up_to_message_id="bob's dog")

    def test_ids_are_unique_across_scopes(self, scoped: Memory) -> None:
        """Ids are one space: this much, and no more, one learns of others."""
        with pytest.raises(ThreadExists):
            scoped.create_thread(resource_id="alice", thread_id="bobs")
        scoped.create_thread(resource_id="alice", thread_id="mine")
        with pytest.raises(ThreadExists):
            scoped.clone_thread(thread_id="mine", new_thread_id="bobs")

    def test_only_messages_in_scope_are_embedded(self, memory: Memory, scoped: Memory) -> None:
        self.say(memory, "my cat")
        assert scoped.embed_pending() == 1
        assert scoped.embed_pending() == 0
        assert memory.embed_pending() == 2

    def test_everything_in_scope_works(self, memory: Memory, scoped: Memory) -> None:
        saved = self.say(scoped, "my dog", "my cat")
        scoped.save_memory(thread_id="carols", resource_id="carol", messages=MESSAGES)
        assert ids(scoped.list_threads(resource_id="carol")) == ["carols"]
        assert scoped.get_context_window(thread_id="chat").messages == saved
        matches = scoped.recall(query="dog", resource_id="alice", message_range=(0, 0), top_k=9)
        assert ids(matches) == ids(saved)
        scoped.update_working_memory(thread_id="chat", content="hers")
        assert memory.get_working_memory(thread_id="chat").content == "hers"
        assert scoped.update_thread(thread_id="chat", title="Hers", if_version=1).version == 2
        assert scoped.clone_thread(thread_id="chat", resource_id="carol").message_count == 2
        assert scoped.delete_messages(ids=["my dog", "bob's dog"]) == 1
        moved = scoped.transfer_thread(thread_id="chat", resource_id="carol")
        assert (moved.resource_id, moved.version) == ("carol", 3)
        assert scoped.delete_thread(thread_id="chat").message_count == 1

    def test_a_scope_can_only_be_narrowed(self, memory: Memory, scoped: Memory) -> None:
        assert memory.get_thread(thread_id="bobs").id == "bobs"
        narrower = scoped.within(resource_ids=["bob", "alice"])
        assert narrower.get_thread(thread_id="chat").id == "chat"
        for resource in ("bob", "carol"):
            with pytest.raises(NotFound):
                narrower.list_threads(resource_id=resource)
        with pytest.raises(NotFound):
            scoped.within(resource_ids=[]).get_thread(thread_id="chat")
        assert scoped.list_threads(resource_id="carol") == Page([])

    @pytest.mark.parametrize("value", ["alice", None, 7, [""], [None]])
    def test_resources_are_a_list_of_names(self, memory: Memory, value: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            memory.within(resource_ids=value)
        assert caught.value.path.startswith("/resource_ids")
