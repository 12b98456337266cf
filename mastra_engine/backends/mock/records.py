"""Entities, records and change feeds in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import orjson

from mastra_engine.backends.base.records.store import (
    ChangeListener,
    EntityWriter,
    FeedRows,
    RecordStore,
)
from mastra_engine.backends.mock.following import MockListener
from mastra_engine.backends.mock.match import follows, in_order, matches
from mastra_engine.backends.mock.rows import EntityRow, RecordRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.backends.mock.writer import MockWriter
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.filters.ast import Node, Query
from mastra_engine.filters.cursors import Position
from mastra_engine.filters.projection import project
from mastra_engine.types import Entity, Record
from mastra_engine.validation.jsonb import written_size
from mastra_engine.validation.sizes import fitting, page_bytes

R = TypeVar("R")


class MockRecordStore(RecordStore):
    """Rows of the store that engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def find_entity(self, id: UUID) -> Entity:
        with self.store.lock:
            return self._row(id).to_value()

    def find_named_entity(self, name: str, connection_id: str) -> Entity | None:
        entities = self.list_entities(name=name, connection_id=connection_id, limit=1)
        return entities[0] if entities else None

    def list_entities(
        self,
        *,
        name: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        after: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> list[Entity]:
        with self.store.lock:
            entities = [
                row.to_value()
                for row in sorted(self.store.entities.values(), key=_age)
                if name in (None, row.name)
                and connection_id in (None, row.connection_id)
                and (connection_ids is None or row.connection_id in connection_ids)
                and (after is None or _age(row) > after)
            ]
        return entities[:limit]

    def get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        with self.store.lock:
            row, created = self._get_or_create(name, connection_id)
            return row.to_value(), created

    def find_record(self, entity_id: UUID, external_id: str) -> tuple[Entity, Record | None]:
        with self.store.lock:
            entity = self._row(entity_id)
            row = entity.records.get(external_id)
            if row is None or row.deleted_at is not None:
                return entity.to_value(), None
            return entity.to_value(), row.to_value(entity)

    def select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        with self.store.lock:
            row = self.store.entities.get(entity.id)
            records = [] if row is None else [record.to_value(row) for record in row.live()]
        matching = [
            record
            for record in in_order(records, query.sort)
            if matches(query.where, record.data, record)
            and (after is None or follows(record, after, query.sort))
        ]
        end = None if query.limit is None else query.offset + query.limit
        selected = matching[query.offset : end]
        if query.fields is None:
            return selected
        return [replace(record, data=project(record.data, query.fields)) for record in selected]

    def select_page(
        self, entity: Entity, query: Query, after: Position | None, *, limit: int
    ) -> tuple[list[Record], bool]:
        records = self.select_records(entity, replace(query, limit=limit + 1), after)
        sizes = (written_size(orjson.dumps(record.data)) for record in records)
        end = min(limit, fitting(sizes, page_bytes(limit)))
        return records[:end], end < len(records)

    def count_records(self, entity: Entity, where: Node) -> int:
        return len(self.select_records(entity, Query(where=where)))

    def select_changes(self, entity_id: UUID, *, after: int, limit: int) -> FeedRows:
        with self.store.lock:
            entity = self._row(entity_id)
            rows = sorted(
                (row for row in entity.records.values() if row.rev > after),
                key=lambda row: row.rev,
            )
            end = min(limit, fitting(map(_size, rows), page_bytes(limit)))
            changed = [(row.to_value(entity), row.created_rev) for row in rows[:end]]
            has_more = end < len(rows)
            return FeedRows(entity.connection_id, entity.rev, entity.purged_rev, changed, has_more)

    def write(
        self, entity_id: UUID, operation: Callable[[EntityWriter], R], *, repeatable: bool = True
    ) -> R:
        with self.store.transaction():
            return self._write(self._row(entity_id), operation)

    def write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        create: bool,
        repeatable: bool = True,
    ) -> R:
        with self.store.transaction():
            if not create:
                row = self._find_by_name(name, connection_id)
                if row is None:
                    raise EntityNotFound(name=name, connection_id=connection_id)
                return self._write(row, operation)
            row, created = self._get_or_create(name, connection_id)
            try:
                return self._write(row, operation)
            except BaseException:
                if created:
                    del self.store.entities[row.id]
                raise

    def after_commit(self, action: Callable[[], None]) -> None:
        self.store.after_commit(action)

    def change_listener(self, entity_id: UUID) -> ChangeListener:
        return MockListener(self.store, entity_id)

    def wake_followers(self, entity_id: UUID) -> None:
        with self.store.lock:
            for end in self.store.listeners.get(entity_id, ()):
                # A full buffer holds an earlier notification, which is as good as this one.
                with suppress(BlockingIOError):
                    end.send(b"\0")

    def release_connection(self) -> None:
        """Do nothing: there is no connection."""

    def _write(self, row: EntityRow, operation: Callable[[EntityWriter], R]) -> R:
        before = row.copy()
        try:
            with self.store.restoring():
                return operation(MockWriter(self.store, row))
        except BaseException:
            row.restore(before)
            raise

    def _get_or_create(self, name: str, connection_id: str) -> tuple[EntityRow, bool]:
        existing = self._find_by_name(name, connection_id)
        if existing is not None:
            return existing, False
        moment = now()
        row = EntityRow(name, connection_id, created_at=moment, updated_at=moment)
        self.store.entities[row.id] = row
        return row, True

    def _find_by_name(self, name: str, connection_id: str) -> EntityRow | None:
        rows = self.store.entities.values()
        return next(
            (row for row in rows if (row.name, row.connection_id) == (name, connection_id)), None
        )

    def _row(self, id: UUID) -> EntityRow:
        row = self.store.entities.get(id)
        if row is None:
            raise EntityNotFound(id=id)
        return row


def _size(row: RecordRow) -> int:
    """Return the size of a record's document as PostgreSQL writes it."""
    return written_size(row.raw)


def _age(row: EntityRow) -> tuple[datetime, UUID]:
    """Return the key by which entities are ordered."""
    return row.created_at, row.id
