"""Following a change feed: reading changes, then waiting for the next ones."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from selectors import EVENT_READ, DefaultSelector

from mastra_engine.backends.base.records.store import ChangeListener
from mastra_engine.exceptions import Unavailable
from mastra_engine.types import Change, Changes

logger = logging.getLogger("mastra_engine.following")

FOLLOW_PAGE = 1_000
#: Seconds for which a follower tolerates an unavailable database, and between its attempts.
PATIENCE, RETRY_INTERVAL = 60.0, 1.0
#: Seconds after which it polls in any case: no selector waits for a month.
LONGEST_WAIT = 24 * 60 * 60.0


class Follower:
    """Reads a change feed repeatedly: `read`, then `wait` or `async_wait`, and so on."""

    def __init__(
        self,
        read: Callable[..., Changes],
        listener: ChangeListener,
        *,
        after: int,
        poll: float,
        timeout: float,
    ) -> None:
        self._read = read
        self._listener = listener
        self._after = after
        self._purged = 0
        self._poll = poll
        self._timeout = timeout
        self._more = False
        self._quiet_since = time.monotonic()
        self._unavailable_since: float | None = None

    def read(self) -> list[Change] | None:
        """Return new changes, possibly none; None if there were none for the timeout.

        Raises Unavailable if the database has been unavailable for a minute or the timeout.
        """
        # It listens before it reads, otherwise it would miss commits between the two.
        if self._timeout > 0:
            self._listener.listen()
        try:
            changes = self._read(after=self._after, limit=FOLLOW_PAGE, purged=self._purged)
        except Unavailable:
            if self._unavailable_for() >= min(PATIENCE, self._timeout):
                raise
            self._more = False
            return []
        self._unavailable_since = None
        self._after, self._more, self._purged = changes.next, changes.more, changes.purged
        if changes.items:
            self._quiet_since = time.monotonic()
        elif self._remaining() <= 0:
            return None
        return changes.items

    def wait(self) -> None:
        """Wait for a notification, at most until the next poll is due."""
        file = self._listener.fileno()
        if file is None:
            time.sleep(self._next_wait())
            return
        with DefaultSelector() as selector:
            selector.register(file, EVENT_READ)
            selector.select(self._next_wait())

    async def async_wait(self) -> None:
        """Wait like wait(), without blocking the event loop."""
        file = self._listener.fileno()
        if file is None:
            await asyncio.sleep(self._next_wait())
            return
        loop, notified = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(file, notified.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(notified.wait(), self._next_wait())
        finally:
            loop.remove_reader(file)

    def close(self) -> None:
        """Release the listener."""
        self._listener.close()

    def _remaining(self) -> float:
        return self._timeout - (time.monotonic() - self._quiet_since)

    def _next_wait(self) -> float:
        if self._more:
            return 0.0
        poll = self._poll if self._unavailable_since is None else RETRY_INTERVAL
        return max(0.0, min(self._remaining(), poll, LONGEST_WAIT))

    def _unavailable_for(self) -> float:
        """Return for how long the database has been unavailable; the first call starts it."""
        if self._unavailable_since is None:
            self._unavailable_since = time.monotonic()
            logger.warning(
                "Changes after rev %s cannot be read now; reading is retried", self._after
            )
        return time.monotonic() - self._unavailable_since


def follow(follower: Follower) -> Generator[Change]:
    """Iterate over the changes that a follower reads, and close it at the end."""
    with closing(follower):
        while (changes := follower.read()) is not None:
            yield from changes
            follower.wait()
