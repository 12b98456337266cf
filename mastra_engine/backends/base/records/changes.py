"""The change feed of an entity as its readers see it."""

from __future__ import annotations

from mastra_engine.backends.base.records.store import FeedRows
from mastra_engine.exceptions import CursorExpired
from mastra_engine.types import Action, Change, Changes, Record

_AHEAD = (
    "after is {after}, but the entity is at revision {rev}: the database may have been restored "
    "from an older backup; read all records again"
)


def changes_of(feed: FeedRows, *, after: int, read_up_to: int) -> Changes:
    """Return rows of a change feed as the changes after the `rev` `after`.

    Tombstones up to the `rev` `read_up_to` are known to the reader. Raises CursorExpired if later
    ones were purged, or if `after` is ahead of the entity's `rev`.
    """
    if after > feed.rev:
        raise CursorExpired(_AHEAD.format(after=after, rev=feed.rev), after=after)
    if after and read_up_to < feed.purged_rev:
        raise CursorExpired(after=after, purged=feed.purged_rev)
    items = [_change(record, created, after) for record, created in feed.rows]
    end = items[-1].rev if items else after
    if items and not feed.has_more:  # a reader at the end does not miss the purged tombstones
        end = max(end, feed.purged_rev)
    return Changes(items=items, next=end, more=feed.has_more, purged=feed.purged_rev)


def _change(record: Record, created_rev: int, after: int) -> Change:
    if record.deleted_at is not None:
        return Change(action="deleted", record=record, rev=record.rev)
    action: Action = "added" if created_rev > after else "updated"
    return Change(action=action, record=record, rev=record.rev)
