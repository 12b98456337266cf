"""Semantic recall: messages as vectors, and finding them again by meaning."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial, reduce
from math import inf
from typing import Any

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.memory.threads import ThreadsContract
from mastra_engine.backends.base.vectors.search import VectorScope
from mastra_engine.backends.base.vectors.service import Vectors as VectorService
from mastra_engine.exceptions import IndexNotFound, InvalidInput, InvalidVector
from mastra_engine.filters.ast import ALL, And, Equals, Exists, Field, Node
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import RunQueue
from mastra_engine.retrieval.embedding import (
    BATCH_TEXTS,
    EXCERPT,
    Vectors,
    embed_documents,
    embed_query,
    require_embedder,
)
from mastra_engine.types import Match, Message, RecalledMessage, VectorIndex
from mastra_engine.validation.inputs import count, text
from mastra_engine.validation.vectors import IndexDefinition, finite_number

logger = logging.getLogger("mastra_engine")

#: What a message's vector knows of it, beside its metadata. A filter cannot name these keys.
THREAD, POSITION = "@thread_id", "@position"
OF_ANY_THREAD: Node = Exists(Field(path=(THREAD,)))

#: How many messages a recall embeds itself, where those who should have are behind.
CATCH_UP = 1_024
MAX_RANGE = 1_000


@dataclass(frozen=True, slots=True)
class MessageRange:
    """Positions of a thread around hits; `rank` is that of the best hit, 0 before 1."""

    thread_id: str
    first: int
    last: int
    rank: int

    def touches(self, other: MessageRange) -> bool:
        return (
            self.thread_id == other.thread_id
            and self.first <= other.last + 1
            and other.first <= self.last + 1
        )

    def joined(self, other: MessageRange) -> MessageRange:
        return MessageRange(
            self.thread_id,
            min(self.first, other.first),
            max(self.last, other.last),
            min(self.rank, other.rank),
        )

    def holds(self, message: Message) -> bool:
        return message.thread_id == self.thread_id and self.first <= message.position <= self.last


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A message that waits for its vector."""

    id: str
    thread_id: str
    resource_id: str
    position: int
    text: str
    metadata: dict[str, Any]

    @property
    def excerpt(self) -> str:
        return self.text[:EXCERPT]


