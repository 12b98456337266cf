"""The texts of agent state in a vector index: indexing and searching them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.state.paths import indexed_text
from mastra_engine.backends.base.state.store import (
    Namespace,
    StateSelection,
    StateStore,
    UnindexedItem,
)
from mastra_engine.backends.base.steps import Steps, after_commit
from mastra_engine.backends.base.vectors.candidates import ranked
from mastra_engine.backends.base.vectors.engine_index import EngineIndex, EngineVector, OtherModel
from mastra_engine.backends.base.vectors.search import (
    ITEM,
    VERSION,
    ItemScope,
    VectorQuery,
    VectorScope,
    query_target,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound, InvalidInput
from mastra_engine.filters.ast import ALL, Equals, Field, Node
from mastra_engine.protocols import RunQueue
from mastra_engine.retrieval.embedding import (
    BATCH_TEXTS,
    EXCERPT,
    embed_documents,
    embed_query,
)
from mastra_engine.types import Match
from mastra_engine.validation.jsonb import canonical
from mastra_engine.validation.vectors import IndexDefinition

logger = logging.getLogger("mastra_engine")

#: Metadata of an item's vector: the beginnings of its namespace, each as JSON.
_PREFIXES = "@prefixes"
#: The definition of an index without an embedder, which is searched by words alone.
_WORDS_ONLY: dict[str, Any] = {"metric": "dotproduct", "index_type": "flat"}
_NO_NUMBERS = (0.0,)
#: How many items a search embeds before it searches.
CATCH_UP = 1_024

Numbers = Sequence[float]


class StateIndex:
    """The vector index of agent state.

    An item's vector has the id of its key, and is in the namespace of the first element of the
    item's namespace. Items are stored first and indexed afterwards, so that a failing embedder
    loses none. Without an embedder the index has words only, and vectors of one zero.
    """

    def __init__(self, store: StateStore, vectors: Vectors) -> None:
        self.name = "state"
        self.queue: RunQueue | None = None
        self._store = store
        self._vectors = vectors
        self._index = EngineIndex(vectors, remedy="state.reindex() indexes all items again")

    def find(self) -> IndexDefinition | None:
        """Return the index as it is known, or None if nothing has been indexed yet."""
        return self._vectors.store.cached_index(self.name) or self._vectors.indexes.find(self.name)

    def prepare(self) -> Steps[None]:
        """Create the index if it does not exist."""
        numbers = yield from self._embedded(["state"])
        self._use(len(numbers[0]), lambda index: None)

    def reset(self) -> None:
        """Delete the index; all items wait to be indexed again."""
        self._store.mark_all_unindexed()
        try:
            self._vectors.delete_index(index_name=self.name)
        except IndexNotFound:
            return

    def index_later(self, resource_ids: Sequence[str]) -> Steps[None]:
        """Embed new items once the current transaction is committed.

        Without an embedder they wait for the next search, which has to index their words only.
        """
        if resource_ids and self._vectors.embedder is not None:
            index = partial(self._index_resources, resource_ids)
            yield from after_commit(self._store.after_commit, index)

    def index(self, selection: StateSelection, *, limit: float = inf) -> Steps[int]:
        """Index items that wait, `limit` or a batch more at most; return how many.

        The model is called outside of the transaction that stores its vectors, since it may take
        seconds and must not hold locks meanwhile.
        """
        indexed, has_more = 0, True
        while has_more and indexed < limit:
            items, has_more = self._store.list_unindexed(selection, limit=BATCH_TEXTS)
            if not items or not (yield from self._store_in_index(items)):
                break
            indexed += len(items)
        return indexed

    def prepare_search(self, query: VectorQuery, selection: StateSelection) -> Steps[Numbers]:
        """Index items that wait, and return the vector of a query.

        It is empty if items have no vectors to compare.
        """
        embedder = self._vectors.embedder
        if embedder is None and query.min_score is not None:
            raise InvalidInput("needs an embedder", path="/min_score")
        limit = inf if embedder is None else CATCH_UP
        yield from self.index(replace(selection, where=ALL), limit=limit)
        index = self.find()
        if index is None or embedder is None or _is_words_only(index):
            return ()
        numbers: Numbers = yield partial(embed_query, embedder, query.text or "", path="/query")
        return numbers

    def search(
        self, query: VectorQuery, numbers: Numbers, selection: StateSelection
    ) -> list[Match]:
        """Return the vectors of items that answer a query best, best first."""
        search = partial(self._matches, query, numbers, selection)
        try:
            return self._index.search(self.name, search)
        except IndexNotFound:  # Nothing has been indexed yet.
            return []

    def delete(self, resource_ids: Sequence[str], ids: Sequence[UUID]) -> None:
        """Delete the vectors of items."""
        self._index.delete(self.name, resource_ids, ids=[str(id) for id in ids])

    def delete_resource(self, resource_id: str) -> None:
        """Delete all vectors of a resource's items."""
        self._index.delete(self.name, [resource_id])

    def _matches(
        self,
        query: VectorQuery,
        numbers: Numbers,
        selection: StateSelection,
        index: IndexDefinition,
    ) -> list[Match]:
        if numbers and not self._index.fits(index, len(numbers)):
            message = "Vector index %r has vectors of another model, and is searched by words only"
            logger.warning(f"{message}: state.reindex() indexes all items again", index.name)
            numbers = ()
        target = query_target(numbers, index, "/query") if numbers else None
        by_words = replace(query, hybrid=0.0)
        scope = VectorScope(
            index=index,
            where=_under(selection.prefix),
            namespaces=_resources(selection),
            source=ItemScope(selection.where),
        )
        searched = by_words if target is None else query
        candidates = self._vectors.store.find(scope, searched, target, limit=query.candidates)
        # A search by meaning only that has no meaning to compare goes by words.
        ranking = searched if query.hybrid is None else query
        return ranked(candidates, ranking, most=query.limit)

    def _index_resources(self, resource_ids: Sequence[str]) -> Steps[None]:
        """Have workers index the items of resources, or index them here.

        The items are committed by now. An error raised here would look as if they were not, so
        after a failure they wait for the next search.
        """
        try:
            for resource_id in resource_ids:
                if self.queue is not None:
                    self.queue.index_state(resource_id)
                else:
                    yield from self.index(StateSelection(prefix=(resource_id,)))
        except Exception:
            logger.exception("Items of agent state wait to be indexed")

    def _store_in_index(self, items: Sequence[UnindexedItem]) -> Steps[bool]:
        """Index items; return False if they have to wait, since the index has another model's."""
        texts = {item.id: _text(item) for item in items}
        of_words = [text for text in texts.values() if text]
        index = self.find()
        if index is not None and self._vectors.embedder is None and not _is_words_only(index):
            return False
        numbers = yield from self._embedded(of_words)
        by_id = dict(zip((id for id, text in texts.items() if text), numbers, strict=True))
        dimension = len(numbers[0]) if numbers else 0

        def store(index: IndexDefinition | None) -> None:
            self._store.transact(partial(self._store_vectors, index, items, texts, by_id))

        try:
            self._use(dimension, store) if dimension else store(None)
        except OtherModel as error:
            logger.warning("Items of agent state are not indexed: %s", error.message)
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
        items: Sequence[UnindexedItem],
        texts: Mapping[UUID, str],
        numbers: Mapping[UUID, Numbers],
    ) -> None:
        """Store the vectors of those items that have not been changed since, and record it.

        The items are locked first: a change waits until their vectors are committed. Otherwise
        vectors of deleted items would stay.
        """
        unchanged = self._store.mark_indexed([(item.id, item.version) for item in items])
        current = [item for item in items if item.id in unchanged]
        indexable = [item for item in current if _has_place(numbers.get(item.id, ()), index)]
        without = [item for item in current if item not in indexable]
        if without:  # An earlier version may have had a text.
            resources = sorted({item.namespace[0] for item in without})
            self.delete(resources, [item.id for item in without])
        if index is not None:
            vectors = [_vector(item, texts[item.id], numbers[item.id]) for item in indexable]
            self._index.put(index, vectors)
        failpoints.hit("state_indexed")


