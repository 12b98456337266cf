"""Values of declared syncs and their runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from mastra_engine.types.records import SyncMode

RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
SyncStatus = Literal["idle", "queued", "running", "paused", "failed"]
#: A sync has at most one run with one of these statuses per connection.
ACTIVE: tuple[RunStatus, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress that a sync reports; `total` is None while it is unknown."""

    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncError:
    """The exception that made a run fail: its type, its redacted message and its place.

    `place` is the innermost "module:function:line" in the sync's own module, or None.
    """

    type: str
    message: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of a declared sync on a connection.

    The counts are the sums over its committed pages. `start_rev` is the entity's revision when the
    run started, so `get_changes(after=run.start_rev)` returns the run's changes. The lease expires
    at `lease_expires_at` unless the worker renews it.
    """

    id: UUID
    sync: str
    connection_id: str
    entity_id: UUID
    entity: str
    mode: SyncMode
    status: RunStatus
    params: dict[str, Any]
    checkpoint: Any
    progress: Progress | None
    pages: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    attempts: int
    error: SyncError | None
    start_rev: int | None
    lease_expires_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """A declared sync of one connection, which its runs belong to.

    `checkpoint` is the state that the next incremental run with the parameters of the last run
    resumes from. `status` is `paused`, that of the active run, `failed` if the last run failed,
    and otherwise `idle`.
    """

    sync: str
    connection_id: str
    entity_id: UUID
    entity: str
    mode: SyncMode
    status: SyncStatus
    checkpoint: Any
    last_run_id: UUID | None
    last_succeeded_at: datetime | None
    paused_at: datetime | None
    created_at: datetime
    updated_at: datetime


def sync_status(*, paused: bool, last_status: str | None) -> SyncStatus:
    """Return the status of a sync, given that of its last run."""
    if paused:
        return "paused"
    if last_status in ("queued", "running", "failed"):
        return cast(SyncStatus, last_status)
    return "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLogLine:
    """A line that a sync wrote with `ctx.log`: its level, and its message without secrets."""

    at: datetime
    level: str
    message: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPage:
    """One committed page of a run: its counts, its attempt and the checkpoint after it."""

    number: int
    attempt: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    checkpoint: Any
    committed_at: datetime
