"""The vector index of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from mastra_engine.backends.base.facts.claims import FACT_INDEX
from mastra_engine.backends.base.facts.store import FactSelection, FactStore
from mastra_engine.backends.base.vectors.search import FACT, FactScope, Instant, VectorScope
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.base.vectors.text_index import PendingText, TextIndex
from mastra_engine.filters.ast import ALL
from mastra_engine.protocols import RunQueue
from mastra_engine.retrieval.embedding import EXCERPT
from mastra_engine.types import Fact, FactMatch, Match
from mastra_engine.validation.vectors import IndexDefinition


class FactIndex(TextIndex[FactSelection]):
    """The vector index of facts: of their subjects, with all names, predicates and objects."""

    name = FACT_INDEX
    rows = "Facts"
    remedy = "facts.reindex() indexes all facts again"
    failpoint = "facts_indexed"

    def __init__(self, store: FactStore, vectors: Vectors) -> None:
        super().__init__(store, vectors)
        self._store = store

    def list_pending(
        self, selection: FactSelection, *, limit: int
    ) -> tuple[list[PendingText], bool]:
        facts = self._store.list_unindexed(selection.resource_ids, limit=limit + 1)
        return [_pending(fact) for fact in facts[:limit]], len(facts) > limit

    def of_resource(self, resource_id: str) -> FactSelection:
        return FactSelection(resource_ids=frozenset([resource_id]))

    def to_index(self, selection: FactSelection) -> FactSelection:
        return replace(selection, where=ALL)

    def scope(self, index: IndexDefinition, selection: FactSelection) -> VectorScope:
        return VectorScope(
            index=index,
            where=ALL,
            namespaces=selection.resource_ids,
            source=FactScope(selection.instant, selection.where),
        )

    def with_facts(self, matches: Sequence[Match]) -> list[FactMatch]:
        """Return matches with their facts; one that was deleted since is left out."""
        ids = [UUID(match.id) for match in matches]
        facts = self._store.find(ids, resource_ids=None) if ids else {}
        return [
            FactMatch(
                fact=facts[id],
                score=match.score,
                similarity=match.similarity,
                lexical=match.lexical,
            )
            for id, match in zip(ids, matches, strict=True)
            if id in facts
        ]

    def enqueue(self, queue: RunQueue, resource_id: str) -> None:
        queue.index_facts(resource_id)


def everything(resource_ids: frozenset[str] | None) -> FactSelection:
    """Return the selection of all facts of some resources, None for all."""
    return FactSelection(resource_ids=resource_ids, instant=Instant(all_versions=True))


def text_of(fact: Fact) -> str:
    """Return the text of a fact that is embedded."""
    names = ", ".join((fact.subject, *fact.aliases))
    return f"{names} {fact.predicate} {fact.object}"[:EXCERPT]


def _pending(fact: Fact) -> PendingText:
    """Return the text to index. Only the aliases of a fact change: their number grows."""
    return PendingText(
        id=fact.id,
        resource_id=fact.resource_id,
        text=text_of(fact),
        metadata={FACT: str(fact.id)},
        version=len(fact.aliases),
    )
