"""Syncs and the change feed in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.syncs import SyncsContract
from mastra_engine.backends.base.writer import EntityWriter
from mastra_engine.backends.postgres.records import PostgresRecords
from mastra_engine.backends.postgres.writer import PostgresWriter
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.models import Record as RecordRow
from mastra_engine.postgres.errors import translated
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
        track: bool,
        repeatable: bool,
    ) -> R:
        def write() -> R:
            entity, _ = self._get_or_create_entity(name, connection_id)
            return operation(PostgresWriter(self.session.alias, entity.id, track=track))

        return self.session.run(write, repeatable=repeatable)

    def _select_changes(
        self, entity_id: UUID, after: int, limit: int
    ) -> tuple[int, list[tuple[Record, int]]]:
        with translated():
            # The entity is read first: a purge in between then shows as one row too few above
            # the old mark at worst, and as an expired cursor on the next call.
            entity = self._entities().filter(id=entity_id).first()
            if entity is None:
                raise EntityNotFound
            rows = RecordRow.objects.using(self.session.alias).filter(entity_id=entity_id)
            rows = rows.filter(rev__gt=after).order_by("rev")[:limit]
            changed = [(row.to_value(entity.name), row.created_rev) for row in rows]
        return entity.purged_rev, changed
