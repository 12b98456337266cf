"""Writes to one entity, under its lock, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from django.db import connections
from django.db.models import Max, QuerySet

from mastra_engine import failpoints
from mastra_engine.backends.base.records.chunks import Chunk
from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.backends.base.records.store import EntityWriter
from mastra_engine.models import Entity as EntityRow
from mastra_engine.models import Record as RecordRow
from mastra_engine.models.records import RecordQuerySet
from mastra_engine.postgres.bulk import EntityRecords, Row
from mastra_engine.types import Entity, UpsertResult
from mastra_engine.validation.inputs import CHUNK_RECORDS
from mastra_engine.validation.jsonb import canonical, content_hash, loads


class PostgresWriter(EntityWriter):
    """Writes to an entity that was read under its lock, within a transaction."""

    def __init__(self, alias: str, entity: Entity) -> None:
        self.alias = alias
        self.entity = entity
        self.rev = entity.rev
        self.table = EntityRecords(connections[alias], entity.id)
        self._last_sync_id = entity.last_sync_id
        self._updated_at = entity.updated_at

    def put(self, chunk: Chunk, *, merge: bool = False) -> UpsertResult:
        if merge:
            chunk = self._merged(chunk)
        hashes = {external_id: content_hash(raw) for external_id, raw in chunk.items()}
        differing, unchanged = self.table.compared(hashes, unchanged=self.seen is not None)
        if self.seen is not None:
            self.seen.add(unchanged)
        new: list[Row] = []
        changed: list[Row] = []
        revs = self._next_revs(len(differing))
        for rev, (external_id, _, exists) in zip(revs, differing, strict=True):
            row = Row(external_id, chunk[external_id], hashes[external_id], rev)
            (changed if exists else new).append(row)
        self.table.copy(new)
        failpoints.hit("records_copied")
        self.table.update(changed)
        failpoints.hit("records_updated")
        created = sum(not difference.live for difference in differing)
        return UpsertResult(
            created=created,
            updated=len(differing) - created,
            unchanged=len(chunk) - len(differing),
        )

    def live(self) -> int:
        return self._records().live().count()

    def unseen(self, seen: SeenRevisions) -> list[str]:
        return self.table.unseen(seen.start, *seen.compressed())

    def delete(self, external_ids: list[str]) -> int:
        return sum(self._delete(ids) for ids in _batches(external_ids))

    def purge(self, up_to_rev: int) -> int:
        tombstones = self._records().filter(deleted_at__isnull=False, rev__lte=up_to_rev)
        last = tombstones.aggregate(last=Max("rev"))["last"]
        if last is None:
            return 0
        self._entity().update(purged_rev=last)
        return tombstones.delete()[0]

    def set_cursor(self, last_sync_id: str) -> None:
        if self._last_sync_id != last_sync_id:
            self._updated_at = self.table.set_cursor(last_sync_id)
            self._last_sync_id = last_sync_id

    def delete_entity(self) -> None:
        # Foreign keys delete its records, sync runs and index progress.
        self._entity().delete()

    def result(self) -> Entity:
        return replace(
            self.entity,
            rev=self.rev,
            last_sync_id=self._last_sync_id,
            updated_at=self._updated_at,
        )

    def _next_revs(self, number: int) -> range:
        if not number:
            return range(0)
        revs, self._updated_at = self.table.next_revs(number)
        self.rev = revs.stop - 1
        return revs

    def _entity(self) -> QuerySet[EntityRow]:
        return EntityRow.objects.using(self.alias).filter(id=self.entity.id)

    def _records(self) -> RecordQuerySet:
        return RecordRow.objects.using(self.alias).filter(entity_id=self.entity.id)

    def _merged(self, chunk: Chunk) -> Chunk:
        """Merge a chunk with the stored documents, which cannot change while the lock is held.

        They are merged in Python because the content hash is that of the merged document.
        """
        stored = self.table.documents(chunk)
        merged = {
            external_id: canonical({**loads(stored[external_id]), **loads(raw)})
            for external_id, raw in chunk.items()
            if external_id in stored
        }
        return {**chunk, **merged}

    def _delete(self, external_ids: list[str]) -> int:
        live = self._records().live().filter(external_id__in=external_ids)
        ids = live.order_by("external_id").values_list("external_id", flat=True)
        self.table.bury(dict(zip(ids, self._next_revs(len(ids)), strict=True)))
        return len(ids)


def _batches(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), CHUNK_RECORDS):
        yield items[start : start + CHUNK_RECORDS]
