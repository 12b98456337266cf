"""The vector index of agent state."""

from __future__ import annotations

from dataclasses import replace

from mastra_engine.backends.base.state.paths import indexed_text
from mastra_engine.backends.base.state.store import (
    Namespace,
    StateSelection,
    StateStore,
    UnindexedItem,
)
from mastra_engine.backends.base.vectors.search import ITEM, VERSION, ItemScope, VectorScope
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.base.vectors.text_index import PendingText, TextIndex
from mastra_engine.filters.ast import ALL, Equals, Field, Node
from mastra_engine.protocols import RunQueue
from mastra_engine.retrieval.embedding import EXCERPT
from mastra_engine.validation.jsonb import canonical
from mastra_engine.validation.vectors import IndexDefinition

#: Metadata of an item's vector: the beginnings of its namespace, each as JSON.
_PREFIXES = "@prefixes"


class StateIndex(TextIndex[StateSelection]):
    """The vector index of agent state.

    An item's vector has the id of its key; the first element of its namespace is its resource.
    """

    name = "state"
    rows = "Items of agent state"
    remedy = "state.reindex() indexes all items again"
    failpoint = "state_indexed"

    def __init__(self, store: StateStore, vectors: Vectors) -> None:
        super().__init__(store, vectors)
        self._store = store

    def list_pending(
        self, selection: StateSelection, *, limit: int
    ) -> tuple[list[PendingText], bool]:
        items, has_more = self._store.list_unindexed(selection, limit=limit)
        return [_pending(item) for item in items], has_more

    def of_resource(self, resource_id: str) -> StateSelection:
        return StateSelection(prefix=(resource_id,))

    def to_index(self, selection: StateSelection) -> StateSelection:
        return replace(selection, where=ALL)

    def scope(self, index: IndexDefinition, selection: StateSelection) -> VectorScope:
        return VectorScope(
            index=index,
            where=_under(selection.prefix),
            namespaces=_resources(selection),
            source=ItemScope(selection.where),
        )

    def enqueue(self, queue: RunQueue, resource_id: str) -> None:
        queue.index_state(resource_id)


def _pending(item: UnindexedItem) -> PendingText:
    prefixes = [item.namespace[:depth] for depth in range(2, len(item.namespace) + 1)]
    return PendingText(
        id=item.id,
        resource_id=item.namespace[0],
        text=indexed_text(item.value, item.fields, most=EXCERPT),
        metadata={
            ITEM: str(item.id),
            VERSION: item.version,
            _PREFIXES: [canonical(prefix).decode() for prefix in prefixes],
        },
        version=item.version,
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