class RecallContract(ThreadsContract):
    """Finding messages by meaning, within a thread or a resource and never beyond it.

    A message's vector is in the index `index_name`, its namespace being the resource.
    """

    vectors: VectorService
    index_name: str = "memory"
    #: Whether messages are embedded when they are saved, or wait for embed_pending().
    embeds_at_once: bool = True
    #: Carries threads to the workers that embed them; without one it is done here.
    queue: RunQueue | None = None

    def recall(
        self,
        *,
        query: str,
        resource_id: str | None = None,
        thread_id: str | None = None,
        top_k: int = 4,
        message_range: tuple[int, int] = (1, 1),
        min_score: float | None = None,
        filter: Any = None,
    ) -> list[RecalledMessage]:
        """Return the `top_k` messages closest to `query`, with those around them.

        `message_range` is how many come before and after each. Stretches that touch are one, the
        best stretch is first, and within each the order is the thread's. `filter` is about the
        messages' metadata. A thread's recall stays in the thread, a resource's in its threads.

        Raises ThreadNotFound, InvalidFilter, and InvalidInput when there is no embedder.
        """
        resource, thread = self._whose(resource_id, thread_id)
        question = text(query, "/query")
        limit = count(top_k, "/top_k", least=1)
        before, after = _range(message_range)
        where = parse_optional_filter(filter)
        least = None if min_score is None else finite_number(min_score, "/min_score")
        self._embed(resource, thread, limit=CATCH_UP)
        matches = self._matches(question, resource, thread, where, limit, least)
        stretches = _stretches(matches, before, after)
        scores = {match.id: match.score for match in matches}
        recalled = [
            RecalledMessage(**_fields(message), score=scores.get(message.id))
            for message in self._messages_in(stretches, resource)
        ]
        return sorted(recalled, key=lambda each: (_rank(each, stretches), each.position))

    def embed_pending(self, *, resource_id: str | None = None, thread_id: str | None = None) -> int:
        """Give vectors to the messages that wait for one; return how many got it.

        Where it fails half-way, the batches before are done and the rest still waits.
        """
        if resource_id is None and thread_id is None:
            return self._embed(None, None)
        return self._embed(*self._whose(resource_id, thread_id))

    def prepare_index(self) -> VectorIndex | None:
        """Make the index of messages, as long as the embedder's vectors; None without an embedder.

        Raises InvalidVector where there is one of another length; reembed() makes that anew.
        `engine_migrate` does it, so that a server's role needs no right to create tables.
        """
        if self.vectors.embedder is None:
            return None
        self._need_index(len(embed_query(self.vectors.embedder, "memory")), "/embedder")
        return self.vectors.describe_index(index_name=self.index_name)

    def reembed(self) -> int:
        """Embed all messages anew, after a change of the embedder; return how many there were.

        Meanwhile a recall finds what is embedded already, and embeds some of the rest itself.
        """
        require_embedder(self.vectors.embedder, "/embedder")
        self._forget_embeddings()
        return self._embed(None, None)

    arecall = derive_async(recall)
    aembed_pending = derive_async(embed_pending)
    aprepare_index = derive_async(prepare_index)
    areembed = derive_async(reembed)

    # What a backend implements

    @abstractmethod
    def _messages_in(self, stretches: Sequence[MessageRange], resource_id: str) -> list[Message]:
        """Return the messages of stretches of a resource's threads, in any order."""

    @abstractmethod
    def _unembedded(
        self, resource_id: str | None, thread_id: str | None, *, limit: int
    ) -> list[Unembedded]:
        """Return messages with a text and without a vector."""

    @abstractmethod
    def _embedded(self, messages: Sequence[Unembedded], vectors: Vectors) -> None:
        """Store vectors by `_put_vectors` and say so, for the messages that are still there."""

    @abstractmethod
    def _forget_embeddings(self) -> None:
        """Delete the index of messages; from now on all of them wait."""

    @abstractmethod
    def _after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once what was written is there for others, at once if it is."""

    # Shared steps

    def _embed_later(self, thread_id: str) -> None:
        """Embed a thread's new messages once they are committed."""
        if self.embeds_at_once and self.vectors.embedder is not None:
            self._after_commit(partial(self._embed_soon, thread_id))

    def _embed_soon(self, thread_id: str) -> None:
        """Embed a thread where tasks are run, or here; a failure leaves its messages waiting."""
        try:
            if self.queue is not None:
                self.queue.embed(thread_id)
            else:
                self._embed(None, thread_id)
        except Exception:  # the messages are saved, and whoever saved them must not do it again
            logger.exception("Messages of thread %s wait for their vectors", thread_id)

    def _put_vectors(self, embedded: Sequence[tuple[Unembedded, Sequence[float]]]) -> None:
        """Store vectors of messages, by resource.

        Some embedders give zeros for a text they know nothing of; there is no finding that one.
        """
        by_resource: dict[str, list[tuple[Unembedded, Sequence[float]]]] = {}
        for message, vector in embedded:
            if any(vector):
                by_resource.setdefault(message.resource_id, []).append((message, vector))
        for resource_id, pairs in by_resource.items():
            self.vectors.upsert(
                index_name=self.index_name,
                namespace=resource_id,
                ids=[message.id for message, _ in pairs],
                vectors=[vector for _, vector in pairs],
                documents=[message.excerpt for message, _ in pairs],
                metadata=[
                    {**message.metadata, THREAD: message.thread_id, POSITION: message.position}
                    for message, _ in pairs
                ],
            )

    def _forget_vectors(
        self, resource_id: str, where: Node = ALL, *, ids: list[str] | None = None
    ) -> None:
        """Delete a resource's vectors, or of these those that satisfy a filter, or of some ids."""

        def forget(index: IndexDefinition) -> int:
            scope = VectorScope(index=index, where=where, namespaces=frozenset([resource_id]))
            return self.vectors.store.delete(scope, ids)

        with suppress(IndexNotFound):  # nothing is embedded yet
            self.vectors.indexes.use(self.index_name, forget)

    def _embed(self, resource_id: str | None, thread_id: str | None, *, limit: float = inf) -> int:
        """Embed what waits, before the transaction that stores it; until `limit` is reached."""
        done = 0
        while done < limit:
            waiting = self._unembedded(resource_id, thread_id, limit=BATCH_TEXTS)
            if not waiting:
                break
            embedder = require_embedder(self.vectors.embedder, "/query")
            vectors = embed_documents(embedder, [message.excerpt for message in waiting])
            self._need_index(len(vectors[0]), "/embedder")
            self._embedded(waiting, vectors)
            done += len(waiting)
        return done

    def _need_index(self, dimension: int, path: str) -> None:
        """Make the index of messages where `engine_migrate` has not done it.

        Raises InvalidVector where its vectors have another length, as those of another model.
        """
        index = self.vectors.indexes.find(self.index_name)
        if index is None:
            self.vectors.create_index(index_name=self.index_name, dimension=dimension)
        elif index.dimension != dimension:
            message = (
                f"the embedder makes {dimension} numbers, and {self.index_name!r} has vectors of "
                f"{index.dimension}; reembed() makes them anew"
            )
            raise InvalidVector(message, path=path)

    def _matches(
        self,
        question: str,
        resource_id: str,
        thread_id: str | None,
        where: Node,
        limit: int,
        min_score: float | None,
    ) -> list[Match]:
        vector = embed_query(
            require_embedder(self.vectors.embedder, "/query"), question, path="/query"
        )
        if not any(vector):  # the embedder knows nothing of it
            return []
        try:
            return self.vectors.query(
                index_name=self.index_name,
                namespace=resource_id,
                query_vector=vector,
                top_k=limit,
                filter=And((OF_ANY_THREAD if thread_id is None else of_thread(thread_id), where)),
                min_score=min_score,
            )
        except IndexNotFound:  # nothing was embedded yet
            return []
        except InvalidVector:
            self._need_index(len(vector), "/query")
            raise


def of_thread(thread_id: str) -> Node:
    """Return the filter of a thread's vectors."""
    return Equals(Field(path=(THREAD,)), (thread_id,))


def _range(given: Any) -> tuple[int, int]:
    if not isinstance(given, list | tuple) or len(given) != 2:
        raise InvalidInput("must be two numbers: before and after", path="/message_range")
    before, after = (
        count(each, f"/message_range/{i}", most=MAX_RANGE) for i, each in enumerate(given)
    )
    return before, after


def _stretches(matches: Sequence[Match], before: int, after: int) -> list[MessageRange]:
    """Return the stretches around matches; those that touch are one."""
    found: list[MessageRange] = []
    for rank, match in enumerate(matches):
        position = match.metadata[POSITION]
        new = MessageRange(match.metadata[THREAD], position - before, position + after, rank)
        touching = [each for each in found if each.touches(new)]
        apart = [each for each in found if each not in touching]
        found = [*apart, reduce(MessageRange.joined, touching, new)]
    return found


def _rank(message: Message, stretches: Sequence[MessageRange]) -> int:
    return next(stretch.rank for stretch in stretches if stretch.holds(message))


def _fields(message: Message) -> dict[str, Any]:
    return {field: getattr(message, field) for field in Message.__slots__}
