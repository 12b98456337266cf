"""Entities and records in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.records.service import RecordsContract
from mastra_engine.backends.base.records.writer import EntityWriter
from mastra_engine.backends.mock.match import follows, in_order, matches
from mastra_engine.backends.mock.store import EntityRow, Store, now
from mastra_engine.backends.mock.writer import MockWriter
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.filters.ast import Query
from mastra_engine.filters.cursors import Position
from mastra_engine.types import Entity, Record

R = TypeVar("R")


class MockRecords(RecordsContract):
    """Records in a store that engines of one URL share."""

    store: Store

    def _get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        with self.store.lock:
            if found := self._list_entities(name, connection_id, after=None, limit=1):
                return found[0], False
            moment = now()
            row = EntityRow(name, connection_id, created_at=moment, updated_at=moment)
            self.store.entities[row.id] = row
            return row.to_value(), True

    def _get_entity(self, id: UUID) -> Entity:
        with self.store.lock:
            return self._row(id).to_value()

    def _list_entities(
        self, name: str | None, connection_id: str | None, *, after: UUID | None, limit: int
    ) -> list[Entity]:
        with self.store.lock:
            found = [
                row.to_value()
                for id, row in sorted(self.store.entities.items())
                if name in (None, row.name)
                and connection_id in (None, row.connection_id)
                and self._reaches(row)
                and (after is None or id > after)
            ]
        return found[:limit]

    def _delete_entity(self, id: UUID) -> Entity:
        with self.store.lock:
            entity = self._row(id).to_value()
            del self.store.entities[id]
            for run in [row.run for row in self.store.runs.values() if row.run.entity_id == id]:
                del self.store.runs[run.id]
            return entity

    def _select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        with self.store.lock:
            row = self.store.entities.get(entity.id)
            records = [] if row is None else [record.to_value(row) for record in row.live()]
        found = [
            record
            for record in in_order(records, query.sort)
            if matches(query.where, record.data, record)
            and (after is None or follows(record, after, query.sort))
        ]
        end = None if query.limit is None else query.offset + query.limit
        return found[query.offset : end]

    def _write(
        self,
        entity_id: UUID,
        operation: Callable[[EntityWriter], R],
        *,
        repeatable: bool = True,
    ) -> R:
        with self.store.transaction():
            row = self._row(entity_id)
            before = row.copy()
            try:
                return self._operate(MockWriter(row), operation)
            except BaseException:
                row.restore(before)
                raise

    def _after_commit(self, act: Callable[[], None]) -> None:
        self.store.after_commit(act)

    def _row(self, id: UUID) -> EntityRow:
        row = self.store.entities.get(id)
        if row is None or not self._reaches(row):
            raise EntityNotFound
        return row

    def _reaches(self, row: EntityRow) -> bool:
        return self.connection_ids is None or row.connection_id in self.connection_ids
