"""Vectors in memory; every search is exact."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from mastra_engine.backends.base.vectors.candidates import Candidate
from mastra_engine.backends.base.vectors.search import (
    ENTITY,
    FACT,
    ITEM,
    POSITION,
    RECORD,
    THREAD,
    VERSION,
    FactScope,
    ItemScope,
    MessageScope,
    RecordScope,
    SourceScope,
    VectorQuery,
    VectorScope,
)
from mastra_engine.backends.base.vectors.store import VectorStore
from mastra_engine.backends.mock.facts import document_of, is_at
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.rows import EmbeddingRow, IndexRows, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.filters.ast import ALL
from mastra_engine.retrieval.bm25 import Corpus
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.retrieval.words import frequencies, words_of
from mastra_engine.types import Match, Metric, StoredVector, VectorIndex
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import AnyVector, IndexDefinition, VectorRow


class MockVectorStore(VectorStore):
    """Keeps vectors in a `Store`, which engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def get_or_create_index(self, definition: IndexDefinition) -> IndexDefinition:
        with self.store.lock:
            new = IndexRows(replace(definition, created_at=now()))
            return self.store.indexes.setdefault(definition.name, new).definition

    def find_index(self, name: str) -> IndexDefinition | None:
        with self.store.lock:
            index = self.store.indexes.get(name)
            return None if index is None else index.definition

    @contextmanager
    def lock_index_name(self, name: str) -> Iterator[None]:
        with self.store.lock:
            yield

    def list_indexes(self) -> list[VectorIndex]:
        with self.store.lock:
            names = sorted(self.store.indexes)
            return [self.describe_index(self.store.indexes[name].definition) for name in names]

    def describe_index(self, index: IndexDefinition) -> VectorIndex:
        with self.store.lock:
            rows = self._rows(index)
            return index.described(
                count=len(rows),
                size_bytes=sum(4 * len(row.vector) + len(row.metadata) for row in rows.values()),
                status="ready",
            )

    def build_index(self, index: IndexDefinition) -> None:
        return None

    def drop_structure(self, index: IndexDefinition) -> None:
        return None

    def delete_index(self, index: IndexDefinition) -> None:
        with self.store.lock:
            self._rows(index)
            del self.store.indexes[index.name]

    def truncate_index(self, index: IndexDefinition, *, namespaces: Collection[str] | None) -> None:
        with self.store.lock:
            rows, progress = self._rows(index), self.store.index(index).index_progress
            for key in [key for key in rows if namespaces is None or key[0] in namespaces]:
                del rows[key]
            for id in list(progress):
                if namespaces is None or self.store.entities[id].connection_id in namespaces:
                    del progress[id]

    def put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        moment = now()
        with self.store.lock:
            stored = self._rows(index)
            for row in rows:
                old = stored.get((namespace, row.id))
                stored[namespace, row.id] = EmbeddingRow(
                    id=row.id,
                    namespace=namespace,
                    vector=tuple(row.vector.to_list()),
                    metadata=row.metadata,
                    document=row.document,
                    created_at=moment if old is None else old.created_at,
                    updated_at=moment,
                )

    def change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> StoredVector | None:
        if "vector" in changes:
            changes = {**changes, "vector": tuple(changes["vector"].to_list())}
        with self.store.lock:
            rows = self._rows(index)
            old = rows.get((namespace, id))
            if old is None:
                return None
            rows[namespace, id] = new = replace(old, updated_at=now(), **changes)
            return new.to_value()

    def delete(self, scope: VectorScope, ids: list[str] | None) -> int:
        with self.store.lock:
            rows = self._rows(scope.index)
            deleted = [row for row in self._in_scope(scope) if ids is None or row.id in ids]
            for row in deleted:
                del rows[row.namespace, row.id]
        return len(deleted)

    def delete_chunks(self, index: IndexDefinition, namespace: str, source_ids: list[str]) -> None:
        with self.store.lock:
            rows = self._rows(index)
            for key in [key for key in rows if key[0] == namespace]:
                if key[1].partition("/")[0] in source_ids:
                    del rows[key]

    def delete_orphaned_chunks(self, scope: VectorScope, entity_id: UUID) -> None:
        with self.store.lock:
            rows, live = self._rows(scope.index), self.store.entities[entity_id].live()
            live_ids = {str(record.id) for record in live}
            for row in self._in_scope(scope):
                if row.id.partition("/")[0] not in live_ids:
                    del rows[row.namespace, row.id]

    def get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        with self.store.lock:
            rows = self._rows(index)
            return [rows[namespace, id].to_value() for id in ids if (namespace, id) in rows]

    def list_vectors(
        self, scope: VectorScope, *, after: tuple[str, str], limit: int
    ) -> list[StoredVector]:
        with self.store.lock:
            rows = {(row.namespace, row.id): row for row in self._in_scope(scope)}
        keys = sorted(key for key in rows if key > after)
        return [rows[key].to_value() for key in keys[:limit]]

    def count_vectors(self, scope: VectorScope) -> int:
        with self.store.lock:
            return sum(1 for _ in self._in_scope(scope))

    def nearest(
        self,
        scope: VectorScope,
        target: AnyVector,
        *,
        limit: int,
        ef_search: int,
        with_vector: bool,
    ) -> list[Match]:
        with self.store.lock:
            scored = [(row, _similarity(row, target, scope.index)) for row in self._in_scope(scope)]
        candidates = [row.to_match(score, with_vector=with_vector) for row, score in scored]
        return _best(candidates, limit)

    def hybrid(
        self, scope: VectorScope, query: VectorQuery, target: AnyVector | None, *, limit: int
    ) -> list[Candidate]:
        """Rank by the words as they are. Unlike PostgreSQL, the mock knows no endings."""
        with self.store.lock:
            collection = list(self._in_scope(replace(scope, where=ALL, source=None)))
            passing = list(self._in_scope(scope))
        counts = Counter(query.words)
        documents = [
            words for row in collection if (words := _frequencies(row.document)) is not None
        ]
        statistics = Corpus.of(counts, documents)
        candidates = []
        for row in passing:
            shared = statistics.contributions(counts, _frequencies(row.document) or {})
            similarity = None if target is None else _similarity(row, target, scope.index)
            if similarity is None or query.admits(similarity):
                candidates.append(
                    row.to_candidate(similarity, shared, with_vector=query.with_vector)
                )
        by_words = [candidate for candidate in candidates if candidate.words]
        best = _first(by_words, limit, lambda candidate: candidate.lexical)
        if target is not None:
            best |= _first(candidates, limit, lambda candidate: candidate.similarity or 0.0)
        return [
            candidate for candidate in candidates if (candidate.id, candidate.namespace) in best
        ]

    def compare(self, scope: VectorScope, target: AnyVector) -> list[Match]:
        with self.store.lock:
            rows = list(self._in_scope(scope))
        return [row.to_match(_similarity(row, target, scope.index)) for row in rows]

    def _rows(self, index: IndexDefinition) -> dict[tuple[str, str], EmbeddingRow]:
        return self.store.index(index).rows

    def _in_scope(self, scope: VectorScope) -> Iterator[EmbeddingRow]:
        for row in list(self._rows(scope.index).values()):
            metadata = loads(row.metadata)
            if (
                (scope.namespaces is None or row.namespace in scope.namespaces)
                and matches(scope.where, metadata)
                and self._is_of(scope.source, metadata)
            ):
                yield row

    def _is_of(self, source: SourceScope | None, metadata: dict[str, Any]) -> bool:
        """Return whether a vector was made of the source in scope."""
        match source:
            case None:
                return True
            case RecordScope():
                return self._is_chunk_of(source, metadata)
            case ItemScope(where):
                row = self.store.item(UUID(metadata[ITEM])) if ITEM in metadata else None
                return (
                    row is not None
                    and row.version == metadata[VERSION]
                    and matches(where, loads(row.value or b"{}"))
                )
            case MessageScope(places):
                return (metadata[THREAD], metadata[POSITION]) in places
            case FactScope(instant, where):
                fact = self.store.facts.get(UUID(metadata[FACT])) if FACT in metadata else None
                return (
                    fact is not None
                    and is_at(fact, instant)
                    and matches(where, document_of(fact.fact))
                )

    def _is_chunk_of(self, records: RecordScope, metadata: dict[str, Any]) -> bool:
        """Return whether a vector is a chunk of a live record in this scope."""
        for id in records.entity_ids:
            entity = self.store.entities.get(id)
            if entity is not None and metadata.get(ENTITY) == str(id):
                row = entity.records.get(metadata.get(RECORD, ""))
                if row is not None and row.deleted_at is None:
                    record = row.to_value(entity)
                    return matches(records.where, record.data, record)
        return False


