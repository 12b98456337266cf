"""The writes of a sync: records, deletions and the cursor."""

from __future__ import annotations

from dataclasses import dataclass

from mastra_engine import failpoints
from mastra_engine.backends.base.records.chunks import Chunks
from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.backends.base.records.store import EntityWriter
from mastra_engine.exceptions import SyncAborted, SyncConflict, quoted
from mastra_engine.types import SyncResult, SyncRun, Unset, UpsertResult


@dataclass(frozen=True, slots=True)
class SyncWrite:
    """The validated arguments of `sync_records`, and the writes that they ask for."""

    chunks: Chunks
    expected: str | Unset | None
    cursor: str | None
    full: bool
    ratio: float | None
    allow_empty: bool

    def run(self, writer: EntityWriter) -> SyncResult:
        """Write everything in the writer's transaction; raises SyncConflict and SyncAborted."""
        failpoints.hit("sync_locked")
        stored = writer.entity.last_sync_id
        if not isinstance(self.expected, Unset) and stored != self.expected:
            raise SyncConflict(f"The stored sync cursor is {stored!r}, not if_last_sync_id")
        writer.seen = SeenRevisions(writer.entity.rev) if self.full else None
        live = writer.live() if self.ratio is not None else 0
        chunks = self.chunks.of(writer.entity.name)
        written = sum((writer.put(chunk) for chunk in chunks), UpsertResult())
        if self.full and not (self.allow_empty or self.chunks.sized or any_records(written)):
            refuse_to_empty(writer, remedy="pass allow_empty=True")
        failpoints.hit("sync_before_deletions")
        deleted = delete_unseen(writer, writer.seen, ratio=self.ratio, live=live)
        failpoints.hit("sync_before_cursor")
        if self.cursor is not None:
            writer.set_cursor(self.cursor)
        failpoints.hit("sync_before_commit")
        return SyncResult(
            entity=writer.result(),
            created=written.created,
            updated=written.updated,
            unchanged=written.unchanged,
            deleted=deleted,
        )


def delete_unseen(
    writer: EntityWriter, seen: SeenRevisions | None, *, ratio: float | None, live: int
) -> int:
    """Delete the live records that a full sync has not seen, and return how many there were.

    Raises SyncAborted if they are more than `ratio` of the `live` records there were before.
    """
    if seen is None:
        return 0
    unseen = writer.unseen(seen)
    if ratio is not None and len(unseen) > ratio * live:
        raise SyncAborted(
            f"{len(unseen)} of {live} records would be deleted, more than {ratio:.0%}; "
            "nothing was changed"
        )
    return writer.delete(unseen)


def any_records(written: UpsertResult | SyncRun) -> bool:
    """Return whether a sync has read any record, changed or not."""
    return bool(written.created or written.updated or written.unchanged)


def refuse_to_empty(writer: EntityWriter, *, remedy: str) -> None:
    """Raise SyncAborted for a full sync without records if the entity has live records."""
    if live := writer.live():
        raise SyncAborted(
            f"The full sync of the entity {quoted(writer.entity.name)} has no records and would "
            f"delete all {live} live records; nothing was changed. If the source is really empty, "
            f"{remedy}"
        )
