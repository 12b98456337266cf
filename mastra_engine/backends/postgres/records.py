"""Entities, records and change feeds in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Q, QuerySet

from mastra_engine.backends.base.records.store import (
    ChangeListener,
    EntityWriter,
    FeedRows,
    RecordStore,
)
from mastra_engine.backends.postgres.following import PostgresListener
from mastra_engine.backends.postgres.session import RACES, Session
from mastra_engine.backends.postgres.writer import PostgresWriter
from mastra_engine.exceptions import EntityNotFound, Unavailable
from mastra_engine.filters.ast import Node, Query
from mastra_engine.filters.cursors import Position
from mastra_engine.models import Entity as EntityRow
from mastra_engine.postgres import record_reads
from mastra_engine.postgres.channels import notify
from mastra_engine.postgres.locks import lock_entity, lock_named_entity
from mastra_engine.types import Entity, Record

R = TypeVar("R")

#: How many entities a store keeps in mind.
_MAX_KNOWN = 1_000


class KnownEntities:
    """Entities that were read. Their id, name and connection never change.

    They spare a statement of each read by name. Other processes may have deleted them, or a
    transaction that created them was rolled back.
    """

    def __init__(self) -> None:
        self._entities: dict[Any, Entity] = {}

    def add(self, entity: Entity) -> None:
        """Remember an entity, and forget all others if there are too many."""
        if len(self._entities) >= 2 * _MAX_KNOWN:
            self._entities.clear()
        self._entities[entity.id] = self._entities[entity.connection_id, entity.name] = entity

    def by_name(self, name: str, connection_id: str) -> Entity | None:
        """Return the entity of a name and connection, if it is known."""
        return self._entities.get((connection_id, name))

    def by_id(self, id: UUID) -> Entity | None:
        """Return the entity of an id, if it is known."""
        return self._entities.get(id)


class PostgresRecordStore(RecordStore):
    """Records in the engine's tables, in the caller's transaction if there is one."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known_entities = KnownEntities()

    def find_entity(self, id: UUID) -> Entity:
        with self.session.translated():
            entity = record_reads.find_entity(self.session.connection, id)
        if entity is None:
            raise EntityNotFound(id=id)
        self.known_entities.add(entity)
        return entity

    def find_named_entity(self, name: str, connection_id: str) -> Entity | None:
        with self.session.translated():
            entity = record_reads.find_named_entity(self.session.connection, name, connection_id)
        if entity is not None:
            self.known_entities.add(entity)
        return entity

    def known_entity(self, name: str, connection_id: str) -> Entity | None:
        return self.known_entities.by_name(name, connection_id)

    def list_entities(
        self,
        *,
        name: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        after: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> list[Entity]:
        conditions = {
            "name": name,
            "connection_id": connection_id,
            "connection_id__in": connection_ids,
        }
        rows = self._entities().filter(
            **{lookup: value for lookup, value in conditions.items() if value is not None}
        )
        if after is not None:
            created_at, id = after
            rows = rows.filter(Q(created_at__gt=created_at) | Q(created_at=created_at, id__gt=id))
        with self.session.translated():
            return [row.to_value() for row in rows.order_by("created_at", "id")[:limit]]

    def get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        existing = self.find_named_entity(name, connection_id)
        if existing is not None:
            return existing, False
        return self.session.run(lambda: self._create(name, connection_id))

    def find_record(self, entity_id: UUID, external_id: str) -> tuple[Entity, Record | None]:
        known_entity = self.known_entities.by_id(entity_id)
        with self.session.translated():
            entity, record = record_reads.find_record(
                self.session.connection, entity_id, external_id, known_entity
            )
        if entity is None:
            raise EntityNotFound(id=entity_id)
        self.known_entities.add(entity)
        return entity, record

    def select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        with self.session.translated():
            return record_reads.read_records(self.session.connection, entity, query, after)

    def count_records(self, entity: Entity, where: Node) -> int:
        with self.session.translated():
            return record_reads.count_records(self.session.connection, entity, where)

    def select_page(
        self, entity: Entity, query: Query, after: Position | None, *, limit: int
    ) -> tuple[list[Record], bool]:
        with self.session.translated():
            return record_reads.read_page(
                self.session.connection, entity, query, after, limit=limit
            )

    def select_changes(self, entity_id: UUID, *, after: int, limit: int) -> FeedRows:
        with self.session.translated():
            feed = record_reads.read_changes(
                self.session.connection,
                entity_id,
                self.known_entities.by_id(entity_id),
                after=after,
                limit=limit,
            )
        if feed is None:
            raise EntityNotFound(id=entity_id)
        self.known_entities.add(feed.entity)
        return FeedRows(
            feed.entity.connection_id, feed.rev, feed.purged_rev, feed.rows, feed.has_more
        )

    def write(
        self, entity_id: UUID, operation: Callable[[EntityWriter], R], *, repeatable: bool = True
    ) -> R:
        def write() -> R:
            lock_entity(self.session.connection, entity_id)
            writer = self._writer(entity_id)
            if writer is None:
                raise EntityNotFound(id=entity_id)
            return operation(writer)

        return self.session.run(write, repeatable=repeatable)

    def write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        create: bool,
        repeatable: bool = True,
    ) -> R:
        return self.session.run(
            lambda: operation(self._named_writer(name, connection_id, create=create)),
            repeatable=repeatable,
        )

    def after_commit(self, action: Callable[[], None]) -> None:
        self.session.after_commit(action)

    def change_listener(self, entity_id: UUID) -> ChangeListener:
        return PostgresListener(self.session.alias, entity_id)

    def wake_followers(self, entity_id: UUID) -> None:
        with self.session.translated():
            notify(self.session.connection, entity_id)

    def release_connection(self) -> None:
        self.session.rest()

    # Steps

    def _create(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        """Insert the entity, or find the one that another transaction inserted meanwhile."""
        new = EntityRow(name=name, connection_id=connection_id)
        for _ in range(RACES):
            self._entities().bulk_create([new], ignore_conflicts=True)
            row = self._entities().filter(name=name, connection_id=connection_id).first()
            if row is not None:
                return row.to_value(), row.id == new.id
        raise _always_deleted(name, connection_id)

    def _writer(self, id: UUID) -> PostgresWriter | None:
        """Return the writer of a locked entity, or None if the entity was deleted.

        The row is read in a second statement, after the locking one. The snapshot of the locking
        statement is older than its wait, and would not contain the changes of the previous holder.
        """
        row = self._entities().filter(id=id).first()
        return None if row is None else PostgresWriter(self.session.alias, row.to_value())

    def _named_writer(self, name: str, connection_id: str, *, create: bool) -> PostgresWriter:
        """Lock an entity by its name; it may be deleted while the lock is awaited."""
        for _ in range(RACES):
            id = lock_named_entity(self.session.connection, name, connection_id)
            if id is None and not create:
                raise EntityNotFound(name=name, connection_id=connection_id)
            if id is None:
                new = EntityRow(name=name, connection_id=connection_id)
                self._entities().bulk_create([new], ignore_conflicts=True)
            elif (writer := self._writer(id)) is not None:
                return writer
        raise _always_deleted(name, connection_id)

    def _entities(self) -> QuerySet[EntityRow]:
        return EntityRow.objects.using(self.session.alias).all()


def _always_deleted(name: str, connection_id: str) -> Unavailable:
    return Unavailable(
        f"The entity {name!r} of connection {connection_id!r} was deleted by other transactions "
        f"{RACES} times in a row"
    )
