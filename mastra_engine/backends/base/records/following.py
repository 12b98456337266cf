"""The contract of following the change feed: what changed is read, what will change awaited."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import closing, suppress
from functools import partial
from math import inf
from selectors import EVENT_READ, DefaultSelector
from uuid import UUID

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.records.syncs import SyncsContract
from mastra_engine.exceptions import Unavailable
from mastra_engine.signals import records_changed
from mastra_engine.types import Change, Changes, Entity
from mastra_engine.validation.inputs import count, seconds, uuid

logger = logging.getLogger("mastra_engine.following")

FOLLOW_PAGE = 1_000
#: Seconds that a database may be away before a follower gives up, and between its attempts.
PATIENCE, PAUSE = 60.0, 1.0
#: Seconds after which it looks in any case: no selector waits for a month.
LONGEST_PAUSE = 24 * 60 * 60.0


class Listener(ABC):
    """Wakes the follower of an entity. It may be deaf at any time, since followers poll as well."""

    @abstractmethod
    def listen(self) -> None:
        """Forget what was heard, and hear what is committed from now on, if that can be."""

    @abstractmethod
    def fileno(self) -> int | None:
        """Return what becomes readable when something is heard; None while it is deaf."""

    @abstractmethod
    def close(self) -> None:
        """Give back what it holds."""


class Follower:
    """Reads a change feed on and on: `read`, then `wait` or `async_wait`, and so forth."""

    def __init__(
        self,
        read: Callable[..., Changes],
        listener: Listener,
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
        self._away_since: float | None = None

    def read(self) -> list[Change] | None:
        """Return what changed, maybe nothing; None once it has been quiet for the timeout."""
        if self._timeout > 0:  # before reading, or what is committed in between is not heard of
            self._listener.listen()
        try:
            changes = self._read(after=self._after, purged=self._purged)
        except Unavailable:
            if self._away_for() >= min(PATIENCE, self._timeout):
                raise
            self._more = False
            return []
        self._away_since = None
        self._after, self._more, self._purged = changes.next, changes.more, changes.purged
        if changes.items:
            self._quiet_since = time.monotonic()
        elif self._left() <= 0:
            return None
        return changes.items

    def wait(self) -> None:
        """Return when there may be something to read."""
        file = self._listener.fileno()
        if file is None:
            time.sleep(self._pause())
            return
        with DefaultSelector() as selector:
            selector.register(file, EVENT_READ)
            selector.select(self._pause())

    async def async_wait(self) -> None:
        """See wait(); nothing else is kept waiting."""
        file = self._listener.fileno()
        if file is None:
            await asyncio.sleep(self._pause())
            return
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(file, heard.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), self._pause())
        finally:
            loop.remove_reader(file)

    def close(self) -> None:
        self._listener.close()

    def _left(self) -> float:
        return self._timeout - (time.monotonic() - self._quiet_since)

    def _pause(self) -> float:
        if self._more:
            return 0.0
        poll = self._poll if self._away_since is None else PAUSE
        return max(0.0, min(self._left(), poll, LONGEST_PAUSE))

    def _away_for(self) -> float:
        """Return for how long the database has been away, which was noticed just now."""
        if self._away_since is None:
            self._away_since = time.monotonic()
            logger.warning(
                "What changed after rev %s cannot be read now, and is tried again", self._after
            )
        return time.monotonic() - self._away_since


class FollowingContract(SyncsContract, ABC):
    """Telling others of changes once they are committed."""

    alias: str

    def follow_changes(
        self,
        *,
        entity_id: UUID | str,
        after: int = 0,
        poll: float = 5.0,
        timeout: float | None = None,
    ) -> Generator[Change]:
        """Iterate over changes as get_changes() does, then wait for those to come.

        Go on from `after=change.rev`. Writers wake it. It also looks every `poll` seconds, for
        where a pooler keeps them from that. It ends when nothing has changed for `timeout`
        seconds, with 0 after what is there, and with None never. A database that goes away is
        waited for, up to a minute.

        Raises EntityNotFound, at once or when it is deleted; CursorExpired when deletions that it
        has not come to are purged; Unavailable.
        """
        return _followed(self._follower(entity_id, after, poll, timeout))

    async def afollow_changes(
        self,
        *,
        entity_id: UUID | str,
        after: int = 0,
        poll: float = 5.0,
        timeout: float | None = None,
    ) -> AsyncGenerator[Change]:
        """See follow_changes()."""
        follower = await sync_to_async(self._follower)(entity_id, after, poll, timeout)
        try:
            while (changes := await sync_to_async(follower.read)()) is not None:
                for change in changes:
                    yield change
                await sync_to_async(self._rest)()
                await follower.async_wait()
        finally:
            await sync_to_async(follower.close)()

    # What a backend implements

    @abstractmethod
    def _listener(self, entity_id: UUID) -> Listener: ...

    @abstractmethod
    def _wake(self, entity_id: UUID) -> None:
        """Wake those who listen to an entity, wherever they are."""

    @abstractmethod
    def _rest(self) -> None:
        """Give back, at the end of a piece of work, what others may need."""

    # Steps

    def _follower(
        self, entity_id: UUID | str, after: int, poll: float, timeout: float | None
    ) -> Follower:
        entity = self._get_entity(uuid(entity_id, "/entity_id"))
        return Follower(
            partial(self.get_changes, entity_id=entity.id, limit=FOLLOW_PAGE),
            self._listener(entity.id),
            after=count(after, "/after"),
            poll=seconds(poll, "/poll", least=0.01),
            timeout=inf if timeout is None else seconds(timeout, "/timeout"),
        )

    def _changed(self, entity: Entity, after: int) -> None:
        try:
            self._wake(entity.id)
        except Exception:  # the records are written, and followers look by themselves
            logger.exception("Those who follow the entity %s are not woken", entity.id)
        records_changed.send_robust(
            type(self),
            alias=self.alias,
            entity_id=entity.id,
            entity_name=entity.name,
            connection_id=entity.connection_id,
            after=after,
            rev=entity.rev,
        )


def _followed(follower: Follower) -> Generator[Change]:
    with closing(follower):
        while (changes := follower.read()) is not None:
            yield from changes
            follower.wait()
