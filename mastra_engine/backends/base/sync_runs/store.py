"""Where an engine keeps the runs of declared syncs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mastra_engine.types import RunStatus, SyncMode, SyncPage, SyncRun


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be queued."""

    sync: str
    connection_id: str
    entity_id: UUID
    mode: SyncMode
    params: dict[str, Any]
    checkpoint: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPage:
    """What a page of a run did, and what of a full run it found unchanged, for the pages after."""

    created: int
    updated: int
    unchanged: int
    deleted: int
    unchanged_revs: bytes | None


@dataclass(frozen=True, slots=True)
class FromNow:
    """A time by the clock of whoever keeps the runs, which all workers share."""

    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """What must be true of a run for an update to happen; None is anything."""

    status: RunStatus
    token: UUID | None = None
    lease: Literal["alive", "expired"] | None = None


class RunStore(ABC):
    """The runs of one engine. What is written within a write operation commits with it."""

    @abstractmethod
    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        """Queue a run, or return None when its sync and connection have an active one.

        Of these, `keep` runs stay, the newest, and the newest of each set of parameters, which
        knows their checkpoint. Raises EntityNotFound when the entity is gone.
        """

    @abstractmethod
    def find(self, id: UUID, *, connection_ids: Collection[str] | None = None) -> SyncRun:
        """Raise SyncNotFound on a miss, and for a run beyond some connections."""

    @abstractmethod
    def select(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        params: dict[str, Any] | None = None,
        statuses: tuple[RunStatus, ...] = (),
        before: UUID | None = None,
        limit: int = 1,
    ) -> list[SyncRun]:
        """Return runs that match whatever is given, the newest first; `among` some connections."""

    @abstractmethod
    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        """Change fields of a run, `lease_token` too, in one step; return whether it happened.

        It does not when the guard does not hold, or when another run would be active besides.
        A `FromNow` stands for a time.
        """

    @abstractmethod
    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        """Prolong a lease from a thread that holds nothing open; return whether it happened."""

    @abstractmethod
    def advance(
        self, run: SyncRun, guard: Guard, page: NewPage | None, *, lease: float | None
    ) -> bool:
        """Store how far a run is, and its latest page, in one step; return whether it happened.

        It does not when the guard does not hold. The lease lasts for so many seconds from now on;
        None ends the run, which has succeeded. Within a write operation only.
        """

    @abstractmethod
    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        """Return pages of a run in the order of their numbers, `after` one of them."""

    @abstractmethod
    def unchanged_revs(self, id: UUID) -> list[bytes]:
        """Return what a run's pages found unchanged."""

    @abstractmethod
    def forget(self, id: UUID) -> None:
        """Drop what a run's pages found unchanged, but not the pages."""

    @abstractmethod
    def shared(self) -> bool:
        """Return whether others see what is written now; within a caller's transaction, no."""

    @abstractmethod
    def after_commit(self, act: Callable[[], None]) -> None:
        """Act once what was written is there for others, at once unless in a transaction."""

    @abstractmethod
    def undone(self) -> AbstractContextManager[None]:
        """Take back whatever is written meanwhile, to the engine's records too."""
