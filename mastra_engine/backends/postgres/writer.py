"""Writes to one entity, under its lock, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.db import connections
from django.db.models import Max, QuerySet
from django.db.models.functions import Now

from mastra_engine import failpoints
from mastra_engine.backends.base.records.writer import Chunk, EntityWriter, SeenRevisions
from mastra_engine.exceptions import EntityNotFound
from mastra_engine.models import Entity as EntityRow
from mastra_engine.models import Record as RecordRow
from mastra_engine.models.records import RecordQuerySet
from mastra_engine.postgres.bulk import EntityRecords, Row
from mastra_engine.postgres.locks import lock_entity
from mastra_engine.types import Entity, UpsertResult
from mastra_engine.validation.inputs import CHUNK_RECORDS
from mastra_engine.validation.jsonb import canonical, content_hash, loads


class PostgresWriter(EntityWriter):
    """Takes the entity's lock on construction; raises EntityNotFound when it is gone by then."""

    def __init__(self, alias: str, entity_id: UUID) -> None:
        self.alias = alias
        lock_entity(connections[alias], entity_id)
        self.table = EntityRecords(connections[alias], entity_id)
        row = EntityRow.objects.using(alias).filter(id=entity_id).first()
        if row is None:
            raise EntityNotFound
        self.entity = row.to_value()
        self.rev = self.entity.rev

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
        for rev, (external_id, _, known) in zip(revs, differing, strict=True):
            row = Row(external_id, chunk[external_id], hashes[external_id], rev)
            (changed if known else new).append(row)
        self.table.copy(new)
        failpoints.hit("records_copied")
        self.table.update(changed)
        failpoints.hit("records_updated")
        created = sum(not each.live for each in differing)
        return UpsertResult(
            created=created,
            updated=len(differing) - created,
            unchanged=len(chunk) - len(differing),
        )

    def live(self) -> int:
        return self._records().live().count()

    def unseen(self, seen: SeenRevisions) -> list[str]:
        return self.table.unseen(seen.start, bytes(seen.bits))

    def delete(self, external_ids: list[str]) -> int:
        return sum(self._delete(ids) for ids in _batches(external_ids))

    def purge(self, up_to_rev: int) -> int:
        gone = self._records().filter(deleted_at__isnull=False, rev__lte=up_to_rev)
        last = gone.aggregate(last=Max("rev"))["last"]
        if last is None:
            return 0
        self._entity().update(purged_rev=last)
        return gone.delete()[0]

    def set_cursor(self, last_sync_id: str) -> None:
        if self.entity.last_sync_id != last_sync_id:
            self._entity().update(last_sync_id=last_sync_id, updated_at=Now())

    def result(self) -> Entity:
        return self._entity().get().to_value()

    def _next_revs(self, number: int) -> range:
        revs = self.table.next_revs(number)
        self.rev = max(self.rev, revs.stop - 1)
        return revs

    def _entity(self) -> QuerySet[EntityRow]:
        return EntityRow.objects.using(self.alias).filter(id=self.entity.id)

    def _records(self) -> RecordQuerySet:
        return RecordRow.objects.using(self.alias).filter(entity_id=self.entity.id)

    def _merged(self, chunk: Chunk) -> Chunk:
        """Merge with what is stored; under the lock nobody can change it meanwhile.

        It happens here rather than in SQL because the content hash is of the merged document.
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
        doomed = live.order_by("external_id").values_list("external_id", flat=True)
        self.table.bury(dict(zip(doomed, self._next_revs(len(doomed)), strict=True)))
        return len(doomed)


def _batches(items: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(items), CHUNK_RECORDS):
        yield items[start : start + CHUNK_RECORDS]
