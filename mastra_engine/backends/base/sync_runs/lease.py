"""The right to write for a run: taken, renewed, and lost to whoever takes over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread
from typing import Any
from uuid import UUID, uuid4

from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewPage, RunStore
from mastra_engine.types import SyncRun

logger = logging.getLogger("mastra_engine.syncs")

BEATS = 3  # in the time of a lease, so that one may fail


class LeaseLost(Exception):
    """The run was cancelled or taken over, or its lease ran out: this worker must not write."""


class WorkersLost(Exception):
    """As many workers as may try a run have died of it, or seem to: another one is not risked."""


class Lease:
    """A fencing token on a run. Every write checks it, in the write's own transaction.

    Within a caller's transaction nobody else sees the run: the lease cannot be renewed there, and
    its end does not matter.
    """

    def __init__(self, store: RunStore, run_id: UUID, seconds: float) -> None:
        self.store = store
        self.run_id = run_id
        self.seconds = seconds
        self.token = uuid4()
        self.shared = store.shared()
        self.guard = Guard("running", self.token, "alive" if self.shared else None)

    def take(self, run: SyncRun, *, start_rev: int) -> bool:
        """Begin a queued run, or go on with one whose worker let its lease run out."""
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

    def advance(self, run: SyncRun, page: NewPage | None, *, last: bool) -> None:
        """Store how far the run is and renew the lease, or give it back; raises LeaseLost."""
        seconds = None if last else self.seconds
        if not self.store.advance(run, self.guard, page, lease=seconds):
            raise LeaseLost

    def end(self, **changes: Any) -> None:
        """Change the run and give the lease back; raises LeaseLost."""
        given_back = {"lease_token": None, "lease_expires_at": None}
        if not self.store.update(self.run_id, self.guard, **given_back, **changes):
            raise LeaseLost

    def release(self) -> None:
        """Let whoever comes take over at once."""
        self.store.update(self.run_id, self.guard, lease_expires_at=FromNow())

    def heartbeat(self) -> Heartbeat:
        """Renew the lease in the background meanwhile."""
        return Heartbeat(self._beat, every=self.seconds / BEATS if self.shared else None)

    def _beat(self) -> bool:
        return self.store.renew(self.run_id, self.guard, self.seconds)


class Heartbeat:
    """Calls `beat` in a thread of its own until it says no; never when `every` is None."""

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
                    return  # the worker finds out when it writes
            except Exception:  # there is time for another beat
                logger.warning("The lease of a sync run was not renewed", exc_info=True)
