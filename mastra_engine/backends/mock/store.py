"""The data of a mock engine: plain rows, shared by all engines of one URL in the process."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from socket import socket
from threading import RLock
from uuid import UUID
from weakref import WeakValueDictionary

from mastra_engine.backends.base.facts.claims import FACT_INDEX
from mastra_engine.backends.base.idempotency.store import StoredResponse
from mastra_engine.backends.base.memory.store import MemoryHolder
from mastra_engine.backends.base.state.store import ItemKey
from mastra_engine.backends.mock.rows import (
    EntityRow,
    FactRow,
    IndexRows,
    ItemRow,
    RunRow,
    SyncRow,
    ThreadRow,
    WorkingMemoryRow,
    now,
)
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.types import FactSource
from mastra_engine.validation.vectors import IndexDefinition


class Store:
    """The data behind one URL. Hold `lock` while reading or writing it."""

    def __init__(self) -> None:
        self.lock = RLock()
        #: Callbacks to call after the transaction that holds the lock has committed.
        self._acts: list[Callable[[], None]] | None = None
        self.entities: dict[UUID, EntityRow] = {}
        self.indexes: dict[str, IndexRows] = {}
        self.threads: dict[str, ThreadRow] = {}
        self.working_memory: dict[MemoryHolder, WorkingMemoryRow] = {}
        self.items: dict[ItemKey, ItemRow] = {}
        self.facts: dict[UUID, FactRow] = {}
        self.runs: dict[UUID, RunRow] = {}
        #: Declared syncs by name and connection.
        self.syncs: dict[tuple[str, str], SyncRow] = {}
        #: The sockets of the followers of each entity, which get a byte after a change.
        self.listeners: dict[UUID, set[socket]] = {}
        #: Stored responses by idempotency key, with the time of their expiry, and the keys of
        #: calls that are running.
        self.idempotency_records: dict[UUID, tuple[StoredResponse, datetime]] = {}
        self.in_flight: set[UUID] = set()

    @contextmanager
    def transaction(self, *, undone: bool = False) -> Iterator[None]:
        """Hold the lock; call the callbacks after the outermost commit, unless the block fails."""
        with self.lock:
            outer = self._acts
            acts: list[Callable[[], None]] = []
            self._acts = acts
            try:
                yield
            finally:
                self._acts = outer
            if undone:
                return
            if outer is not None:
                outer.extend(acts)
                return
        for act in acts:
            act()

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call `act` after the current transaction is committed, or at once outside of one."""
        with self.lock:
            if self._acts is not None:
                self._acts.append(act)
                return
        act()

    def item(self, id: UUID) -> ItemRow | None:
        """Return the item of agent state with an id, unless it was deleted or has expired."""
        moment = now()
        rows = (row for row in self.items.values() if row.id == id and row.exists(moment))
        return next(rows, None)

    def index(self, definition: IndexDefinition) -> IndexRows:
        """Return the rows of an index; raises IndexNotFound if it was deleted or replaced."""
        stored = self.indexes.get(definition.name)
        if stored is None or stored.definition is not definition:
            raise IndexNotFound(name=definition.name)
        return stored

    def delete_messages(self, thread: ThreadRow, ids: Collection[str]) -> None:
        """Delete messages of a thread, and the facts that rest on them alone."""
        for id in ids:
            del thread.messages[id]
        self.delete_sources([FactSource(message_id=id) for id in ids])

    def delete_sources(self, sources: Collection[FactSource]) -> None:
        """Delete sources of facts, whatever they quote, and the facts that rest on them alone."""
        deleted = set(sources)
        for id, row in list(self.facts.items()):
            remaining = tuple(own for own in row.sources if replace(own, quote="") not in deleted)
            if remaining != row.sources:
                self.facts[id] = replace(row, sources=remaining)
                if not remaining:
                    self.delete_facts([id])

    def delete_facts(self, ids: Collection[UUID]) -> int:
        """Delete facts with their vectors; return how many there were."""
        deleted = [self.facts.pop(id) for id in ids if id in self.facts]
        if (index := self.indexes.get(FACT_INDEX)) is not None:
            for row in deleted:
                index.rows.pop((row.fact.resource_id, str(row.fact.id)), None)
        return len(deleted)

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Hold the lock; restore facts, vectors and readings if the block raises."""
        with self.lock:
            before = {name: dict(index.rows) for name, index in self.indexes.items()}
            facts = dict(self.facts)
            positions = {id: row.read_position for id, row in self.threads.items()}
            try:
                yield
            except BaseException:
                for name, rows in before.items():
                    self.indexes[name].rows = rows
                self.facts = facts
                for id, position in positions.items():
                    self.threads[id].read_position = position
                raise

    def clear(self) -> None:
        """Delete everything."""
        with self.lock:
            for rows in (self.entities, self.indexes, self.threads, self.working_memory):
                rows.clear()
            self.items.clear()
            self.facts.clear()
            self.runs.clear()
            self.syncs.clear()
            self.idempotency_records.clear()


_stores: WeakValueDictionary[str, Store] = WeakValueDictionary()
_opening = RLock()


def open_store(url: str) -> Store:
    """Return the store of a URL; it lives as long as an engine that uses it, and not longer.

    A test that catches an exception leaves its frames, and the engine in them, to the garbage
    collector. An async test leaves the engine to a thread that may still be in a call. The next
    test must begin with an empty store, so such engines are collected here.
    """
    with _opening:
        if url in _stores:
            gc.collect(1)  # Garbage of a test is young; a full collection takes 50 ms.
        if url in _stores:
            time.sleep(0.01)
            gc.collect()
        store = _stores.get(url)
        if store is None:
            store = _stores[url] = Store()
        return store
