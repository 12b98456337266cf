"""Finding current facts that state the same, and merging them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

from mastra_engine.backends.base.facts.index import FactIndex, text_of
from mastra_engine.backends.base.facts.store import FactSelection, FactStore
from mastra_engine.backends.base.facts.versions import Versions, is_current
from mastra_engine.backends.base.steps import Steps
from mastra_engine.backends.base.vectors.search import VectorQuery, vector_query
from mastra_engine.protocols import Embedder, FactJudge
from mastra_engine.retrieval.embedding import BATCH_TEXTS, embed_documents
from mastra_engine.types import Fact, FactDuplicate, FactSource
from mastra_engine.validation.inputs import flag

#: How many facts are compared with each fact, the closest ones, and the characters of its text
#: that a search is validated by.
NEIGHBOURS, QUERY = 5, 1_000


class Consolidation:
    """One consolidation of the facts about a resource; `write` stores changes of versions."""

    def __init__(
        self, store: FactStore, index: FactIndex, write: Callable[[Versions], None]
    ) -> None:
        self._store = store
        self._index = index
        self._write = write

    def run(
        self,
        resource_id: str,
        embedder: Embedder,
        judge: FactJudge | None,
        *,
        min_score: float,
        limit: int,
    ) -> Steps[list[FactDuplicate]]:
        """Return duplicates among a resource's facts, the most similar first.

        With a judge, those are merged that it takes for the same.
        """
        pairs = yield from self._pairs(resource_id, embedder, min_score, limit)
        if judge is None:
            return pairs
        merged: set[UUID] = set()
        results = []
        for pair in pairs:
            if not merged.isdisjoint((pair.fact.id, pair.duplicate.id)):
                continue
            result = pair
            is_same = yield partial(judge, pair.fact, pair.duplicate)
            if flag(is_same, "/judge"):
                result = self._store.transact(partial(self._merge, pair))
            if result.merged:
                merged.add(result.duplicate.id)
            results.append(result)
        return results

    def _pairs(
        self, resource_id: str, embedder: Embedder, min_score: float, limit: int
    ) -> Steps[list[FactDuplicate]]:
        """Return pairs of current facts of which one is among the `limit` first ones."""
        selection = FactSelection(resource_ids=frozenset([resource_id]))
        yield from self._index.index(self._index.to_index(selection))
        facts = [f for f in self._store.list_current(resource_id, limit=limit) if is_current(f)]
        pairs: dict[tuple[UUID, UUID], FactDuplicate] = {}
        for start in range(0, len(facts), BATCH_TEXTS):
            batch = facts[start : start + BATCH_TEXTS]
            vectors = yield partial(embed_documents, embedder, list(map(text_of, batch)))
            matches = [
                (fact, match)
                for fact, numbers in zip(batch, vectors, strict=True)
                for match in self._index.search(_query(fact, min_score), numbers, selection)
                if UUID(match.id) != fact.id
            ]
            neighbours = self._index.with_facts([match for _, match in matches])
            others = {match.fact.id: match.fact for match in neighbours if is_current(match.fact)}
            for fact, match in matches:
                other = others.get(UUID(match.id))
                if other is not None and match.similarity is not None:
                    first, second = sorted((fact, other), key=lambda f: (f.created_at, f.id))
                    pairs[first.id, second.id] = FactDuplicate(
                        fact=first, duplicate=second, similarity=match.similarity, merged=False
                    )
        return sorted(pairs.values(), key=lambda pair: -pair.similarity)

    def _merge(self, pair: FactDuplicate) -> FactDuplicate:
        """Retract the duplicate, and add its sources to the other fact; both have to be current.

        A fact without sources is kept, since it must not go with the sources of the other one.
        """
        moment = self._store.lock_resource(pair.fact.resource_id)
        sources = self._sources(pair.duplicate)
        survivor, duplicate = pair.fact, pair.duplicate
        if not self._store.list_sources([survivor.id]):
            sources = []
        elif not sources:
            survivor, duplicate = duplicate, survivor
        stored = [self._store.lock_version(fact.id) for fact in (survivor, duplicate)]
        versions = Versions(
            survivor.resource_id, moment, [row for row in stored if row is not None]
        )
        if not all(row is not None and is_current(row[1]) for row in stored):
            return pair
        versions.merge(survivor.id, duplicate.id, sources)
        self._write(versions)
        facts = versions.facts
        return replace(pair, fact=facts[survivor.id], duplicate=facts[duplicate.id], merged=True)

    def _sources(self, fact: Fact) -> list[FactSource]:
        """Return the sources of a fact that still exist, kept from deletion by a lock."""
        sources = self._store.list_sources([fact.id]).get(fact.id, ())
        messages = sorted({source.message_id for source in sources if source.message_id})
        records = sorted({source.record_id for source in sources if source.record_id})
        locked: set[str | UUID | None] = {
            *self._store.lock_messages(messages, fact.resource_id),
            *self._store.lock_records(records, connection_ids=None),
        }
        return [source for source in sources if (source.message_id or source.record_id) in locked]


def _query(fact: Fact, min_score: float) -> VectorQuery:
    return vector_query(
        query_text=text_of(fact)[:QUERY],
        top_k=NEIGHBOURS + 1,  # itself included
        filter=None,
        min_score=min_score,
        hybrid=False,
        explain=False,
    )
