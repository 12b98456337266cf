"""The vectors of messages: embedding, searching and deleting them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from math import inf

from mastra_engine import failpoints
from mastra_engine.backends.base.memory.message_search import MessageSearch
from mastra_engine.backends.base.memory.scope import MemoryContext, MemoryScope
from mastra_engine.backends.base.memory.store import UnembeddedMessage
from mastra_engine.backends.base.steps import Steps, after_commit, in_steps
from mastra_engine.backends.base.vectors.candidates import Candidate, ranked
from mastra_engine.backends.base.vectors.engine_index import EngineIndex, EngineVector
from mastra_engine.backends.base.vectors.search import (
    POSITION,
    THREAD,
    VectorQuery,
    VectorScope,
    query_target,
)
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.filters.ast import And, Equals, Exists, Field, Node
from mastra_engine.retrieval.embedding import (
    BATCH_TEXTS,
    EXCERPT,
    Vectors,
    embed_documents,
    embed_query,
    require_embedder,
)
from mastra_engine.types import Match, Thread, VectorIndex
from mastra_engine.validation.vectors import IndexDefinition

logger = logging.getLogger("mastra_engine")

#: How all messages are embedded again, after a change of the embedder.
REMEDY = "memory.reembed() embeds all messages again, and so does engine_index --messages --rebuild"
_OF_ANY_THREAD: Node = Exists(Field(path=(THREAD,)))


def of_thread(thread_id: str) -> Node:
    """Return the filter of a thread's vectors."""
    return Equals(Field(path=(THREAD,)), (thread_id,))


