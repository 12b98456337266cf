"""Notifications of committed changes in memory."""

from __future__ import annotations

from contextlib import suppress
from socket import socket, socketpair
from uuid import UUID

from mastra_engine.backends.base.records.store import ChangeListener
from mastra_engine.backends.mock.store import Store


class MockListener(ChangeListener):
    """One end of a pair of sockets; the store writes to the other end."""

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
        # Notifications beyond 4096 wake the follower once more, which does no harm.
        with suppress(BlockingIOError):
            self.ends[0].recv(4096)

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