def _rounded(numbers: Sequence[float], index: IndexDefinition) -> Sequence[float]:
    """Return numbers in the precision in which the index compares them."""
    if index.storage != "halfvec":
        return numbers
    form = f"{len(numbers)}e"
    return struct.unpack(form, struct.pack(form, *numbers))


def _similarity(row: EmbeddingRow, target: AnyVector, index: IndexDefinition) -> float:
    rounded_target = _rounded(target.to_list(), index)
    return _score(index.metric, _rounded(row.vector, index), rounded_target)


def _score(metric: Metric, one: Sequence[float], other: Sequence[float]) -> float:
    if metric == "cosine":
        return cosine(one, other)
    if metric == "euclidean":
        return 1 / (1 + math.dist(one, other))
    return sum(a * b for a, b in zip(one, other, strict=True))


def _best(matches: list[Match], limit: int) -> list[Match]:
    """Return the matches with the highest scores; ties go by id, then namespace."""
    return sorted(matches, key=lambda match: (-match.score, match.id, match.namespace))[:limit]


def _first(
    candidates: Sequence[Candidate], limit: int, score: Callable[[Candidate], float]
) -> set[tuple[str, str]]:
    """Return the ids and namespaces of the candidates with the highest scores."""
    keys = [(-score(candidate), candidate.id, candidate.namespace) for candidate in candidates]
    return {(id, namespace) for _, id, namespace in sorted(keys)[:limit]}


@lru_cache(maxsize=10_000)
def _frequencies(document: str | None) -> Mapping[str, int] | None:
    return None if document is None else frequencies(words_of(document))
