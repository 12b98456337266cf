"""Writes to one entity's rows."""

from __future__ import annotations

from dataclasses import replace

from uuid_utils.compat import uuid7

from mastra_engine import failpoints
from mastra_engine.backends.base.records.chunks import Chunk
from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.backends.base.records.store import EntityWriter
from mastra_engine.backends.mock.rows import EntityRow, RecordRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.types import Entity, FactSource, UpsertResult
from mastra_engine.validation.jsonb import canonical, loads


class MockWriter(EntityWriter):
    """Writes to a row, which the record store restores from a copy after an exception."""

    def __init__(self, store: Store, row: EntityRow) -> None:
        self.store = store
        self.row = row
        self.entity = row.to_value()
        self.now = now()

    @property
    def rev(self) -> int:  # type: ignore[override]
        return self.row.rev

    def put(self, chunk: Chunk, *, merge: bool = False) -> UpsertResult:
        created = updated = 0
        for external_id in sorted(chunk):
            old = self.row.records.get(external_id)
            raw = chunk[external_id]
            if old is None or old.deleted_at is not None:
                self._create(external_id, raw, old)
                created += 1
            else:
                raw = _merged(old.raw, raw) if merge else raw
                updated += self._update(old, raw)
        failpoints.hit("records_copied")
        failpoints.hit("records_updated")
        return UpsertResult(
            created=created, updated=updated, unchanged=len(chunk) - created - updated
        )

    def live(self) -> int:
        return len(self.row.live())

    def unseen(self, seen: SeenRevisions) -> list[str]:
        unchanged = seen.unchanged()
        return sorted(
            row.external_id
            for row in self.row.live()
            if row.rev <= seen.start and row.rev not in unchanged
        )

    def delete(self, external_ids: list[str]) -> int:
        live = {row.external_id: row for row in self.row.live()}
        ids = sorted(set(external_ids) & live.keys())
        for external_id in ids:
            self._store(live[external_id], deleted_at=self.now)
        self.store.delete_sources([FactSource(record_id=live[id].id) for id in ids])
        return len(ids)

    def purge(self, up_to_rev: int) -> int:
        tombstones = [
            row
            for row in self.row.records.values()
            if row.deleted_at is not None and row.rev <= up_to_rev
        ]
        for row in tombstones:
            del self.row.records[row.external_id]
            self.row.purged_rev = max(self.row.purged_rev, row.rev)
        return len(tombstones)

    def set_cursor(self, last_sync_id: str) -> None:
        if self.row.last_sync_id != last_sync_id:
            self.row.last_sync_id = last_sync_id
            self.row.updated_at = self.now

    def delete_entity(self) -> None:
        id = self.entity.id
        del self.store.entities[id]
        records = self.row.records.values()
        self.store.delete_sources([FactSource(record_id=record.id) for record in records])
        for run in [row.run for row in self.store.runs.values() if row.run.entity_id == id]:
            del self.store.runs[run.id]
        for key, sync in list(self.store.syncs.items()):
            if sync.entity_id == id:
                del self.store.syncs[key]
        for index in self.store.indexes.values():
            index.index_progress.pop(id, None)

    def result(self) -> Entity:
        return self.row.to_value()

    def _create(self, external_id: str, raw: bytes, tombstone: RecordRow | None) -> None:
        rev = self._next_rev()
        self.row.records[external_id] = RecordRow(
            id=uuid7() if tombstone is None else tombstone.id,
            external_id=external_id,
            raw=raw,
            rev=rev,
            created_rev=rev,
            created_at=self.now,
            updated_at=self.now,
        )

    def _update(self, old: RecordRow, raw: bytes) -> bool:
        if changed := raw != old.raw:
            self._store(old, raw=raw)
        elif self.seen is not None:
            self.seen.add([old.rev])
        return changed

    def _store(self, old: RecordRow, **changes: object) -> None:
        row = replace(old, rev=self._next_rev(), updated_at=self.now, **changes)  # type: ignore[arg-type]
        self.row.records[row.external_id] = row

    def _next_rev(self) -> int:
        self.row.rev += 1
        self.row.updated_at = self.now
        return self.row.rev


def _merged(old: bytes, new: bytes) -> bytes:
    return canonical({**loads(old), **loads(new)})
