"""Indexing of records in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from mastra_engine.backends.base.record_search.indexer import delete_passages
from mastra_engine.backends.base.record_search.progress import IndexProgress, IndexProgressStore
from mastra_engine.backends.base.record_search.service import IndexingContract
from mastra_engine.backends.mock.records import MockRecords
from mastra_engine.backends.mock.store import EntityRow, IndexProgressRow, Store, now
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.types import COUNTED, Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


class MockIndexProgressStore(IndexProgressStore):
    """Rows that each index keeps, and so forgets with its vectors."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def open(self, entity_id: UUID, index: IndexDefinition) -> IndexProgress:
        with self.store.lock:
            rows = self._rows(index)
            if entity_id not in self.store.entities:
                raise IndexNotFound("The entity or its index is deleted")
            row = rows.setdefault(entity_id, IndexProgressRow())
            return IndexProgress(entity_id, index, row.rev, row.complete)

    def claim(self, mark: IndexProgress, seconds: float) -> bool:
        with self.store.lock:
            row = self._at(mark)
            if row is None or (row.claimed_until is not None and row.claimed_until > now()):
                return False
            row.claimed_until = now() + timedelta(seconds=seconds)
            return True

    def release(self, mark: IndexProgress) -> None:
        with self.store.lock:
            if (row := self._at(mark)) is not None:
                row.claimed_until = None

    def move(
        self, mark: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        with self.store.restoring_vectors():
            if self._at(mark) is None:
                return None
            write()
            self._rows(mark.index)[mark.entity_id] = IndexProgressRow(rev, complete)
        return replace(mark, rev=rev, complete=complete)

    def entities(
        self,
        entity_name: str,
        index_name: str,
        among: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        with self.store.lock:
            found = [
                entity.to_value()
                for entity in self._entities(entity_name, among)
                if (after is None or entity.id > after)
                and not (behind and entity.rev <= self._row(entity.id, index_name).rev)
            ]
        return found[:limit]

    def read(self, entity_ids: list[UUID]) -> dict[tuple[UUID, str], IndexProgress]:
        with self.store.lock:
            return {
                (id, name): IndexProgress(id, index.definition, row.rev, row.complete)
                for name, index in self.store.indexes.items()
                for id, row in index.index_progress.items()
                if id in entity_ids
            }

    def count(self, entity_name: str, index_name: str, among: Collection[str] | None) -> Indexing:
        with self.store.lock:
            entities = list(self._entities(entity_name, among))
            marks = {entity.id: self._row(entity.id, index_name) for entity in entities}
            waiting = [
                time for entity in entities for time in _waiting(entity, marks[entity.id].rev)
            ]
        return Indexing(
            entity=entity_name,
            index=index_name,
            connections=len(entities),
            complete=sum(mark.complete for mark in marks.values()),
            pending=len(waiting),
            waiting_since=min(waiting, default=None),
        )

    def _entities(self, name: str, among: Collection[str] | None) -> Iterator[EntityRow]:
        for _, entity in sorted(self.store.entities.items()):
            within = among is None or entity.connection_id in among
            if entity.name == name and within:
                yield entity

    def _row(self, entity_id: UUID, index_name: str) -> IndexProgressRow:
        index = self.store.indexes.get(index_name)
        row = None if index is None else index.index_progress.get(entity_id)
        return row or IndexProgressRow()

    def _rows(self, index: IndexDefinition) -> dict[UUID, IndexProgressRow]:
        return self.store.index(index).index_progress

    def _at(self, mark: IndexProgress) -> IndexProgressRow | None:
        stored = self.store.indexes.get(mark.index.name)
        if stored is None or stored.definition is not mark.index:
            return None
        row = stored.index_progress.get(mark.entity_id)
        return row if row is not None and row.rev == mark.rev else None


class MockIndexing(MockRecords, IndexingContract):
    """Indexing over the mock's records."""

    def _delete_entity(self, id: UUID) -> Entity:
        with self.store.transaction():
            entity = super()._delete_entity(id)
            for index in self.store.indexes.values():
                if index.index_progress.pop(id, None) is not None:
                    delete_passages(self.vectors, index.definition, entity)
            return entity


def _waiting(entity: EntityRow, rev: int) -> list[datetime]:
    changed = sorted((row.rev, row.updated_at) for row in entity.records.values() if row.rev > rev)
    return [time for _, time in changed[:COUNTED]]