class MessageIndex:
    """The vector index of messages.

    A message's vector has the message's id and is in the namespace of its resource. Messages are
    stored first and embedded afterwards, so that a failing embedder loses no message: those
    without a vector are recorded and embedded later.
    """

    def __init__(self, context: MemoryContext, scope: MemoryScope) -> None:
        self._context = context
        self._scope = scope
        self._store = context.store
        self._vectors = context.vectors
        self._index = EngineIndex(context.vectors, remedy=REMEDY)

    @in_steps
    def prepare_index(self) -> Steps[VectorIndex | None]:
        """Create the index of messages and return it; return None without an embedder.

        The index has the dimension of the embedder's vectors. `engine_migrate` calls this, so that
        a server's database role needs no right to create tables. Raises InvalidVector if the index
        has vectors of another model or dimension; reembed() replaces it.
        """
        embedder = self._vectors.embedder
        if embedder is None:
            return None
        vector = yield partial(embed_query, embedder, "memory")
        self._index.require(self._context.index_name, len(vector), "/embedder")
        return self._vectors.describe_index(index_name=self._context.index_name)

    @in_steps
    def embed_pending(
        self, *, resource_id: str | None = None, thread_id: str | None = None
    ) -> Steps[int]:
        """Embed the messages that have no vector yet; return how many were embedded.

        Without arguments, these are the messages of all threads in scope. When it fails between
        two batches, the earlier batches stay embedded and the rest stays pending.
        """
        if resource_id is None and thread_id is None:
            return (yield from self.embed(None, None))
        return (yield from self.embed(*self._scope.resolve(resource_id, thread_id)))

    @in_steps
    def reembed(self) -> Steps[int]:
        """Embed all messages again, after a change of the embedder; return how many.

        Until it ends, recall() finds the messages that are embedded already, and embeds some of
        the others itself.
        """
        require_embedder(self._vectors.embedder, "/embedder")

        def reset() -> None:
            self._store.mark_all_unembedded()
            with suppress(IndexNotFound):
                self._vectors.delete_index(index_name=self._context.index_name)

        self._store.transact(reset)
        return (yield from self.embed(None, None))

    def embed_later(self, thread_id: str) -> Steps[None]:
        """Embed a thread's new messages once the current transaction is committed."""
        if self._context.embeds_at_once and self._vectors.embedder is not None:
            yield from after_commit(
                self._store.after_commit, partial(self._embed_thread, thread_id)
            )

    def embed(
        self, resource_id: str | None, thread_id: str | None, *, limit: float = inf
    ) -> Steps[int]:
        """Embed pending messages of a resource or thread, `limit` or a batch more at most.

        The model is called outside of the transaction that stores its vectors, since it may take
        seconds and must not hold locks meanwhile.
        """
        embedded = 0
        while embedded < limit:
            messages = self._store.list_unembedded(
                resource_id=resource_id,
                thread_id=thread_id,
                resource_ids=self._scope.resource_ids,
                limit=BATCH_TEXTS,
            )
            if not messages:
                break
            embedder = require_embedder(self._vectors.embedder, "/query")
            texts = [_excerpt(message) for message in messages]
            vectors = yield partial(embed_documents, embedder, texts)
            failpoints.hit("embeddings_made")
            self._store_in_index(messages, vectors)
            embedded += len(messages)
            if len(messages) < BATCH_TEXTS:
                break
        return embedded

    def search(
        self, query: VectorQuery, resource_id: str, thread_id: str | None
    ) -> Steps[list[Match]]:
        """Return the messages of a resource or a thread that answer a query best, best first.

        Raises OtherModel if the messages were embedded by another model.
        """
        embedder = require_embedder(self._vectors.embedder, "/query")
        vector = yield partial(embed_query, embedder, query.text or "", path="/query")
        in_scope = _OF_ANY_THREAD if thread_id is None else of_thread(thread_id)

        def search(index: IndexDefinition) -> list[Candidate]:
            self._index.check(index, len(vector), "/query")
            target = query_target(vector, index, "/query")
            where, namespaces = And((in_scope, query.where)), frozenset([resource_id])
            scope = VectorScope(index=index, where=where, namespaces=namespaces)
            return MessageSearch(self._vectors.store, scope, query, target).run()

        try:
            candidates = self._index.search(self._context.index_name, search)
        except IndexNotFound:  # No message has been embedded yet.
            return []
        return ranked(candidates, query, most=query.limit)

    def delete_thread(self, thread: Thread) -> None:
        """Delete the vectors of a thread's messages."""
        where = of_thread(thread.id)
        self._index.delete(self._context.index_name, [thread.resource_id], where)

    def delete_messages(self, resource_id: str, message_ids: list[str]) -> None:
        """Delete the vectors of a resource's messages by their ids."""
        self._index.delete(self._context.index_name, [resource_id], ids=message_ids)

    def delete_resource(self, resource_id: str) -> None:
        """Delete all vectors of a resource."""
        self._index.delete(self._context.index_name, [resource_id])

    def _embed_thread(self, thread_id: str) -> Steps[None]:
        """Have a worker embed a thread, or embed it here; after a failure its messages wait.

        The messages are committed by now. An error raised here would look as if they were not, and
        the caller would save them again.
        """
        try:
            if self._context.queue is not None:
                self._context.queue.embed(thread_id)
            else:
                yield from self.embed(None, thread_id)
        except Exception:
            logger.exception("Messages of thread %s wait for their vectors", thread_id)

    def _store_in_index(self, messages: Sequence[UnembeddedMessage], vectors: Vectors) -> None:
        """Store vectors in the index of their dimension, which is created if it does not exist."""

        def store(index: IndexDefinition) -> None:
            self._store.transact(partial(self._store_vectors, index, messages, vectors))

        self._index.use(self._context.index_name, len(vectors[0]), store)

    def _store_vectors(
        self, index: IndexDefinition, messages: Sequence[UnembeddedMessage], vectors: Vectors
    ) -> None:
        """Store the vectors of those messages that still exist, and record it.

        The messages are locked first: a deletion waits until their vectors are committed, and then
        deletes them too. Otherwise vectors of deleted messages would stay. A thread may belong to
        another resource than when its messages were listed.
        """
        resources = self._store.mark_embedded([message.id for message in messages])
        self._index.put(
            index,
            [
                _vector(message, resources[message.id], numbers)
                for message, numbers in zip(messages, vectors, strict=True)
                # Some embedders return zeros for a text of which they know no word. No search could
                # find such a vector, and cosine distance is not defined for it.
                if message.id in resources and any(numbers)
            ],
        )
        failpoints.hit("embeddings_stored")


def _vector(message: UnembeddedMessage, resource_id: str, numbers: Sequence[float]) -> EngineVector:
    return EngineVector(
        id=message.id,
        resource_id=resource_id,
        text=_excerpt(message),
        metadata={**message.metadata, THREAD: message.thread_id, POSITION: message.position},
        numbers=numbers,
    )


def _excerpt(message: UnembeddedMessage) -> str:
    return message.text[:EXCERPT]
