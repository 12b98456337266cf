"""Named places in the write paths where fault tests stop, kill or break a process.

Nothing here does anything in production: `reached` is a call to a function that returns.
"""

from __future__ import annotations

from collections.abc import Callable

RECORD_FAILPOINTS = (
    "sync_locked",
    "records_copied",
    "records_updated",
    "sync_before_deletions",
    "sync_before_cursor",
    "sync_before_commit",
)
MEMORY_FAILPOINTS = (
    "thread_made",
    "messages_deleted",
    "thread_deleted",
    "embeddings_made",
    "embeddings_stored",
)
#: What a declared sync comes by beside the writing of its pages.
SYNC_RUN_FAILPOINTS = (
    "run_claimed",
    "run_before_deletions",
    "run_page_written",
    "run_page_fenced",
    "run_page_committed",
)

#: What acting once comes by.
IDEMPOTENCY_FAILPOINTS = ("acted", "response_stored")

#: What an indexer comes by.
INDEX_FAILPOINTS = (
    "progress_claimed",
    "chunks_embedded",
    "chunks_deleted",
    "chunks_stored",
    "progress_moved",
)


def _nothing(name: str) -> None:
    return None


#: Replaced by a fault test, in its own process.
handler: Callable[[str], None] = _nothing


def hit(name: str) -> None:
    """Tell the test, if any, that the write path is at `name`."""
    handler(name)
