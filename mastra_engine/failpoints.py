"""Failpoints: named places in the write paths where fault tests stop, kill or break a process.

In production `hit` calls a function that does nothing.
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
    "vectors_deleted",
    "messages_deleted",
    "thread_deleted",
    "embeddings_made",
    "embeddings_stored",
)
#: The failpoints of declared syncs, in addition to those of writing records.
SYNC_RUN_FAILPOINTS = (
    "run_claimed",
    "run_before_deletions",
    "run_page_written",
    "run_page_fenced",
    "run_page_committed",
)

#: The failpoints of idempotent requests.
IDEMPOTENCY_FAILPOINTS = ("acted", "response_stored")

#: The failpoints of facts.
FACT_FAILPOINTS = (
    "facts_written",
    "facts_indexed",
    "messages_claimed",
    "facts_extracted",
    "messages_read",
)

#: The failpoints of the indexer of records.
INDEX_FAILPOINTS = (
    "progress_claimed",
    "chunks_embedded",
    "chunks_deleted",
    "chunks_stored",
    "progress_moved",
)

#: The failpoints of agent state.
STATE_FAILPOINTS = ("state_written", "state_indexed")

#: The failpoint of an upgrade, after each batch of documents.
UPGRADE_FAILPOINTS = ("words_added",)


def _do_nothing(name: str) -> None:
    return None


#: The function that `hit` calls. A fault test replaces it in its own process.
handler: Callable[[str], None] = _do_nothing


def hit(name: str) -> None:
    """Call the handler with the name of the failpoint that the write path has come to."""
    handler(name)
