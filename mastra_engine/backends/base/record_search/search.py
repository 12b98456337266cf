"""Searching the chunks of a connection's records, in one index or in several."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mastra_engine.backends.base.record_search.indexer import REMEDY, needed_embedder
from mastra_engine.backends.base.steps import Steps
from mastra_engine.backends.base.vectors.candidates import Candidate, ranked
from mastra_engine.backends.base.vectors.engine_index import check_model
from mastra_engine.backends.base.vectors.search import (
    CHUNK,
    END,
    ENTITY,
    RECORD,
    START,
    RecordScope,
    VectorQuery,
    VectorScope,
    query_target,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.registry import IndexDeclaration
from mastra_engine.retrieval.embedding import embed_query
from mastra_engine.retrieval.fusion import reciprocal_rank_fusion
from mastra_engine.types import Entity, Match, Metric, Record, RecordMatch
from mastra_engine.validation.vectors import IndexDefinition

#: The factor by which the limit grows if the chunks belong to too few records.
_WIDER = 4
_INDEX = "@index"
_OURS = {ENTITY, RECORD, CHUNK, START, END, _INDEX}


@dataclass(frozen=True, slots=True)
class IndexedEntity:
    """An entity and the declaration of the index in which its chunks are searched."""

    declared: IndexDeclaration
    entity: Entity


def serving(declared: Iterable[IndexDeclaration], complete: set[str]) -> Iterator[IndexDeclaration]:
    """Yield the indexes that searches of an entity use, given the names of complete ones.

    An index that replaces another is used once it is complete.
    """
    by_name = {declaration.index: declaration for declaration in declared}
    replaced = {declaration.replaces for declaration in by_name.values()}
    for newest in by_name.values():
        if newest.index not in replaced:
            declaration = newest
            while declaration.index not in complete and declaration.replaces in by_name:
                declaration = by_name[declaration.replaces]
            yield declaration


class Search:
    """One search. A match's `id` and `namespace` are its record's `external_id` and entity."""

    def __init__(
        self, vectors: Vectors, connection_id: str, request: VectorQuery, where: Node
    ) -> None:
        self.vectors = vectors
        self.connection_id = connection_id
        self.request = request
        self.where = where

    def run(self, indexed: list[IndexedEntity]) -> Steps[list[Match]]:
        """Return the best chunks of as many records as are requested, the best first.

        Candidates with comparable similarities are ranked together, as if they were in one index.
        """
        groups: dict[tuple[str, int], list[IndexedEntity]] = {}
        for place in indexed:
            key = place.declared.index, id(place.declared.embedder)
            groups.setdefault(key, []).append(place)
        comparable: dict[Any, list[Candidate]] = {}
        for group in groups.values():
            name = group[0].declared.index
            index = self.vectors.indexes.find(name)
            if index is None:  # no chunk is stored yet
                continue
            embedder = needed_embedder(self.vectors, group[0].declared)
            vector = yield partial(embed_query, embedder, self.request.text or "", path="/query")
            search = partial(self._search, group, vector)
            with suppress(IndexNotFound):  # it has been deleted since
                metric, candidates = self.vectors.indexes.use_found(
                    partial(self.vectors.indexes.require, name), search, first=index
                )
                comparable.setdefault((id(embedder), metric), []).extend(candidates)
        rankings = [
            best_of_records(ranked(candidates, self.request)) for candidates in comparable.values()
        ]
        selected: list[Match] = yield partial(self.request.select, self._merged(rankings))
        return selected

    def _search(
        self, group: list[IndexedEntity], vector: Sequence[float], index: IndexDefinition
    ) -> tuple[Metric, list[Candidate]]:
        """Return the candidates of an index, of as many records as are requested."""
        scope = VectorScope(
            index=index,
            where=ALL,
            namespaces=frozenset([self.connection_id]),
            source=RecordScope(tuple(place.entity.id for place in group), self.where),
        )
        embedder = needed_embedder(self.vectors, group[0].declared)
        check_model(index, embedder, len(vector), path="/query", remedy=REMEDY)
        target = query_target(vector, index, "/query")
        limit = self.request.candidates
        while True:
            chunks = self.vectors.store.find(scope, self.request, target, limit=limit)
            records = {(chunk.metadata[ENTITY], chunk.metadata[RECORD]) for chunk in chunks}
            if len(records) >= self.request.limit or len(chunks) < limit:
                return index.metric, [_of_record(chunk, index) for chunk in chunks]
            limit *= _WIDER

    def _merged(self, rankings: list[list[Match]]) -> list[Match]:
        """Return one ranking. Only the scores of hybrid searches are comparable among embedders."""
        if self.request.hybrid is None and len(rankings) > 1:
            return reciprocal_rank_fusion(*rankings)
        return best_of_records(match for ranking in rankings for match in ranking)


def best_of_records(matches: Iterable[Match]) -> list[Match]:
    """Return the best match of each record, the best first."""
    ordered = sorted(
        matches,
        key=lambda match: (-match.score, match.id, match.namespace, match.metadata[CHUNK]),
    )
    best: dict[tuple[str, str], Match] = {}
    for match in ordered:
        best.setdefault((match.namespace, match.id), match)
    return list(best.values())


def record_match(match: Match, record: Record) -> RecordMatch:
    """Return the match of a record, without the engine's own metadata."""
    metadata = match.metadata
    return RecordMatch(
        record=record,
        score=match.score,
        similarity=match.similarity,
        lexical=match.lexical,
        explanation=match.explanation,
        text=match.document or "",
        index=metadata[_INDEX],
        chunk=metadata[CHUNK],
        start=metadata.get(START),
        end=metadata.get(END),
        metadata={key: value for key, value in metadata.items() if key not in _OURS},
    )


def _of_record(candidate: Candidate, index: IndexDefinition) -> Candidate:
    """Return a candidate with the ids of its record and its entity."""
    metadata = candidate.metadata
    return replace(
        candidate,
        id=metadata[RECORD],
        namespace=metadata[ENTITY],
        metadata={**metadata, _INDEX: index.name},
    )
