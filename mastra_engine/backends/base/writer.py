"""What an engine gives a write operation: one entity, locked, in one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from typing import Any

from mastra_engine.inputs import record_chunks
from mastra_engine.types import Entity, UpsertResult

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


class EntityWriter(ABC):
    """Writes to one entity; everything or nothing of what it did takes effect."""

    #: The entity as it was when it was locked.
    entity: Entity

    @abstractmethod
    def put(self, chunk: Chunk, *, merge: bool = False) -> UpsertResult:
        """Store {external_id: canonical JSON}; records that are as given are not written."""

    @abstractmethod
    def live(self) -> int:
        """Return how many records are not deleted."""

    @abstractmethod
    def unseen(self) -> list[str]:
        """Return the ids of live records that this writer has not put, sorted."""

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
