"""The texts of one of the engine's tables in a vector index: indexing and searching them."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.steps import Steps, after_commit
from mastra_engine.backends.base.vectors.candidates import ranked
from mastra_engine.backends.base.vectors.engine_index import EngineIndex, EngineVector, OtherModel
from mastra_engine.backends.base.vectors.search import VectorQuery, VectorScope, query_target
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound, InvalidInput
from mastra_engine.protocols import RunQueue
from mastra_engine.retrieval.embedding import BATCH_TEXTS, embed_documents, embed_query
from mastra_engine.types import Match, VectorIndex
from mastra_engine.validation.vectors import IndexDefinition

logger = logging.getLogger("mastra_engine")

#: The definition of an index without an embedder, which is searched by words alone.
_WORDS_ONLY: dict[str, Any] = {"metric": "dotproduct", "index_type": "flat"}
_NO_NUMBERS = (0.0,)
#: How many rows a search embeds before it searches.
CATCH_UP = 1_024

Numbers = Sequence[float]
#: The rows that a search or an indexing concerns.
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingText:
    """A row that waits for its text to be indexed; an empty text has no vector.

    `metadata` is that of its vector, and `version` tells whether the row has changed since.
    """

    id: UUID
    resource_id: str
    text: str
    metadata: Mapping[str, Any]
    version: int = 0


class TextStore(Protocol):
    """The methods of a store by which its rows are indexed."""

    def transact(self, operation: Callable[[], None], /) -> None:
        """Run an operation in a transaction."""

    def after_commit(self, action: Callable[[], None], /) -> None:
        """Run an action after the current transaction commits."""

    def mark_indexed(self, versions: Sequence[tuple[UUID, int]], /) -> Collection[UUID]:
        """Record that rows are indexed; return the ids of those with that version, locked."""

    def mark_all_unindexed(self) -> None:
        """Record that all rows wait to be indexed."""


class TextIndex(ABC, Generic[S]):
    """The vector index of a table.

    A row's vector has the row's id, and is in the namespace of its resource. Rows are stored first
    and indexed afterwards, so that a failing embedder loses none. Without an embedder the index has
    words only, and vectors of one zero.
    """

    #: The name of the index, and the name of its rows in log messages.
    name: str
    rows: ClassVar[str]
    #: How all rows are indexed again, after a change of the embedder.
    remedy: ClassVar[str]
    #: The failpoint after the vectors are stored.
    failpoint: ClassVar[str]

    def __init__(self, store: TextStore, vectors: Vectors) -> None:
        #: Sends rows to the workers that index them; without it, this process indexes them.
        self.queue: RunQueue | None = None
        self._rows = store
        self._vectors = vectors
        self._index = EngineIndex(vectors, remedy=self.remedy)

    @abstractmethod
    def list_pending(self, selection: S, *, limit: int) -> tuple[list[PendingText], bool]:
        """Return rows that wait to be indexed, and whether others do."""

    @abstractmethod
    def of_resource(self, resource_id: str) -> S:
        """Return the selection of all rows of a resource."""

    @abstractmethod
    def to_index(self, selection: S) -> S:
        """Return the rows that have to be indexed before a search within `selection`."""

    @abstractmethod
    def scope(self, index: IndexDefinition, selection: S) -> VectorScope:
        """Return the vectors of the rows that a search is within."""

    @abstractmethod
    def enqueue(self, queue: RunQueue, resource_id: str) -> None:
        """Have a worker index the rows of a resource."""

    def find(self) -> IndexDefinition | None:
        """Return the index as it is known, or None if nothing has been indexed yet."""
        return self._vectors.store.cached_index(self.name) or self._vectors.indexes.find(self.name)

    def prepare(self) -> Steps[VectorIndex | None]:
        """Create the index if it does not exist, and return it; return None without an embedder."""
        if self._vectors.embedder is None:
            return None
        numbers = yield from self._embedded([self.name])
        self._use(len(numbers[0]), lambda index: None)
        return self._vectors.describe_index(index_name=self.name)

    def reindex(self, everything: S) -> Steps[int]:
        """Delete the index, and index all rows again; return how many."""
        self._rows.transact(self._reset)
        return (yield from self.index(everything))

    def index_later(self, resource_ids: Sequence[str]) -> Steps[None]:
        """Embed new rows once the current transaction is committed.

        Without an embedder they wait for the next search, which has to index their words only.
        """
        if resource_ids and self._vectors.embedder is not None:
            yield from after_commit(
                self._rows.after_commit, partial(self._index_resources, resource_ids)
            )

    def index(self, selection: S, *, limit: float = inf) -> Steps[int]:
        """Index rows that wait, `limit` or a batch more at most; return how many.

        The model is called outside of the transaction that stores its vectors, since it may take
        seconds and must not hold locks meanwhile.
        """
        indexed, has_more = 0, True
        while has_more and indexed < limit:
            texts, has_more = self.list_pending(selection, limit=BATCH_TEXTS)
            if not texts or not (yield from self._store_in_index(texts)):
                break
            indexed += len(texts)
        return indexed

    def prepare_search(self, query: VectorQuery, selection: S) -> Steps[Numbers]:
        """Index rows that wait, and return the vector of a query.

        It is empty if rows have no vectors to compare.
        """
        embedder = self._vectors.embedder
        if embedder is None and query.min_score is not None:
            raise InvalidInput("needs an embedder", path="/min_score")
        limit = inf if embedder is None else CATCH_UP
        yield from self.index(self.to_index(selection), limit=limit)
        index = self.find()
        if index is None or embedder is None or _is_words_only(index):
            return ()
        numbers: Numbers = yield partial(embed_query, embedder, query.text or "", path="/query")
        return numbers

    def search(self, query: VectorQuery, numbers: Numbers, selection: S) -> list[Match]:
        """Return the vectors of rows that answer a query best, best first."""
        search = partial(self._matches, query, numbers, selection)
        try:
            return self._index.search(self.name, search)
        except IndexNotFound:  # Nothing has been indexed yet.
            return []

    def delete(self, resource_ids: Sequence[str], ids: Sequence[UUID]) -> None:
        """Delete the vectors of rows."""
        self._index.delete(self.name, resource_ids, ids=[str(id) for id in ids])

    def delete_resource(self, resource_id: str) -> None:
        """Delete all vectors of a resource's rows."""
        self._index.delete(self.name, [resource_id])

    def _reset(self) -> None:
        self._rows.mark_all_unindexed()
        with suppress(IndexNotFound):
            self._vectors.delete_index(index_name=self.name)

    def _matches(
        self, query: VectorQuery, numbers: Numbers, selection: S, index: IndexDefinition
    ) -> list[Match]:
        if len(numbers) > 0 and not self._index.fits(index, len(numbers)):
            message = "Vector index %r has vectors of another model, and is searched by words only"
            logger.warning(f"{message}: {self.remedy}", index.name)
            numbers = ()
        target = query_target(numbers, index, "/query") if len(numbers) > 0 else None
        by_words = replace(query, hybrid=0.0)
        searched = by_words if target is None else query
        scope = self.scope(index, selection)
        candidates = self._vectors.store.find(scope, searched, target, limit=query.candidates)
        # A search by meaning only that has no meaning to compare goes by words.
        ranking = searched if query.hybrid is None else query
        return ranked(candidates, ranking, most=query.limit)

    def _index_resources(self, resource_ids: Sequence[str]) -> Steps[None]:
        """Have workers index the rows of resources, or index them here.

        The rows are committed by now. An error raised here would look as if they were not, so
        after a failure they wait for the next search.
        """
        try:
            for resource_id in resource_ids:
                if self.queue is not None:
                    self.enqueue(self.queue, resource_id)
                else:
                    yield from self.index(self.of_resource(resource_id))
        except Exception:
            logger.exception("%s wait to be indexed", self.rows)

    def _store_in_index(self, texts: Sequence[PendingText]) -> Steps[bool]:
        """Index rows; return False if they have to wait, since the index has another model's."""
        with_words = [text for text in texts if text.text]
        index = self.find()
        if index is not None and self._vectors.embedder is None and not _is_words_only(index):
            return False
        numbers = yield from self._embedded([text.text for text in with_words])
        by_id = dict(zip((text.id for text in with_words), numbers, strict=True))
        dimension = len(numbers[0]) if len(numbers) > 0 else 0

        def store(index: IndexDefinition | None) -> None:
            self._rows.transact(partial(self._store_vectors, index, texts, by_id))

        try:
            self._use(dimension, store) if dimension else store(None)
        except OtherModel as error:
            logger.warning("%s are not indexed: %s", self.rows, error.message)
            return False
        return True

    def _embedded(self, texts: Sequence[str]) -> Steps[Sequence[Numbers]]:
        """Return the vectors of texts; those of an index of words only are all the same."""
        index, embedder = self.find(), self._vectors.embedder
        if embedder is None or (index is not None and _is_words_only(index)):
            return [_NO_NUMBERS] * len(texts)
        vectors: Sequence[Numbers] = yield partial(embed_documents, embedder, texts)
        return vectors

    def _use(self, dimension: int, work: Any) -> None:
        definition = _WORDS_ONLY if dimension == len(_NO_NUMBERS) else {}
        self._index.use(self.name, dimension, work, **definition)

    def _store_vectors(
        self,
        index: IndexDefinition | None,
        texts: Sequence[PendingText],
        numbers: Mapping[UUID, Numbers],
    ) -> None:
        """Store the vectors of those rows that have not been changed since, and record it.

        The rows are locked first: a change waits until their vectors are committed. Otherwise
        vectors of deleted rows would stay.
        """
        unchanged = self._rows.mark_indexed([(text.id, text.version) for text in texts])
        current = [text for text in texts if text.id in unchanged]
        indexable = [text for text in current if _has_place(numbers.get(text.id, ()), index)]
        without = [text for text in current if text not in indexable]
        if without:  # An earlier version may have had a text.
            resources = sorted({text.resource_id for text in without})
            self.delete(resources, [text.id for text in without])
        if index is not None:
            self._index.put(index, [_vector(text, numbers[text.id]) for text in indexable])
        failpoints.hit(self.failpoint)


def _is_words_only(index: IndexDefinition) -> bool:
    return (index.dimension, index.metric) == (len(_NO_NUMBERS), _WORDS_ONLY["metric"])


def _has_place(numbers: Numbers, index: IndexDefinition | None) -> bool:
    """Return whether an index can hold a vector: zeros have no cosine distance."""
    return index is not None and len(numbers) > 0 and (any(numbers) or _is_words_only(index))


def _vector(text: PendingText, numbers: Numbers) -> EngineVector:
    return EngineVector(
        id=str(text.id),
        resource_id=text.resource_id,
        text=text.text,
        metadata=text.metadata,
        numbers=numbers,
    )
