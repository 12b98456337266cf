"""What an engine gives a write operation: one entity, locked, in one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from mastra_engine.types import Entity, UpsertResult
from mastra_engine.validation.inputs import record_chunks

Chunk = dict[str, bytes]


class Chunks:
    """Records on their way in, as chunks; the first one is read, and so checked, at once.

    That way nothing is locked while a short input is validated. A list can be walked again, which
    lets an engine repeat a transaction; an iterator cannot.
    """

    def __init__(self, records: Any, *, entity_type: str) -> None:
        self._records = records
        self._entity_type = entity_type
        self.repeatable = not isinstance(records, Iterator)
        self._started: Iterator[Chunk] | None = self._read()

    def _read(self) -> Iterator[Chunk]:
        chunks = record_chunks(self._records, entity_type=self._entity_type)
        first = next(chunks, None)
        return iter(()) if first is None else chain((first,), chunks)

    def __iter__(self) -> Iterator[Chunk]:
        started, self._started = self._started, None
        return started if started is not None else self._read()


class SeenRevisions:
    """What a full sync came upon, by `rev`; a million records take 125 kB.

    What it wrote itself has a `rev` above the `start`, as has what others changed meanwhile; what
    it found unchanged is added, one bit each, as PostgreSQL numbers the bits of `bytea`.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.bits = bytearray(start // 8 + 1)

    def add(self, revs: Iterable[int]) -> None:
        for rev in revs:
            if rev <= self.start:
                self.bits[rev >> 3] |= 1 << (rev & 7)

    def __contains__(self, rev: int) -> bool:
        return rev > self.start or bool(self.bits[rev >> 3] & 1 << (rev & 7))


class EntityWriter(ABC):
    """Writes to one entity; everything or nothing of what it did takes effect."""

    #: The entity as it was when it was locked.
    entity: Entity
    #: The last `rev` that was given out, the entity's own at first.
    rev: int
    #: Takes note of what is put, if anybody wants to know.
    seen: SeenRevisions | None = None

    @abstractmethod
    def put(self, chunk: Chunk, *, merge: bool = False) -> UpsertResult:
        """Store {external_id: canonical JSON}; records that are as given are not written."""

    @abstractmethod
    def live(self) -> int:
        """Return how many records are not deleted."""

    @abstractmethod
    def unseen(self, seen: SeenRevisions) -> list[str]:
        """Return the ids of live records that are not among the seen ones, sorted."""

    @abstractmethod
    def delete(self, external_ids: list[str]) -> int:
        """Make tombstones of those that are live; return how many."""

    @abstractmethod
    def purge(self, up_to_rev: int) -> int:
        """Remove tombstones of that `rev` or less for good; return how many."""

    @abstractmethod
    def set_cursor(self, last_sync_id: str) -> None:
        """Store the sync cursor."""

    @abstractmethod
    def result(self) -> Entity:
        """Return the entity as it is now."""
