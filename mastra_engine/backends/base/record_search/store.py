"""The progress of each index in the change feed of each entity, which a backend stores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from mastra_engine.types import Entity, Indexing
from mastra_engine.validation.vectors import IndexDefinition


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """An index contains the changes of an entity up to `rev`.

    `complete` is True once it has contained all of them.
    """

    entity_id: UUID
    index: IndexDefinition
    rev: int
    complete: bool


class IndexProgressStore(ABC):
    """The progress of every index; a row is deleted with its entity and with its index."""

    @abstractmethod
    def open(self, entity_id: UUID, index: IndexDefinition) -> IndexProgress:
        """Return the progress of an index with an entity, which starts at `rev` 0.

        Raises EntityNotFound or IndexNotFound if either was deleted.
        """

    @abstractmethod
    def claim(self, progress: IndexProgress, seconds: float) -> bool:
        """Claim the next changes for some seconds; return False if another process claimed them.

        It is also False if the progress has moved meanwhile.
        """

    @abstractmethod
    def release(self, progress: IndexProgress) -> None:
        """Release a claim, unless the progress has moved."""

    @abstractmethod
    def move(
        self, progress: IndexProgress, *, rev: int, complete: bool, write: Callable[[], None]
    ) -> IndexProgress | None:
        """Move the progress to `rev` and call `write`, in one transaction.

        Returns None, without calling `write`, if the progress has moved meanwhile.
        """

    @abstractmethod
    def lock(self, entity_id: UUID) -> list[IndexDefinition]:
        """Lock the progress of an entity until the transaction ends; return its indexes.

        After it returns, no other process can store chunks of the entity.
        """

    @abstractmethod
    def entities(
        self,
        entity_name: str,
        index_name: str,
        connection_ids: Collection[str] | None,
        *,
        behind: bool,
        after: UUID | None,
        limit: int,
    ) -> list[Entity]:
        """Return entities of a name, ordered by id; with `behind`, those with pending changes."""

    @abstractmethod
    def read(self, entity_ids: list[UUID]) -> dict[tuple[UUID, str], IndexProgress]:
        """Return the progress with entities, by entity id and name of the index."""

    @abstractmethod
    def count(
        self, entity_name: str, index_name: str, connection_ids: Collection[str] | None
    ) -> Indexing:
        """Return the progress of an index, summed over all entities of a name."""
