"""What somebody knows of an entity who is told of it only by its change feed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from mastra_engine.types import Change


class View:
    """The entity as it was told, change by change."""

    def __init__(self) -> None:
        self.revs: list[int] = []
        self.live: dict[str, Any] = {}
        self.deleted: set[str] = set()

    def apply(self, change: Change) -> None:
        self.revs.append(change.rev)
        id = change.record.external_id
        if change.action == "deleted":
            self.live.pop(id, None)
            self.deleted.add(id)
        else:
            # Added or not: what was made, and changed before it was told of, is told as updated.
            self.live[id] = change.record.data
            self.deleted.discard(id)

    def assert_is_all_of(self, entity_id: UUID) -> None:
        """Compare it with the table, and see that nothing was told twice."""
        from mastra_engine.models import Record

        rows = Record.objects.filter(entity_id=entity_id)
        assert self.live == dict(rows.live().values_list("external_id", "data"))
        tombstones = rows.exclude(deleted_at=None)
        assert self.deleted == set(tombstones.values_list("external_id", flat=True))
        assert self.revs == sorted(set(self.revs))
