"""The lease of a run: a worker acquires it, renews it, and loses it to a worker that takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewPage, RunStore
from mastra_engine.types import SyncLogLine, SyncRun

logger = logging.getLogger("mastra_engine.syncs")

#: Renewals within the duration of a lease; there are several, so that one may fail.
BEATS = 3


class LeaseLost(Exception):
    """The run was cancelled or taken over, or its lease ran out: this worker must not write."""


class RunPaused(Exception):
    """The sync was paused: the page is committed, and this worker must end the run."""


class WorkersLost(Exception):
    """As many workers have died during the run as it allows attempts; it is not tried again."""


class Lease:
    """A fencing token on a run. Every write checks it, in the write's own transaction.

    Within a caller's transaction no other process sees the run. The lease cannot be renewed there,
    and it is not checked for expiry.
    """

    def __init__(self, store: RunStore, run_id: UUID, seconds: float) -> None:
        self.store = store
        self.run_id = run_id
        self.seconds = seconds
        self.token = uuid4()
        self.shared = store.shared()
        #: Whether the sync was paused when the last page was stored.
        self.paused = False
        self.guard = Guard("running", self.token, "alive" if self.shared else None)

    def take(self, run: SyncRun, *, start_rev: int) -> bool:
        """Begin a queued run, or take over a running one with an expired lease.

        Returns False when another worker was faster or still holds the lease.
        """
        queued = run.status == "queued"
        started = {} if run.started_at else {"started_at": FromNow(), "start_rev": start_rev}
        return self.store.update(
            run.id,
            Guard("queued") if queued else Guard("running", lease="expired"),
            status="running",
            lease_token=self.token,
            lease_expires_at=FromNow(self.seconds),
            attempts=run.attempts + 1,
            **started,
        )

    def advance(
        self,
        run: SyncRun,
        page: NewPage | None,
        *,
        last: bool,
        log: list[SyncLogLine] | None,
    ) -> None:
        """Store the run's progress and renew the lease, or release it after the last page.

        Raises LeaseLost.
        """
        seconds = None if last else self.seconds
        advanced = self.store.advance(run, self.guard, page, lease=seconds, log=log)
        if advanced == "lost":
            raise LeaseLost
        self.paused = advanced == "paused" and not last

    def end(self, log: list[SyncLogLine] | None = None, **changes: Any) -> None:
        """Change fields of the run, store its log and release the lease; raises LeaseLost."""
        released = {"lease_token": None, "lease_expires_at": None}
        if not self.store.update(self.run_id, self.guard, **released, **changes, **_change(log)):
            raise LeaseLost

    def release(self, log: list[SyncLogLine] | None) -> None:
        """Store the log and expire the lease, so that another worker can take over at once."""
        self.store.update(self.run_id, self.guard, lease_expires_at=FromNow(), **_change(log))

    def heartbeat(self) -> Heartbeat:
        """Return a context manager that renews the lease in the background."""
        return Heartbeat(self._beat, every=self.seconds / BEATS if self.shared else None)

    def _beat(self) -> bool:
        return self.store.renew(self.run_id, self.guard, self.seconds)


def _change(log: list[SyncLogLine] | None) -> dict[str, Any]:
    return {} if log is None else {"log": log}


class Heartbeat:
    """Calls `beat` every `every` seconds in its own thread until it returns False.

    With None for `every` it is never called.
    """

    def __init__(self, beat: Callable[[], bool], *, every: float | None) -> None:
        self.beat = beat
        self.every = every
        self._stopped = Event()
        self._thread = Thread(target=self._live, name="sync-heartbeat", daemon=True)

    def __enter__(self) -> None:
        if self.every is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self.every is not None:
            self._thread.join()

    def _live(self) -> None:
        while not self._stopped.wait(self.every):
            try:
                if not self.beat():
                    return  # The worker raises LeaseLost at its next write.
            except Exception:  # The lease lasts long enough for another attempt.
                logger.warning("The lease of a sync run was not renewed", exc_info=True)
