"""Syncs and the change feed in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from uuid import UUID

from django.db.models import Subquery

from mastra_engine.backends.base.records.syncs import SyncsContract
from mastra_engine.backends.base.records.writer import EntityWriter
from mastra_engine.backends.postgres.records import PostgresRecords
from mastra_engine.backends.postgres.session import RACES
from mastra_engine.backends.postgres.writer import PostgresWriter
from mastra_engine.exceptions import EntityNotFound, Unavailable
from mastra_engine.models import Record as RecordRow
from mastra_engine.types import Record

R = TypeVar("R")


class PostgresSyncs(PostgresRecords, SyncsContract):
    """Syncs over the same tables."""

    def _write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        repeatable: bool,
    ) -> R:
        def write() -> R:
            return self._operate(self._writer(name, connection_id), operation)

        return self.session.run(write, repeatable=repeatable)

    def _writer(self, name: str, connection_id: str) -> PostgresWriter:
        """Lock the entity; one that is deleted before the lock is there is made anew."""
        for _ in range(RACES):
            entity, _ = self._get_or_create_entity(name, connection_id)
            with suppress(EntityNotFound):
                return PostgresWriter(self.session.alias, entity.id)
        raise Unavailable("The entity is deleted by others all the time")

    def _select_changes(
        self, entity_id: UUID, after: int, limit: int
    ) -> tuple[int, list[tuple[Record, int]]]:
        rows = RecordRow.objects.using(self.session.alias).filter(entity_id=entity_id)
        entities = self._entities().filter(id=entity_id)
        changed = rows.filter(rev__gt=after).annotate(
            purged=Subquery(entities.values("purged_rev"))
        )
        with self.session.translated():
            found = list(changed.order_by("rev")[:limit])
            # Read last, so that what a purge took from the rows shows in the mark it left.
            entity = entities.first()
        if entity is None:
            raise EntityNotFound
        purged: int = found[0].purged if found else entity.purged_rev  # type: ignore[attr-defined]
        return purged, [(row.to_value(entity.name), row.created_rev) for row in found]
