"""Searching the chunks of a connection's records, in one index or in several."""

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

#: The factor by which the limit grows if the chunks belong to too few records.
_WIDER = 4
#: Matches by words are one ranking across indexes, because their rank does not depend on the index.
_WORDS = "words"
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

    def run(self, indexed: list[IndexedEntity]) -> list[Match]:
        """Return the best chunks of as many records as are requested, the best first.

        Matches with comparable scores are merged into one ranking, as if they were in one index;
        several rankings are fused.
        """
        groups: dict[Any, list[IndexedEntity]] = {}
        for place in indexed:
            key = place.declared.index, id(place.declared.embedder)
            groups.setdefault(key, []).append(place)
        rankings: dict[Any, list[Match]] = {}
        for group in groups.values():
            search = partial(self._search, group)
            with suppress(IndexNotFound):  # no chunk is stored yet
                by_kind = self.vectors.indexes.use(group[0].declared.index, search)
                for kind, matches in by_kind.items():
                    rankings.setdefault(kind, []).extend(matches)
        ordered = [best_of_records(matches) for matches in rankings.values()]
        return self.request.select(
            ordered[0] if len(ordered) == 1 else reciprocal_rank_fusion(*ordered)
        )

    def _search(self, group: list[IndexedEntity], index: IndexDefinition) -> dict[Any, list[Match]]:
        """Return the matches in an index, grouped by comparable scores."""
        scope = VectorScope(
            index=index,
            where=ALL,
            namespaces=frozenset([self.connection_id]),
            records=RecordScope(tuple(place.entity.id for place in group), self.where),
        )
        rankings: dict[Any, list[Match]] = {}
        embedder = needed_embedder(self.vectors, group[0].declared)
        query = self.request.text or ""
        vector = embed_query(embedder, query, dimension=index.dimension, path="/query")
        if any(vector):  # an embedder may return zeros for words that it does not know
            nearest = partial(
                self.vectors.store.nearest,
                scope,
                checked_vector(vector, index, "/query"),
                ef_search=self.request.effective_ef_search,
                with_vector=False,
            )
            rankings[id(embedder), index.metric] = self._enough_records(nearest, index)
        if self.request.hybrid:
            words = partial(self.vectors.store.full_text, scope, query)
            rankings[_WORDS] = self._enough_records(words, index)
        return rankings

    def _enough_records(
        self, select: Callable[..., list[Match]], index: IndexDefinition
    ) -> list[Match]:
        """Read more chunks until they belong to as many records as are requested."""
        limit = self.request.candidates
        while True:
            matches = select(limit=limit)
            best = best_of_records(_as_record(match, index) for match in matches)
            if len(best) >= self.request.limit or len(matches) < limit:
                return best
            limit *= _WIDER


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
        text=match.document or "",
        index=metadata[_INDEX],
        chunk=metadata[CHUNK],
        start=metadata.get(START),
        end=metadata.get(END),
        metadata={key: value for key, value in metadata.items() if key not in _OURS},
    )


def _as_record(match: Match, index: IndexDefinition) -> Match:
    metadata = match.metadata
    return replace(
        match,
        id=metadata[RECORD],
        namespace=metadata[ENTITY],
        metadata={**metadata, _INDEX: index.name},
    )
