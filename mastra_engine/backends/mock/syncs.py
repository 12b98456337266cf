"""Syncs and the change feed in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.records.syncs import SyncsContract
from mastra_engine.backends.base.records.writer import EntityWriter
from mastra_engine.backends.mock.records import MockRecords
from mastra_engine.types import Record

R = TypeVar("R")


class MockSyncs(MockRecords, SyncsContract):
    """Syncs over the mock's records."""

    def _write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        repeatable: bool,
    ) -> R:
        with self.store.transaction():
            entity, created = self._get_or_create_entity(name, connection_id)
            try:
                return self._write(entity.id, operation)
            except BaseException:
                if created:
                    self._delete_entity(entity.id)
                raise

    def _select_changes(
        self, entity_id: UUID, after: int, limit: int
    ) -> tuple[int, list[tuple[Record, int]]]:
        with self.store.lock:
            entity = self._row(entity_id)
            rows = sorted(
                (row for row in entity.records.values() if row.rev > after),
                key=lambda row: row.rev,
            )
            changed = [(row.to_value(entity), row.created_rev) for row in rows[:limit]]
            return entity.purged_rev, changed
