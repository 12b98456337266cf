"""The contract of recall."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from threading import Barrier, Event
from typing import Any
from zlib import crc32

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.exceptions import (
    IndexNotFound,
    InvalidInput,
    InvalidVector,
    ThreadNotFound,
)
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.testing.contract.threads import WithThread, ids
from mastra_engine.types import RecalledMessage, Thread


class BagOfWords:
    """Counts words: texts that share some are close, and one without any is zero."""

    dimension = 512

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * self.dimension
        for word in re.findall(r"\w+", text.lower()):
            vector[crc32(word.encode()) % self.dimension] += 1
        return vector


class Broken(BagOfWords):
    """An embedder that is away or, of cats, answers with an invalid vector."""

    def __init__(self, answer: float | None = None) -> None:
        self.answer = answer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.answer is None:
            raise ConnectionError("away")
        vectors = super().embed_documents(texts)
        for text, vector in zip(texts, vectors, strict=True):
            if "cat" in text:
                vector[0] = self.answer
        return vectors


class Waiting(BagOfWords):
    """An embedder that waits, while it embeds, until a test lets it proceed."""

    def __init__(self) -> None:
        self.entered, self.proceed = Event(), Event()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.wait()
        return [super(Waiting, self).embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.wait()
        return super().embed_query(text)

    def wait(self) -> None:
        self.entered.set()
        assert self.proceed.wait(timeout=20), "the database thread waits for the embedder"


class Together(BagOfWords):
    """An embedder that waits until four texts are being embedded at once."""

    def __init__(self) -> None:
        self.barrier = Barrier(4, timeout=20)

    def embed_query(self, text: str) -> list[float]:
        self.barrier.wait()
        return super().embed_query(text)


#: Async calls that embed, with messages that wait for their vectors.
EMBEDDING: dict[str, Callable[[Memory], Awaitable[Any]]] = {
    "arecall": lambda memory: memory.arecall(query="dog", thread_id="chat"),
    "aget_memory": lambda memory: memory.aget_memory(thread_id="chat", query="dog"),
    "aget_context_window": lambda memory: memory.aget_context_window(thread_id="chat", query="dog"),
    "aembed_pending": lambda memory: memory.aembed_pending(),
    "areembed": lambda memory: memory.areembed(),
    "aprepare_index": lambda memory: memory.aprepare_index(),
}


class TestRecall(WithThread):
    @pytest.fixture
    def memory(self, engine: MastraEngine) -> Memory:
        engine.vectors.embedder = BagOfWords()
        return engine.memory

    @pytest.fixture
    def pets(self, memory: Memory, thread: Thread) -> Thread:
        """Ten messages; those at 3 and 8 are about pets."""
        texts = [f"weather {n}" for n in range(1, 11)]
        texts[2], texts[7] = "my dog is Bello", "the cat is Mia"
        self.say(memory, *texts)
        return memory.get_thread(thread_id="chat")

    def recall(self, memory: Memory, query: str, **options: Any) -> list[int]:
        if "resource_id" not in options:
            options = {"thread_id": "chat", **options}
        return [message.position for message in memory.recall(query=query, **options)]

    def vectors(self, memory: Memory) -> int:
        return memory.vectors.describe_index(index_name="memory").count

    # Hits and their neighbours

    def test_hits_come_with_their_neighbours(self, memory: Memory, pets: Thread) -> None:
        matches = memory.recall(query="dog Bello", thread_id="chat", top_k=1, hybrid=False)
        assert [message.position for message in matches] == [2, 3, 4]
        before, hit, after = matches
        assert (before.score, after.score) == (None, None)
        assert hit.score == pytest.approx(2 / math.sqrt(2 * 4), abs=1e-6)
        stored = memory.get_messages_by_id(ids=[hit.id])[0]
        fields = {name: getattr(stored, name) for name in type(stored).__slots__}
        scores: dict[str, Any] = {"score": hit.score, "similarity": hit.score, "lexical": 0}
        assert hit == RecalledMessage(**fields, **scores)

    @pytest.mark.parametrize(
        ("message_range", "expected"),
        [
            ((0, 0), [3, 8]),
            ((1, 1), [2, 3, 4, 7, 8, 9]),
            ((2, 0), [1, 2, 3, 6, 7, 8]),
            ((0, 4), [3, 4, 5, 6, 7, 8, 9, 10]),
            ((2, 2), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
            ((1000, 1000), list(range(1, 11))),
            ([0, 1], [3, 4, 8, 9]),
        ],
    )
    def test_ranges_that_touch_are_one(
        self, memory: Memory, pets: Thread, message_range: Any, expected: list[int]
    ) -> None:
        options: dict[str, Any] = {"top_k": 2, "message_range": message_range, "hybrid": False}
        matches = self.recall(memory, "dog Bello is", **options)
        assert matches == expected

    def test_the_best_range_comes_first(self, memory: Memory, pets: Thread) -> None:
        options: dict[str, Any] = {"query": "cat Mia is", "hybrid": False}
        assert self.recall(memory, top_k=2, **options) == [7, 8, 9, 2, 3, 4]
        assert self.recall(memory, top_k=1, **options) == [7, 8, 9]
        # Side by side they are one, in the order of the thread.
        side_by_side = self.recall(memory, top_k=2, message_range=(2, 2), **options)
        assert side_by_side == list(range(1, 11))

    def test_ranges_skip_deleted_messages(self, memory: Memory, pets: Thread) -> None:
        memory.delete_messages(ids=["weather 2", "weather 4"])
        assert self.recall(memory, "Bello", top_k=1) == [3]
        assert self.recall(memory, "Bello", top_k=1, message_range=(2, 2)) == [1, 3, 5]

    @pytest.mark.parametrize(
        ("mebibytes", "expected"), [(3, [3, 4, 10]), (1, [2, 3, 4, 5, 6, 9, 10, 11])]
    )
    def test_what_is_recalled_has_a_size(
        self, memory: Memory, thread: Thread, mebibytes: int, expected: list[int]
    ) -> None:
        image = {"type": "image", "image": f"data:image/png;base64,{'A' * (mebibytes << 20)}"}
        texts = [f"weather {n}" for n in range(1, 13)]
        texts[3], texts[9] = "the cat is Mia", "my dog is Bello"
        for text in texts:
            self.say(memory, "", id=text, content=[{"type": "text", "text": text}, image])
        options: dict[str, Any] = {"top_k": 2, "message_range": (2, 2), "hybrid": False}
        # Both hits stay; then come the neighbours that are nearest to the better one.
        assert self.recall(memory, "cat Mia is", **options) == expected

    def test_min_score(self, memory: Memory, pets: Thread) -> None:
        options: dict[str, Any] = {"top_k": 10, "message_range": (0, 0)}
        assert self.recall(memory, "Bello is", min_score=0.6, **options) == [3]
        assert self.recall(memory, "Bello is", min_score=0.3, **options) == [3, 8]
        assert self.recall(memory, "Bello is", min_score=1.1, **options) == []

    def test_filters_apply_to_metadata(self, memory: Memory, thread: Thread) -> None:
        for id, data in {"dog a": {"kind": 1}, "dog b": {"kind": 2}, "dog c": {}}.items():
            self.say(memory, id, metadata=data)
        assert self.recall(memory, "dog", filter={"kind": 2}) == [1, 2, 3]
        exactly: dict[str, Any] = {"message_range": (0, 0)}
        assert self.recall(memory, "dog", filter={"kind": {"$gte": 2}}, **exactly) == [2]
        assert self.recall(memory, "dog", filter={"kind": None}, **exactly) == [3]
        assert self.recall(memory, "dog", filter={"kind": 3}, **exactly) == []

    def test_metadata_cannot_pass_for_another_thread(self, memory: Memory, thread: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="other")
        lies = {"@thread_id": "other", "@position": 7}
        self.say(memory, "dog", metadata=lies)
        assert self.recall(memory, "dog", thread_id="other") == []
        (matches,) = memory.recall(query="dog", thread_id="chat")
        assert (matches.position, matches.metadata) == (1, lies)

    def test_vectors_of_users_are_not_recalled(self, memory: Memory, pets: Thread) -> None:
        memory.embed_pending()
        memory.vectors.upsert(index_name="memory", namespace="alice", documents=["dog Bello"])
        matches = memory.recall(query="dog Bello", resource_id="alice", top_k=1)
        assert [message.position for message in matches] == [2, 3, 4]

    # Scope

    def test_recall_stays_in_the_thread_or_resource(self, memory: Memory, thread: Thread) -> None:
        for resource, id in (("alice", "second"), ("bob", "third"), ("alice ", "fourth")):
            memory.create_thread(resource_id=resource, thread_id=id)
        for id in ("chat", "second", "third", "fourth"):
            self.say(memory, f"dog {id}", f"bird {id}", thread_id=id)

        def threads(**whose: Any) -> list[str]:
            matches = memory.recall(query="dog", top_k=10, message_range=(5, 5), **whose)
            assert len(set(ids(matches))) == len(matches)
            return sorted({message.thread_id for message in matches})

        assert threads(thread_id="chat") == ["chat"]
        assert threads(resource_id="alice") == ["chat", "second"]
        assert threads(resource_id="bob") == ["third"]
        assert threads(resource_id="nobody") == []
        assert threads(resource_id="alice", thread_id="second") == ["second"]
        with pytest.raises(ThreadNotFound):
            threads(resource_id="bob", thread_id="chat")
        with pytest.raises(InvalidInput) as caught:
            memory.recall(query="dog")
        assert caught.value.path == "/resource_id"

    def test_a_view_recalls_in_a_scope(self, memory: Memory, pets: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="new")
        self.say(memory, "hello", thread_id="new")
        options: dict[str, Any] = {"query": "Bello", "top_k": 1, "last": 1}
        assert memory.get_memory(thread_id="new", **options).recalled == []
        wide = memory.get_memory(thread_id="new", scope="resource", **options)
        assert [message.position for message in wide.recalled] == [2, 3, 4]
        assert ids(wide.messages) == ["hello"]
        # A message among the latest ones is not recalled again.
        near = memory.get_memory(thread_id="chat", query="Mia", top_k=1, last=2)
        assert [message.position for message in near.messages] == [9, 10]
        assert [message.position for message in near.recalled] == [7, 8]

    # Embedding

    def test_recall_finds_pending_messages(self, memory: Memory, thread: Thread) -> None:
        memory.embeds_at_once = False
        self.say(memory, "dog", "cat")
        with pytest.raises(IndexNotFound):
            self.vectors(memory)
        assert self.recall(memory, "dog", message_range=(0, 0), top_k=1) == [1]
        assert self.vectors(memory) == 2
        assert memory.embed_pending() == 0

    def test_pending_messages_are_embedded_on_demand(self, memory: Memory, thread: Thread) -> None:
        memory.embeds_at_once = False
        memory.create_thread(resource_id="alice", thread_id="second")
        memory.create_thread(resource_id="bob", thread_id="third")
        for id in ("chat", "second", "third"):
            self.say(memory, f"one {id}", f"two {id}", thread_id=id)
        assert memory.embed_pending(thread_id="chat") == 2
        assert memory.embed_pending(resource_id="alice") == 2
        assert memory.embed_pending() == 2
        assert memory.embed_pending() == 0
        assert self.vectors(memory) == 6

    def test_messages_without_text_do_not_wait(self, memory: Memory, thread: Thread) -> None:
        memory.embeds_at_once = False
        image = [{"type": "image", "url": "https://example.com/a.png"}]
        for content in ("", "  \n", [], image):
            self.say(memory, "", content=content, id=None)
        assert memory.embed_pending() == 0

    def test_the_beginning_of_long_messages_is_embedded(
        self, memory: Memory, thread: Thread
    ) -> None:
        class Narrow(BagOfWords):
            def embed_documents(self, texts: list[str]) -> list[list[float]]:
                assert max(map(len, texts)) <= 8_000
                return super().embed_documents(texts)

        memory.vectors.embedder = Narrow()
        self.say(memory, "cat", "dog " * 1_000 + " ".join(map(str, range(300_000))), id=None)
        assert self.recall(memory, "dog", top_k=1, message_range=(0, 0)) == [2]

    def test_messages_with_a_zero_vector(self, memory: Memory, thread: Thread) -> None:
        memory.embeds_at_once = False
        self.say(memory, "dog", "!!!", "?")
        assert memory.embed_pending() == 3
        assert self.vectors(memory) == 1
        assert memory.embed_pending() == 0
        assert self.recall(memory, "dog") == [1, 2]
        assert self.recall(memory, "???") == []

    def test_a_queue_receives_threads_to_embed(self, memory: Memory, thread: Thread) -> None:
        memory.queue = queue = Held()
        self.say(memory, "dog")
        assert queue.embedded in (["chat"], [])  # within a test's transaction it is not sent
        with pytest.raises(IndexNotFound):
            self.vectors(memory)
        assert memory.embed_pending(thread_id="chat") == 1
        memory.vectors.embedder = None
        sent = len(queue.embedded)
        self.say(memory, "bird")
        assert len(queue.embedded) == sent

    def test_messages_wait_while_the_embedder_fails(self, memory: Memory, thread: Thread) -> None:
        memory.vectors.embedder = Broken()
        self.say(memory, "dog", "cat")
        for call in (
            memory.embed_pending,
            lambda: self.recall(memory, "dog"),
            lambda: memory.get_memory(thread_id="chat", query="dog"),
        ):
            with pytest.raises(ConnectionError):
                call()
        memory.vectors.embedder = BagOfWords()
        assert memory.embed_pending() == 2
        assert self.recall(memory, "dog", message_range=(0, 0), top_k=1) == [1]

    @pytest.mark.parametrize("answer", [math.nan, math.inf])
    def test_messages_wait_after_an_invalid_vector(
        self, memory: Memory, thread: Thread, answer: float
    ) -> None:
        memory.embeds_at_once = False
        memory.vectors.embedder = Broken(answer)
        memory.create_thread(resource_id="bob", thread_id="other")
        for id, text in (("chat", "dog"), ("other", "cat"), ("other", "bird")):
            self.say(memory, text, thread_id=id)
        with pytest.raises(InvalidVector):
            memory.embed_pending()
        assert self.vectors(memory) == 0
        memory.vectors.embedder = BagOfWords()
        assert memory.embed_pending() == 3

    def test_without_an_embedder_there_is_no_recall(self, memory: Memory, thread: Thread) -> None:
        memory.vectors.embedder = None
        for _ in range(2):
            with pytest.raises(InvalidInput) as caught:
                self.recall(memory, "dog")
            assert caught.value.path == "/query"
            self.say(memory, "dog", id=None)
        assert len(self.stored(memory)) == 2

    def test_the_index_can_be_created_in_advance(self, memory: Memory) -> None:
        index = memory.prepare_index()
        assert index is not None
        assert (index.name, index.dimension, index.count) == ("memory", BagOfWords.dimension, 0)
        assert memory.prepare_index() == index
        memory.vectors.embedder = None
        assert memory.prepare_index() is None

    def test_a_new_embedder_needs_reembed(
        self, memory: Memory, pets: Thread, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Other(BagOfWords):
            dimension = 64

        memory.embed_pending()
        memory.vectors.embedder = Other()
        for _ in range(2):  # the second time with a message that waits for its vector
            assert self.recall(memory, "dog Bello") == []
            assert "memory.reembed()" in caplog.messages[-1]
            view = memory.get_memory(thread_id="chat", last=0, query="dog Bello")
            assert view.recalled == []
            window = memory.get_context_window(thread_id="chat", query="dog Bello")
            assert len(window) == len(self.stored(memory))
            self.say(memory, "a cat", id=None)
        memory.delete_messages(ids=[self.stored(memory)[-1].id])
        with pytest.raises(InvalidVector, match=r"reembed\(\)"):
            memory.prepare_index()
        with pytest.raises(InvalidVector, match=r"reembed\(\)"):
            memory.embed_pending()
        assert memory.reembed() == 11
        assert memory.vectors.describe_index(index_name="memory").dimension == 64
        assert self.recall(memory, "dog Bello", top_k=1) == [2, 3, 4]
        memory.vectors.embedder = None
        with pytest.raises(InvalidInput):
            memory.reembed()
        assert self.vectors(memory) == 11

    # Threads

    @pytest.mark.parametrize("call", EMBEDDING)
    def test_an_embedder_does_not_hold_the_database_thread(
        self, memory: Memory, thread: Thread, call: str
    ) -> None:
        memory.embeds_at_once = False
        self.say(memory, "dog", "cat")
        memory.vectors.embedder = model = Waiting()

        async def read() -> Thread:
            assert await asyncio.to_thread(model.entered.wait, 20)
            try:
                return await memory.aget_thread(thread_id="chat")
            finally:
                model.proceed.set()

        async def both() -> Any:
            return await asyncio.gather(EMBEDDING[call](memory), read())

        result, stored = async_to_sync(both)()
        assert stored.message_count == 2
        memory.vectors.embedder = BagOfWords()
        synchronous = getattr(memory, call[1:])
        if call == "arecall":
            assert result == synchronous(query="dog", thread_id="chat")
        if call == "areembed":
            assert result == synchronous() == 2
        if call == "aembed_pending":
            assert (result, synchronous()) == (2, 0)

    def test_async_recalls_embed_their_queries_at_once(self, memory: Memory, pets: Thread) -> None:
        memory.embed_pending()
        expected = memory.recall(query="dog", thread_id="chat")
        memory.vectors.embedder = Together()

        async def four() -> Any:
            recalls = (memory.arecall(query="dog", thread_id="chat") for _ in range(4))
            return await asyncio.gather(*recalls)

        assert async_to_sync(four)() == [expected] * 4

    def test_errors_of_an_embedder_are_raised_by_async_variants(
        self, memory: Memory, thread: Thread
    ) -> None:
        memory.embeds_at_once = False
        self.say(memory, "dog")
        memory.vectors.embedder = Broken()
        with pytest.raises(ConnectionError, match="away"):
            async_to_sync(memory.arecall)(query="dog", thread_id="chat")
        with pytest.raises(ThreadNotFound):
            async_to_sync(memory.arecall)(query="dog", thread_id="unknown")

    # Vectors that are left behind

    def test_deleting_messages_deletes_their_vectors(self, memory: Memory, pets: Thread) -> None:
        memory.create_thread(resource_id="alice", thread_id="other")
        self.say(memory, "another dog", thread_id="other")
        memory.embed_pending()
        assert self.vectors(memory) == 11
        hit = "my dog is Bello"
        stored = memory.vectors.get_vectors(index_name="memory", ids=[hit], namespace="alice")
        assert [vector.document for vector in stored] == [hit]
        memory.delete_messages(ids=[hit])
        assert self.vectors(memory) == 10
        assert self.recall(memory, "dog Bello", min_score=0.1) == []
        memory.delete_thread(thread_id="chat")
        assert self.vectors(memory) == 1
        assert self.recall(memory, "dog", resource_id="alice") == [1]

    def test_a_transferred_thread_is_recalled_by_its_new_resource(
        self, memory: Memory, pets: Thread
    ) -> None:
        memory.embed_pending()
        memory.transfer_thread(thread_id="chat", resource_id="bob")
        assert memory.recall(query="dog Bello", resource_id="alice") == []
        (hit,) = memory.recall(query="dog Bello", resource_id="bob", top_k=1, message_range=(0, 0))
        assert hit.id == "my dog is Bello"
        namespaces = {"alice": [], "bob": [hit.id]}
        for namespace, expected in namespaces.items():
            stored = memory.vectors.get_vectors(
                index_name="memory", ids=[hit.id], namespace=namespace
            )
            assert [vector.id for vector in stored] == expected

    def test_a_clone_is_recalled_by_itself(self, memory: Memory, pets: Thread) -> None:
        clone = memory.clone_thread(thread_id="chat", resource_id="bob")
        matches = memory.recall(query="dog Bello", resource_id="bob", top_k=1)
        assert {message.thread_id for message in matches} == {clone.id}
        memory.delete_thread(thread_id="chat")
        again = memory.recall(query="dog Bello", thread_id=clone.id, top_k=1)
        assert again == matches

    def test_async_variants(self, memory: Memory, thread: Thread) -> None:
        memory.embeds_at_once = False
        self.say(memory, "dog", "cat")

        async def use() -> list[RecalledMessage]:
            assert await memory.aembed_pending() == 2
            return await memory.arecall(query="dog", thread_id="chat", message_range=(0, 0))

        assert async_to_sync(use)()[0].id == "dog"
