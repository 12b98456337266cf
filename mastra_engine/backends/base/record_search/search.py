"""Searching the passages of a connection's records, in one index or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mastra_engine.backends.base.record_search.indexer import needed_embedder
from mastra_engine.backends.base.vectors.search import (
    CHUNK,
    END,
    ENTITY,
    RECORD,
    START,
    RecordScope,
    VectorQuery,
    VectorScope,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.registry import IndexDeclaration
from mastra_engine.retrieval.embedding import embed_query
from mastra_engine.retrieval.fusion import reciprocal_rank_fusion
from mastra_engine.types import Entity, Match, Record, RecordMatch
from mastra_engine.validation.vectors import IndexDefinition
from mastra_engine.validation.vectors import vector as checked_vector

#: How many times more passages are looked at where those found are of too few records.
_WIDER = 4
#: What is found by words, whatever the index, is one ranking: their rank knows nothing of it.
_WORDS = "words"
_INDEX = "@index"
_OURS = {ENTITY, RECORD, CHUNK, START, END, _INDEX}


@dataclass(frozen=True, slots=True)
class Place:
    """An entity's passages in an index."""

    declared: IndexDeclaration
    entity: Entity


def serving(declared: Iterable[IndexDeclaration], complete: set[str]) -> Iterator[IndexDeclaration]:
    """Yield the indexes that answer for an entity, given the names of those that are complete.

    One that replaces another does so once it is complete.
    """
    by_name = {each.index: each for each in declared}
    replaced = {each.replaces for each in by_name.values()}
    for newest in by_name.values():
        if newest.index not in replaced:
            chosen = newest
            while chosen.index not in complete and chosen.replaces in by_name:
                chosen = by_name[chosen.replaces]
            yield chosen


class RecordSearch:
    """One search. A match's `id` and `namespace` are its record's `external_id` and entity."""

    def __init__(
        self, vectors: Vectors, connection_id: str, asked: VectorQuery, where: Node
    ) -> None:
        self.vectors = vectors
        self.connection_id = connection_id
        self.asked = asked
        self.where = where

    def run(self, places: list[Place]) -> list[Match]:
        """Return the best passages of as many records as are asked for, the best first.

        What scores alike is one ranking, as if it were in one index; several are fused.
        """
        groups: dict[Any, list[Place]] = {}
        for place in places:
            key = place.declared.index, id(place.declared.embedder)
            groups.setdefault(key, []).append(place)
        rankings: dict[Any, list[Match]] = {}
        for group in groups.values():
            look = partial(self._look, group)
            with suppress(IndexNotFound):  # nothing is in it yet
                for kind, found in self.vectors.indexes.use(group[0].declared.index, look).items():
                    rankings.setdefault(kind, []).extend(found)
        ordered = [best_of_records(found) for found in rankings.values()]
        return self.asked.select(
            ordered[0] if len(ordered) == 1 else reciprocal_rank_fusion(*ordered)
        )

    def _look(self, group: list[Place], index: IndexDefinition) -> dict[Any, list[Match]]:
        """Return what an index has, by what its score means."""
        scope = VectorScope(
            index=index,
            where=ALL,
            namespaces=frozenset([self.connection_id]),
            records=RecordScope(tuple(place.entity.id for place in group), self.where),
        )
        found: dict[Any, list[Match]] = {}
        embedder = needed_embedder(self.vectors, group[0].declared)
        question = self.asked.text or ""
        vector = embed_query(embedder, question, dimension=index.dimension, path="/query")
        if any(vector):  # or else the embedder knows nothing of it
            target = checked_vector(vector, index, "/query")
            near = partial(
                self.vectors.store.nearest,
                scope,
                target,
                ef_search=self.asked.effective_ef_search,
                with_vector=False,
            )
            found[id(embedder), index.metric] = self._of_enough_records(near, index)
        if self.asked.hybrid:
            words = partial(self.vectors.store.full_text, scope, self.asked.text or "")
            found[_WORDS] = self._of_enough_records(words, index)
        return found

    def _of_enough_records(
        self, look: Callable[..., list[Match]], index: IndexDefinition
    ) -> list[Match]:
        """Look at more passages until they are of as many records as are asked for."""
        limit = self.asked.candidates
        while True:
            found = look(limit=limit)
            best = best_of_records(_as_record(match, index) for match in found)
            if len(best) >= self.asked.limit or len(found) < limit:
                return best
            limit *= _WIDER


def best_of_records(found: Iterable[Match]) -> list[Match]:
    """Order matches, and keep the best of each record."""
    ordered = sorted(
        found,
        key=lambda match: (-match.score, match.id, match.namespace, match.metadata[CHUNK]),
    )
    best: dict[tuple[str, str], Match] = {}
    for match in ordered:
        best.setdefault((match.namespace, match.id), match)
    return list(best.values())


def record_match(match: Match, record: Record) -> RecordMatch:
    """Return a match as users see it."""
    about = match.metadata
    return RecordMatch(
        record=record,
        score=match.score,
        passage=match.document or "",
        index=about[_INDEX],
        chunk=about[CHUNK],
        start=about.get(START),
        end=about.get(END),
        metadata={key: value for key, value in about.items() if key not in _OURS},
    )


def _as_record(match: Match, index: IndexDefinition) -> Match:
    about = match.metadata
    return replace(
        match,
        id=about[RECORD],
        namespace=about[ENTITY],
        metadata={**about, _INDEX: index.name},
    )
