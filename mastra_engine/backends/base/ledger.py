"""Where an engine keeps the runs of declared syncs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mastra_engine.types import RunStatus, SyncMode, SyncRun


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to be queued."""

    sync: str
    connection_id: str
    entity_id: UUID
    mode: SyncMode
    params: dict[str, Any]
    checkpoint: Any


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


class RunLedger(ABC):
    """The runs of one engine. What is written within a write operation commits with it."""

    @abstractmethod
    def insert(self, new: NewRun) -> SyncRun | None:
        """Queue a run, or return None when its sync and connection have an active one.

        Raises EntityNotFound when the entity is gone.
        """

    @abstractmethod
    def find(self, id: UUID, *, among: Collection[str] | None = None) -> SyncRun:
        """Raise SyncNotFound on a miss, and for a run beyond some connections."""

    @abstractmethod
    def select(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        among: Collection[str] | None = None,
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
    def note(self, id: UUID, found: bytes) -> None:
        """Keep what a page of a full run found unchanged."""

    @abstractmethod
    def noted(self, id: UUID) -> list[bytes]:
        """Return what a run's pages found unchanged."""

    @abstractmethod
    def forget(self, *, sync: str, connection_id: str) -> None:
        """Drop what all runs of a sync and connection have noted."""

    @abstractmethod
    def shared(self) -> bool:
        """Return whether others see what is written now; within a caller's transaction, no."""

    @abstractmethod
    def after_commit(self, act: Callable[[], None]) -> None:
        """Act once what was written is there for others, at once unless in a transaction."""

    @abstractmethod
    def undone(self) -> AbstractContextManager[None]:
        """Take back whatever is written meanwhile, to the engine's records too."""
