"""Vectors in memory: every search is exact."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from pgvector import Vector

from mastra_engine.backends.base.vectors.search import ENTITY, RECORD, RecordScope, VectorScope
from mastra_engine.backends.base.vectors.service import VectorsContract
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.store import EmbeddingRow, IndexRows, Store, now
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.protocols import Embedder
from mastra_engine.retrieval.fusion import cosine
from mastra_engine.types import Match, Metric, StoredVector, VectorIndex
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import IndexDefinition, VectorRow

_WORD = re.compile(r"\w+")


class MockVectors(VectorsContract):
    """Vectors in a store that engines of one URL share."""

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        self.store = store
        self.embedder = embedder

    def _get_or_create_index(self, wanted: IndexDefinition) -> IndexDefinition:
        with self.store.lock:
            new = IndexRows(replace(wanted, created_at=now()))
            return self.store.indexes.setdefault(wanted.name, new).definition

    def _find_index(self, name: str) -> IndexDefinition | None:
        with self.store.lock:
            index = self.store.indexes.get(name)
            return None if index is None else index.definition

    @contextmanager
    def _kept(self, name: str) -> Iterator[None]:
        with self.store.lock:
            yield

    def _list_indexes(self) -> list[VectorIndex]:
        with self.store.lock:
            names = sorted(self.store.indexes)
            return [self._describe(self.store.indexes[name].definition) for name in names]

    def _describe(self, index: IndexDefinition) -> VectorIndex:
        with self.store.lock:
            rows = self._rows(index)
            return index.described(
                count=len(rows),
                size_bytes=sum(4 * len(row.vector) + len(row.metadata) for row in rows.values()),
                status="ready",
            )

    def _build(self, index: IndexDefinition) -> None:
        return None

    def _drop_structure(self, index: IndexDefinition) -> None:
        return None

    def _delete_index(self, index: IndexDefinition) -> None:
        with self.store.lock:
            self._rows(index)
            del self.store.indexes[index.name]

    def _truncate(self, index: IndexDefinition) -> None:
        with self.store.lock:
            self._rows(index).clear()
            self._stored(index).index_progress.clear()

    def _put(
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

    def _change(
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

    def _delete(self, scope: VectorScope, ids: list[str] | None) -> int:
        with self.store.lock:
            rows = self._rows(scope.index)
            gone = [row for row in self._within(scope) if ids is None or row.id in ids]
            for row in gone:
                del rows[row.namespace, row.id]
        return len(gone)

    def _delete_parts(self, index: IndexDefinition, namespace: str, wholes: list[str]) -> None:
        with self.store.lock:
            rows = self._rows(index)
            for key in [key for key in rows if key[0] == namespace]:
                if key[1].partition("/")[0] in wholes:
                    del rows[key]

    def _delete_gone(self, scope: VectorScope, entity_id: UUID) -> None:
        with self.store.lock:
            rows, live = self._rows(scope.index), self.store.entities[entity_id].live()
            there = {str(record.id) for record in live}
            for row in self._within(scope):
                if row.id.partition("/")[0] not in there:
                    del rows[row.namespace, row.id]

    def _get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        with self.store.lock:
            rows = self._rows(index)
            return [rows[namespace, id].to_value() for id in ids if (namespace, id) in rows]

    def _nearest(
        self, scope: VectorScope, target: Vector, *, limit: int, ef_search: int, with_vector: bool
    ) -> list[Match]:
        index = scope.index
        wanted = _rounded(target.to_list(), index)
        with self.store.lock:
            scored = [
                (row, _score(index.metric, _rounded(row.vector, index), wanted))
                for row in self._within(scope)
            ]
        found = [row.to_match(score, with_vector=with_vector) for row, score in scored]
        return sorted(found, key=lambda match: (-match.score, match.id, match.namespace))[:limit]

    def _full_text(self, scope: VectorScope, query: str, limit: int) -> list[Match]:
        """Words are compared as they are: unlike PostgreSQL, the mock has no stemmer."""
        wanted = set(_words(query))
        with self.store.lock:
            scored = [
                row.to_match(float(len(wanted & set(_words(row.document or "")))))
                for row in self._within(scope)
            ]
        found = [match for match in scored if match.score]
        return sorted(found, key=lambda match: (-match.score, match.id, match.namespace))[:limit]

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Whatever vectors are written inside are as they were before when it fails."""
        with self.store.lock:
            before = {name: dict(index.rows) for name, index in self.store.indexes.items()}
            try:
                yield
            except BaseException:
                for name, rows in before.items():
                    self.store.indexes[name].rows = rows
                raise

    def _stored(self, index: IndexDefinition) -> IndexRows:
        stored = self.store.indexes.get(index.name)
        if stored is None or stored.definition is not index:
            raise IndexNotFound
        return stored

    def _rows(self, index: IndexDefinition) -> dict[tuple[str, str], EmbeddingRow]:
        return self._stored(index).rows

    def _within(self, scope: VectorScope) -> Iterator[EmbeddingRow]:
        for row in list(self._rows(scope.index).values()):
            metadata = loads(row.metadata)
            if (
                (scope.namespaces is None or row.namespace in scope.namespaces)
                and matches(scope.where, metadata)
                and (scope.records is None or self._is_about(scope.records, metadata))
            ):
                yield row

    def _is_about(self, records: RecordScope, metadata: dict[str, Any]) -> bool:
        """Whether a passage is of such a record, which is there."""
        for id in records.entity_ids:
            entity = self.store.entities.get(id)
            if entity is not None and metadata.get(ENTITY) == str(id):
                row = entity.records.get(metadata.get(RECORD, ""))
                if row is not None and row.deleted_at is None:
                    record = row.to_value(entity)
                    return matches(records.where, record.data, record)
        return False


def _rounded(numbers: Sequence[float], index: IndexDefinition) -> Sequence[float]:
    """The numbers as the index compares them: in single or in half precision."""
    if index.storage == "vector":
        return numbers
    form = f"{len(numbers)}e"
    return struct.unpack(form, struct.pack(form, *numbers))


def _score(metric: Metric, one: Sequence[float], other: Sequence[float]) -> float:
    if metric == "cosine":
        return cosine(one, other)
    if metric == "euclidean":
        return 1 / (1 + math.dist(one, other))
    return sum(a * b for a, b in zip(one, other, strict=True))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
