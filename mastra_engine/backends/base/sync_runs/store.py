"""The storage of the runs of declared syncs, which a backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mastra_engine.types import (
    RunStatus,
    Sync,
    SyncLogLine,
    SyncMode,
    SyncPage,
    SyncRun,
    SyncStatus,
)

Advanced = Literal["advanced", "paused", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be queued."""

    sync: str
    connection_id: str
    entity_id: UUID
    mode: SyncMode
    params: dict[str, Any]
    #: Whether it begins at the checkpoint that the sync has for these parameters.
    resume: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPage:
    """The counts of a page of a run.

    In a full run, `unchanged_revs` are the packed revisions of the records that the page left
    unchanged; a worker that takes over needs them to tell which records the source still has.
    """

    created: int
    updated: int
    unchanged: int
    deleted: int
    unchanged_revs: bytes | None


@dataclass(frozen=True, slots=True)
class FromNow:
    """A time in seconds from now, by the clock of the store, which all workers share."""

    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """The condition under which a run is updated; None for a field allows any value."""

    status: RunStatus
    token: UUID | None = None
    lease: Literal["alive", "expired"] | None = None


class RunStore(ABC):
    """The runs of one engine. Changes within a write operation commit together with it."""

    @abstractmethod
    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        """Queue a run, or return None if its sync and connection have an active one.

        The row of the sync is created if it does not exist, and locked: it has the checkpoint. Of
        the runs of the sync and connection, the newest `keep` stay, and the newest of each set of
        parameters. Raises SyncPaused, and EntityNotFound if the entity was deleted.
        """

    @abstractmethod
    def list_syncs(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        status: SyncStatus | None = None,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Sync]:
        """Return syncs that match every argument, ordered by name and connection.

        `after` is the name and the connection of a sync.
        """

    @abstractmethod
    def set_paused(self, sync: str, connection_id: str, *, paused: bool) -> None:
        """Pause a sync or resume it; it keeps the time at which it was paused first."""

    @abstractmethod
    def clear_checkpoints(self, sync: str, connection_id: str) -> None:
        """Delete the checkpoints of a sync for all parameters."""

    @abstractmethod
    def find(self, id: UUID, *, connection_ids: Collection[str] | None = None) -> SyncRun:
        """Return a run; raises SyncNotFound if it does not exist or is not of `connection_ids`."""

    @abstractmethod
    def select(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        params: dict[str, Any] | None = None,
        statuses: tuple[RunStatus, ...] = (),
        before: tuple[datetime, UUID] | None = None,
        limit: int = 1,
    ) -> list[SyncRun]:
        """Return runs that match every argument, the newest first by `created_at`, then `id`.

        `before` are these two of a run.
        """

    @abstractmethod
    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        """Change fields of a run atomically, with `lease_token` and `log`; return whether it did.

        It does not change when the guard does not hold, or when its sync and connection would have
        a second active run. A `FromNow` stands for a time.
        """

    @abstractmethod
    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        """Extend a lease from a thread without an open transaction; return whether it worked."""

    @abstractmethod
    def advance(
        self,
        run: SyncRun,
        guard: Guard,
        page: NewPage | None,
        *,
        lease: float | None,
        log: list[SyncLogLine] | None,
    ) -> Advanced:
        """Store the state of a run, its page and the sync's checkpoint, in one step.

        Returns "lost", storing nothing, if the guard does not hold, and "paused" if it was stored
        and the sync is paused. `lease` is the new duration of the lease in seconds; None ends the
        run, which has succeeded. `log` are all lines that are kept of the run; with None, the
        stored ones stay. Within a write operation only.
        """

    @abstractmethod
    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        """Return at most `limit` pages of a run, ordered by number, after the number `after`."""

    @abstractmethod
    def log(self, id: UUID) -> list[SyncLogLine]:
        """Return the lines that are kept of a run's log, oldest first."""

    @abstractmethod
    def unchanged_revs(self, id: UUID) -> list[bytes]:
        """Return the `unchanged_revs` of a run's pages."""

    @abstractmethod
    def forget(self, id: UUID) -> None:
        """Delete the `unchanged_revs` of a run's pages, but not the pages."""

    @abstractmethod
    def shared(self) -> bool:
        """Return whether other processes see each write at once.

        They do not within a caller's transaction.
        """

    @abstractmethod
    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` after the current transaction is committed, or at once outside of one."""

    def require_commit_hooks(self) -> None:  # noqa: B027 - most stores have nothing to require
        """Raise EngineConfigError if `after_commit` cannot notice the commit."""

    @abstractmethod
    def undone(self) -> AbstractContextManager[None]:
        """Return a context manager that rolls back all writes in it, also those to records."""