def _is_words_only(index: IndexDefinition) -> bool:
    return (index.dimension, index.metric) == (len(_NO_NUMBERS), _WORDS_ONLY["metric"])


def _has_place(numbers: Numbers, index: IndexDefinition | None) -> bool:
    """Return whether an index can hold a vector: zeros have no cosine distance."""
    return index is not None and bool(numbers) and (any(numbers) or _is_words_only(index))


def _text(item: UnindexedItem) -> str:
    return indexed_text(item.value, item.fields, most=EXCERPT)


def _vector(item: UnindexedItem, text: str, numbers: Numbers) -> EngineVector:
    prefixes = [item.namespace[:depth] for depth in range(2, len(item.namespace) + 1)]
    return EngineVector(
        id=str(item.id),
        resource_id=item.namespace[0],
        text=text,
        metadata={
            ITEM: str(item.id),
            VERSION: item.version,
            _PREFIXES: [canonical(prefix).decode() for prefix in prefixes],
        },
        numbers=numbers,
    )


def _under(prefix: Namespace) -> Node:
    """Return the filter of the vectors under a prefix, beyond their vector namespace."""
    if len(prefix) < 2:
        return ALL
    return Equals(Field(path=(_PREFIXES,)), (canonical(prefix).decode(),))


def _resources(selection: StateSelection) -> frozenset[str] | None:
    if selection.prefix:
        return frozenset(selection.prefix[:1])
    resources = selection.resource_ids
    return None if resources is None else frozenset(resources)
