"""The storage of entities, their records and change feeds, which a backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.records.chunks import Chunk
from mastra_engine.backends.base.records.seen_revisions import SeenRevisions
from mastra_engine.filters.ast import Node, Query
from mastra_engine.filters.cursors import Position
from mastra_engine.types import Entity, Record, UpsertResult

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class FeedRows:
    """Rows of a change feed: each record with the `rev` of its creation, tombstones included.

    `rev` is the entity's, and `purged_rev` the highest `rev` of a tombstone that was purged. If
    there are rows, both were read in the same snapshot as they were. `has_more` tells whether
    others follow.
    """

    connection_id: str
    rev: int
    purged_rev: int
    rows: list[tuple[Record, int]]
    has_more: bool


class EntityWriter(ABC):
    """Writes to one entity, which is locked; all of its writes take effect or none does."""

    #: The entity as it was read under the lock.
    entity: Entity
    #: The last `rev` that was assigned; at first the entity's own.
    rev: int
    #: Set by a full sync: `put` adds the records that it finds unchanged.
    seen: SeenRevisions | None = None

    @abstractmethod
    def put(self, chunk: Chunk, *, merge: bool = False) -> UpsertResult:
        """Store a chunk of records and count them; unchanged records are not written.

        With `merge`, top-level keys are merged into those of a stored record.
        """

    @abstractmethod
    def live(self) -> int:
        """Return the number of records that are not tombstones."""

    @abstractmethod
    def unseen(self, seen: SeenRevisions) -> list[str]:
        """Return the external ids of live records that were not seen, sorted."""

    @abstractmethod
    def delete(self, external_ids: list[str]) -> int:
        """Replace live records by tombstones, and return how many were live."""

    @abstractmethod
    def purge(self, up_to_rev: int) -> int:
        """Delete tombstones up to a `rev` permanently, and return how many there were."""

    @abstractmethod
    def set_cursor(self, last_sync_id: str) -> None:
        """Store the sync cursor."""

    @abstractmethod
    def delete_entity(self) -> None:
        """Delete the entity with its records, its sync runs and the progress of its indexes."""

    @abstractmethod
    def result(self) -> Entity:
        """Return the entity as this writer leaves it."""


class ChangeListener(ABC):
    """Wakes one follower of an entity. It may miss changes, since followers also poll."""

    @abstractmethod
    def listen(self) -> None:
        """Discard earlier notifications and listen for commits from now on, if possible."""

    @abstractmethod
    def fileno(self) -> int | None:
        """Return a file descriptor that becomes readable on a notification.

        Returns None while the listener cannot receive any.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the resources of the listener."""


class RecordStore(ABC):
    """Entities and records of one backend. Arguments are valid; scopes are arguments."""

    @abstractmethod
    def find_entity(self, id: UUID) -> Entity:
        """Return an entity; raises EntityNotFound."""

    @abstractmethod
    def find_named_entity(self, name: str, connection_id: str) -> Entity | None:
        """Return the entity of a name and connection, or None if it does not exist."""

    def known_entity(self, name: str, connection_id: str) -> Entity | None:
        """Return the entity of a name and connection if that takes no read; None is always right.

        It may have been deleted since, and created again with another id. Only its id, its name
        and its connection are certain; the other values may have changed.
        """
        return None

    @abstractmethod
    def list_entities(
        self,
        *,
        name: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        after: tuple[datetime, UUID] | None = None,
        limit: int,
    ) -> list[Entity]:
        """Return the entities that match every argument, the oldest first.

        They are ordered by `created_at`, then by `id`; `after` are these two of an entity.
        """

    @abstractmethod
    def get_or_create_entity(self, name: str, connection_id: str) -> tuple[Entity, bool]:
        """Return the entity, and True if this call created it."""

    @abstractmethod
    def find_record(self, entity_id: UUID, external_id: str) -> tuple[Entity, Record | None]:
        """Return an entity and its live record of that id, if any; raises EntityNotFound."""

    @abstractmethod
    def select_records(
        self, entity: Entity, query: Query, after: Position | None = None
    ) -> list[Record]:
        """Return live records in the query's order, ties by `external_id`.

        `after` replaces the query's cursor, which is to be ignored. Documents have only the
        query's fields, unless these are None.
        """

    @abstractmethod
    def count_records(self, entity: Entity, where: Node) -> int:
        """Return the number of live records that satisfy a filter."""

    @abstractmethod
    def select_page(
        self, entity: Entity, query: Query, after: Position | None, *, limit: int
    ) -> tuple[list[Record], bool]:
        """Return records like select_records(), and whether others follow.

        They end at `limit`, which replaces the query's, or with the record that reaches
        `page_bytes(limit)`.
        """

    @abstractmethod
    def select_changes(self, entity_id: UUID, *, after: int, limit: int) -> FeedRows:
        """Return a page of records with a `rev` above `after`, ordered by `rev`.

        It ends at the limit or with the record that reaches `page_bytes(limit)`. Raises
        EntityNotFound.
        """

    @abstractmethod
    def write(
        self, entity_id: UUID, operation: Callable[[EntityWriter], R], *, repeatable: bool = True
    ) -> R:
        """Call `operation` in one transaction that holds the entity's lock.

        Unless `repeatable`, the operation may be called only once. Raises EntityNotFound.
        """

    @abstractmethod
    def write_named(
        self,
        name: str,
        connection_id: str,
        operation: Callable[[EntityWriter], R],
        *,
        create: bool,
        repeatable: bool = True,
    ) -> R:
        """Call `operation` like `write`, on the entity of a name and connection.

        With `create`, a missing entity is created in the same transaction; otherwise raises
        EntityNotFound.
        """

    @abstractmethod
    def after_commit(self, action: Callable[[], None]) -> None:
        """Call `action` after the current transaction is committed, or at once outside of one."""

    @abstractmethod
    def change_listener(self, entity_id: UUID) -> ChangeListener:
        """Return a listener for a follower of the entity."""

    @abstractmethod
    def wake_followers(self, entity_id: UUID) -> None:
        """Notify the listeners of an entity, in every process."""

    @abstractmethod
    def release_connection(self) -> None:
        """Release an idle connection at the end of a unit of work, as after a request."""
