"""The contract of syncs and of the change feed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TypeVar
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.records.service import RecordsContract
from mastra_engine.backends.base.records.writer import Chunks, EntityWriter, SeenRevisions
from mastra_engine.exceptions import CursorExpired, SyncAborted, SyncConflict
from mastra_engine.types import (
    UNSET,
    Action,
    Change,
    Changes,
    Record,
    RecordLike,
    SyncMode,
    SyncResult,
    Unset,
    UpsertResult,
)
from mastra_engine.validation.inputs import choice, count, delete_ratio, full_name, text, uuid

R = TypeVar("R")


class SyncsContract(RecordsContract, ABC):
    """Bringing an outside system's records in, and telling others what changed."""

    def sync_records(
        self,
        *,
        name: str,
        connection_id: str,
        records: Iterable[RecordLike],
        last_sync_id: str | None = None,
        if_last_sync_id: str | Unset | None = UNSET,
        mode: SyncMode = "incremental",
        max_delete_ratio: float | None = None,
    ) -> SyncResult:
        """Write records, deletions, sync cursor and `rev` in one transaction; make the entity.

        `mode="full"` takes `records` for the complete set: whatever else is live becomes a
        tombstone, unless that is more than `max_delete_ratio` (0 to 1) of the live records, which
        raises SyncAborted. `last_sync_id` is stored when given; `if_last_sync_id` is what must be
        stored now, None for nothing, else SyncConflict. Whatever is raised, nothing has changed.
        """
        full = choice(mode, "/mode", "incremental", "full") == "full"
        ratio = delete_ratio(max_delete_ratio, full=full)
        cursor = None if last_sync_id is None else text(last_sync_id, "/last_sync_id")
        expected = if_last_sync_id
        if not (expected is None or isinstance(expected, Unset)):
            text(expected, "/if_last_sync_id")
        entity_name, connection = full_name(name, connection_id)
        self._own_connection(connection)
        chunks = Chunks(records, entity_type=entity_name)

        def sync(writer: EntityWriter) -> SyncResult:
            failpoints.hit("sync_locked")
            if not isinstance(expected, Unset) and writer.entity.last_sync_id != expected:
                raise SyncConflict
            writer.seen = SeenRevisions(writer.entity.rev) if full else None
            live = writer.live() if ratio is not None else 0
            written = sum((writer.put(chunk) for chunk in chunks), start=UpsertResult())
            failpoints.hit("sync_before_deletions")
            deleted = delete_unseen(writer, writer.seen, ratio=ratio, live=live)
            failpoints.hit("sync_before_cursor")
            if cursor is not None:
                writer.set_cursor(cursor)
            failpoints.hit("sync_before_commit")
            return SyncResult(
                entity=writer.result(),
                created=written.created,
                updated=written.updated,
                unchanged=written.unchanged,
                deleted=deleted,
            )

        return self._write_named(entity_name, connection, sync, repeatable=chunks.repeatable)

    def get_changes(
        self, *, entity_id: UUID | str, after: int = 0, limit: int = 1000, purged: int = 0
    ) -> Changes:
        """Return the records that changed since `rev` `after`, in their latest state, by `rev`.

        Following `after=changes.next` shows the final state of every record, whatever commits
        late. Raises EntityNotFound, and CursorExpired when tombstones above `after` were purged. A
        reader from 0 has nothing to forget; it stays one by `purged=changes.purged`, of the page
        before, for then only what is purged meanwhile counts.
        """
        after = count(after, "/after")
        limit = count(limit, "/limit", least=1)
        known = max(after, count(purged, "/purged"))
        mark, rows = self._select_changes(uuid(entity_id, "/entity_id"), after, limit + 1)
        if after and known < mark:
            raise CursorExpired
        items = [_change(record, created_rev, after) for record, created_rev in rows[:limit]]
        more = len(rows) > limit
        end = items[-1].rev if items else after
        if items and not more:  # whoever has read all there is need not come by what is purged
            end = max(end, mark)
        return Changes(items=items, next=end, more=more, purged=mark)

    async_records = derive_async(sync_records)
    aget_changes = derive_async(get_changes)

    # What a backend implements

    @abstractmethod
    def _write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        repeatable: bool,
    ) -> R:
        """Like `_write`, making the entity when there is none."""

    @abstractmethod
    def _select_changes(
        self, entity_id: UUID, after: int, limit: int
    ) -> tuple[int, list[tuple[Record, int]]]:
        """Return the purged `rev`, and records with their creation's `rev`, tombstones too.

        Where there are records, both are of one moment.
        """


def delete_unseen(
    writer: EntityWriter, seen: SeenRevisions | None, *, ratio: float | None, live: int
) -> int:
    """End a full sync by its deletions; raises SyncAborted beyond `ratio` of `live` records."""
    if seen is None:
        return 0
    unseen = writer.unseen(seen)
    if ratio is not None and len(unseen) > ratio * live:
        raise SyncAborted(
            f"{len(unseen)} of {live} records would be deleted, more than {ratio:.0%}; "
            "nothing was changed"
        )
    return writer.delete(unseen)


def _change(record: Record, created_rev: int, after: int) -> Change:
    if record.deleted_at is not None:
        return Change(action="deleted", record=record, rev=record.rev)
    action: Action = "added" if created_rev > after else "updated"
    return Change(action=action, record=record, rev=record.rev)
