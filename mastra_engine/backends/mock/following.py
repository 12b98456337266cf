"""Following changes in memory."""

from __future__ import annotations

from contextlib import suppress
from socket import socket, socketpair
from uuid import UUID

from mastra_engine.backends.base.records.following import FollowingContract, Listener
from mastra_engine.backends.mock.records import MockRecords
from mastra_engine.backends.mock.store import Store


class MockListener(Listener):
    """One end of a pair of sockets; the store has the other."""

    def __init__(self, store: Store, entity_id: UUID) -> None:
        self.store = store
        self.entity_id = entity_id
        self.ends: tuple[socket, socket] | None = None

    def listen(self) -> None:
        if self.ends is None:
            self.ends = socketpair()
            for end in self.ends:
                end.setblocking(False)
            with self.store.lock:
                self.store.listeners.setdefault(self.entity_id, set()).add(self.ends[1])
        with suppress(BlockingIOError):
            self.ends[0].recv(4096)  # more than that is heard once more

    def fileno(self) -> int | None:
        return None if self.ends is None else self.ends[0].fileno()

    def close(self) -> None:
        if self.ends is None:
            return
        with self.store.lock:
            self.store.listeners[self.entity_id].discard(self.ends[1])
        for end in self.ends:
            end.close()
        self.ends = None


class MockFollowing(MockRecords, FollowingContract):
    """Following over the mock's records."""

    def _listener(self, entity_id: UUID) -> Listener:
        return MockListener(self.store, entity_id)

    def _wake(self, entity_id: UUID) -> None:
        with self.store.lock:
            for end in self.store.listeners.get(entity_id, ()):
                with suppress(BlockingIOError):  # it is full, so there is something to hear
                    end.send(b"\0")

    def _rest(self) -> None:
        """It holds nothing."""
