"""Where an engine keeps how far each vector index has read the change feed of each entity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from mastra_engine.types import Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """An index holds what changed in an entity up to `rev`; once `complete`, it held everything."""

    entity_id: UUID
    index: IndexDefinition
    rev: int
    complete: bool


class IndexProgressStore(ABC):
    """The index_progress of one engine. They go with their entity, and with their index."""

    @abstractmethod
    def open(self, entity_id: UUID, index: IndexDefinition) -> IndexProgress:
        """Return a progress, which is at 0 if it is new.

        Raises EntityNotFound or IndexNotFound when either is gone.
        """

    @abstractmethod
    def claim(self, mark: IndexProgress, seconds: float) -> bool:
        """Tell others for a while that someone works on what comes after `mark`.

        Return False where it has moved, or while it is somebody else's.
        """

    @abstractmethod
    def release(self, mark: IndexProgress) -> None:
        """Let others have it, if it is still where it was."""

    @abstractmethod
    def move(
        self, mark: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        """Move a progress and write what belongs to it, in one transaction.

        Return None, nothing being written, unless it is where `mark` says.
        """

    @abstractmethod
    def entities(
        self,
        entity_name: str,
        index_name: str,
        among: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        """Return entities of a name by id; if `behind`, those with changes not yet read."""

    @abstractmethod
    def read(self, entity_ids: list[UUID]) -> dict[tuple[UUID, str], IndexProgress]:
        """Return the index_progress of entities, by entity and name of the index."""

    @abstractmethod
    def count(self, entity_name: str, index_name: str, among: Collection[str] | None) -> Indexing:
        """Return how far an index is with all entities of a name."""
