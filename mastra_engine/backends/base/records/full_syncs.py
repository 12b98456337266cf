"""The deletions that end a full sync."""

from __future__ import annotations

from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.backends.base.records.store import EntityWriter
from mastra_engine.exceptions import SyncAborted


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
