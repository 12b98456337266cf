"""The port that a backend implements to store agent state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from mastra_engine.filters.ast import ALL, Node
from mastra_engine.types import StateItem

R = TypeVar("R")

Namespace = tuple[str, ...]
#: A namespace and a key in it.
ItemKey = tuple[Namespace, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """A validated write of one key: a deletion if it has no value.

    `if_version` is the version that the item must have, 0 if there must be none. `lifetime` is in
    seconds; None keeps the item for ever. `fields` are the paths of the texts to index, None for
    every text.
    """

    namespace: Namespace
    key: str
    value: bytes | None = None
    if_version: int | None = None
    lifetime: float | None = None
    fields: tuple[str, ...] | None = ()

    @property
    def place(self) -> ItemKey:
        """The namespace and the key."""
        return self.namespace, self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenItem:
    """The outcome of a change: the stored item, or None if it was deleted.

    `id` identifies the key for ever, and is the id of its vector. `is_indexed` says that it may
    have one, `is_pending` that its text is still to be indexed.
    """

    id: UUID
    resource_id: str
    item: StateItem | None
    is_indexed: bool
    is_pending: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSelection:
    """The items in the namespaces that begin with a prefix, and satisfy a filter on their values.

    `resource_ids` are the first elements in scope; None allows all.
    """

    prefix: Namespace
    resource_ids: Collection[str] | None = None
    where: Node = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceSelection:
    """The namespaces that match a beginning and an end, in which None stands for any element.

    Those longer than `max_depth` are cut to that length, after they were matched.
    """

    prefix: tuple[str | None, ...] = ()
    suffix: tuple[str | None, ...] = ()
    max_depth: int | None = None
    resource_ids: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnindexedItem:
    """An item that waits for its text to be indexed."""

    id: UUID
    namespace: Namespace
    version: int
    value: Any
    fields: Sequence[str] | None


class StateStore(ABC):
    """Stores items of agent state and the tombstones of deleted ones.

    An item lives until it is deleted or expires, by the clock of the store; all methods treat an
    expired item as a deleted one. Arguments have been validated.
    """

    @abstractmethod
    def transact(self, operation: Callable[[], R], *, single: bool = False) -> R:
        """Run an operation in a transaction: all of its writes take effect, or none.

        A `single` operation is one statement, which needs no transaction of its own.
        """

    @abstractmethod
    def after_commit(self, action: Callable[[], None]) -> None:
        """Call `action` once the current transaction is committed, at once outside of one."""

    # Items

    @abstractmethod
    def write(self, changes: Sequence[StateChange]) -> list[WrittenItem | None]:
        """Apply changes of distinct keys; return their outcomes in order.

        The outcome is None for a deletion of an item that does not exist, and for a change
        with an `if_version` other than the version of the item.
        """

    @abstractmethod
    def renew(self, places: Sequence[ItemKey]) -> set[ItemKey]:
        """Begin the lifetimes of the items at some places again.

        Returns the places of those that expire. One that another process writes meanwhile may be
        left out.
        """

    @abstractmethod
    def read(self, places: Sequence[ItemKey]) -> tuple[dict[ItemKey, StateItem], bool]:
        """Return the items at some places, without those that do not exist, and whether others do.

        Some are left out after those that fill a page: see `page_bytes`.
        """

    @abstractmethod
    def find(self, ids: Sequence[UUID]) -> dict[UUID, StateItem]:
        """Return items by the ids of their keys, without those that do not exist."""

    @abstractmethod
    def list_items(
        self, selection: StateSelection, *, after: ItemKey | None, limit: int
    ) -> tuple[list[StateItem], bool]:
        """Return items ordered by namespace and key, and whether others follow.

        The list ends before `limit` with the item that fills a page: see `page_bytes`.
        """

    @abstractmethod
    def list_latest(self, selection: StateSelection, *, limit: int) -> list[StateItem]:
        """Return the items that were written last, the latest first; ties by namespace and key.

        The list ends as that of `list_items` does.
        """

    @abstractmethod
    def list_namespaces(
        self, selection: NamespaceSelection, *, after: Namespace | None, limit: int
    ) -> list[Namespace]:
        """Return distinct namespaces that have items, in order, after one that was cut alike."""

    @abstractmethod
    def delete_expired(
        self, *, resource_ids: Collection[str] | None, limit: int
    ) -> list[WrittenItem]:
        """Delete up to `limit` expired items; return their outcomes."""

    # Which texts are indexed

    @abstractmethod
    def list_unindexed(
        self, selection: StateSelection, *, limit: int
    ) -> tuple[list[UnindexedItem], bool]:
        """Return items that wait to be indexed, as `list_items` does, and whether others do."""

    @abstractmethod
    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> set[UUID]:
        """Record that items are indexed, and return the ids of those that have that version.

        They are locked until the transaction ends: a change of one waits for it.
        """

    @abstractmethod
    def mark_all_unindexed(self) -> None:
        """Record that all items that have texts to index wait to be indexed."""
