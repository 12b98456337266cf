"""Entities and records in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from mastra_engine.backends.base.records.service import RecordsContract
from mastra_engine.backends.base.records.writer import EntityWriter
from mastra_engine.backends.postgres.session import RACES, Session
from mastra_engine.backends.postgres.writer import PostgresWriter
from mastra_engine.exceptions import EntityNotFound, Unavailable
from mastra_engine.filters.ast import ALL, Query
from mastra_engine.filters.cursors import Position
from mastra_engine.models import Entity as EntityRow
from mastra_engine.models import Record as RecordRow
from mastra_engine.postgres.expressions import following, matching, ordering
from mastra_engine.types import Entity, Record

R = TypeVar("R")


class PostgresRecords(RecordsContract):
    """Records over the tables, in the caller's transaction if there is one."""

    session: Session

    def _get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        found = self._list_entities(name, connection_id, after=None, limit=1)
        if found:
            return found[0], False
        return self.session.run(lambda: self._made(name, connection_id))

    def _made(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        """Make the entity, or find the one that somebody else made in the meantime."""
        new = EntityRow(name=name, connection_id=connection_id)
        for _ in range(RACES):
            self._entities().bulk_create([new], ignore_conflicts=True)
            row = self._entities().filter(name=name, connection_id=connection_id).first()
            if row is not None:
                return row.to_value(), row.id == new.id
        raise Unavailable("The entity is made and deleted by others all the time")

    def _get_entity(self, id: UUID) -> Entity:
        with self.session.translated():
            row = self._entities().filter(id=id).first()
        if row is None:
            raise EntityNotFound
        return row.to_value()

    def _list_entities(
        self, name: str | None, connection_id: str | None, *, after: UUID | None, limit: int
    ) -> list[Entity]:
        wanted = {"name": name, "connection_id": connection_id, "id__gt": after}
        rows = self._entities().filter(
            **{column: value for column, value in wanted.items() if value is not None}
        )
        with self.session.translated():
            return [row.to_value() for row in rows.order_by("id")[:limit]]

    def _delete_entity(self, id: UUID) -> Entity:
        return self._write(id, self._delete_locked)

    def _delete_locked(self, writer: EntityWriter) -> Entity:
        # The database deletes what hangs on it.
        self._entities().filter(id=writer.entity.id).delete()
        return writer.entity

    def _select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        rows = RecordRow.objects.using(self.session.alias).filter(entity_id=entity.id).live()
        if query.where != ALL:
            rows = rows.filter(matching(query.where))
        if after is not None:
            rows = rows.filter(following(after, query.sort))
        rows = rows.order_by(*ordering(query.sort), "external_id")
        end = None if query.limit is None else query.offset + query.limit
        with self.session.translated():
            return [row.to_value(entity.name) for row in rows[query.offset : end]]

    def _write(
        self,
        entity_id: UUID,
        operation: Callable[[EntityWriter], R],
        *,
        repeatable: bool = True,
    ) -> R:
        def write() -> R:
            writer = PostgresWriter(self.session.alias, entity_id)
            self._own_connection(writer.entity.connection_id)
            return self._operate(writer, operation)

        return self.session.run(write, repeatable=repeatable)

    def _after_commit(self, act: Callable[[], None]) -> None:
        self.session.after_commit(act)

    def _entities(self) -> QuerySet[EntityRow]:
        """The entities within reach: every one, unless the engine is confined."""
        rows = EntityRow.objects.using(self.session.alias)
        if self.connection_ids is None:
            return rows.all()
        return rows.filter(connection_id__in=self.connection_ids)
