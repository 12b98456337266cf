"""The progress of record indexes in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from mastra_engine.backends.base.record_search.store import IndexProgress, IndexProgressStore
from mastra_engine.backends.mock.rows import EntityRow, IndexProgressRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.types import COUNTED, Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


class MockIndexProgressStore(IndexProgressStore):
    """Rows of each index, which are deleted with its vectors."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def open(self, entity_id: UUID, index: IndexDefinition) -> IndexProgress:
        with self.store.lock:
            rows = self._rows(index)
            if entity_id not in self.store.entities:
                raise IndexNotFound(
                    f"The entity {entity_id} or the index {index.name!r} was deleted"
                )
            row = rows.setdefault(entity_id, IndexProgressRow())
            return IndexProgress(entity_id, index, row.rev, row.complete)

    def claim(self, progress: IndexProgress, seconds: float) -> bool:
        with self.store.lock:
            row = self._at(progress)
            if row is None or (row.claimed_until is not None and row.claimed_until > now()):
                return False
            row.claimed_until = now() + timedelta(seconds=seconds)
            return True

    def release(self, progress: IndexProgress) -> None:
        with self.store.lock:
            if (row := self._at(progress)) is not None:
                row.claimed_until = None

    def move(
        self, progress: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        with self.store.restoring():
            if self._at(progress) is None:
                return None
            write()
            self._rows(progress.index)[progress.entity_id] = IndexProgressRow(rev, complete)
        return replace(progress, rev=rev, complete=complete)

    def lock(self, entity_id: UUID) -> list[IndexDefinition]:
        with self.store.lock:
            return [
                index.definition
                for index in self.store.indexes.values()
                if entity_id in index.index_progress
            ]

    def entities(
        self,
        entity_name: str,
        index_name: str,
        connection_ids: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        with self.store.lock:
            entities = [
                entity.to_value()
                for entity in self._entities(entity_name, connection_ids)
                if (after is None or entity.id > after)
                and not (behind and entity.rev <= self._row(entity.id, index_name).rev)
            ]
        return entities[:limit]

    def read(self, entity_ids: list[UUID]) -> dict[tuple[UUID, str], IndexProgress]:
        with self.store.lock:
            return {
                (id, name): IndexProgress(id, index.definition, row.rev, row.complete)
                for name, index in self.store.indexes.items()
                for id, row in index.index_progress.items()
                if id in entity_ids
            }

    def count(
        self, entity_name: str, index_name: str, connection_ids: Collection[str] | None
    ) -> Indexing:
        with self.store.lock:
            entities = list(self._entities(entity_name, connection_ids))
            progress = {entity.id: self._row(entity.id, index_name) for entity in entities}
            waiting = [
                time for entity in entities for time in _waiting(entity, progress[entity.id].rev)
            ]
        return Indexing(
            entity=entity_name,
            index=index_name,
            connections=len(entities),
            complete=sum(row.complete for row in progress.values()),
            pending=len(waiting),
            waiting_since=min(waiting, default=None),
        )

    def _entities(self, name: str, connection_ids: Collection[str] | None) -> Iterator[EntityRow]:
        for _, entity in sorted(self.store.entities.items()):
            in_scope = connection_ids is None or entity.connection_id in connection_ids
            if entity.name == name and in_scope:
                yield entity

    def _row(self, entity_id: UUID, index_name: str) -> IndexProgressRow:
        index = self.store.indexes.get(index_name)
        row = None if index is None else index.index_progress.get(entity_id)
        return row or IndexProgressRow()

    def _rows(self, index: IndexDefinition) -> dict[UUID, IndexProgressRow]:
        return self.store.index(index).index_progress

    def _at(self, progress: IndexProgress) -> IndexProgressRow | None:
        stored = self.store.indexes.get(progress.index.name)
        if stored is None or stored.definition is not progress.index:
            return None
        row = stored.index_progress.get(progress.entity_id)
        return row if row is not None and row.rev == progress.rev else None


def _waiting(entity: EntityRow, rev: int) -> list[datetime]:
    changed = sorted((row.rev, row.updated_at) for row in entity.records.values() if row.rev > rev)
    return [time for _, time in changed[:COUNTED]]
