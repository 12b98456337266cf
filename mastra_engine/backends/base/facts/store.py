"""The port that a backend implements to store facts.

The service validates arguments, enforces the scope and decides which versions a new fact ends. A
store only reads and writes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.facts.arguments import NewFact
from mastra_engine.backends.base.facts.claims import Claim, Subject
from mastra_engine.backends.base.vectors.search import Instant
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.types import Fact, FactAction, FactSource

R = TypeVar("R")

#: The most current facts that a context window, an extractor or a consolidation gets.
MAX_CURRENT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FactSelection:
    """The facts that a list or a search contains.

    None stands for any resource, subject or predicate.
    """

    resource_ids: frozenset[str] | None
    instant: Instant = field(default_factory=Instant)
    subject_keys: Collection[UUID] | None = None
    predicate_key: UUID | None = None
    where: Node = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class FactWrite:
    """A version to insert or to change, as it is afterwards.

    `claim` is set for a new version. `ends` are the ends of its validity that became known at
    `known_at`, and `sources` those that it has now besides its earlier ones.
    """

    fact: Fact
    claim: Claim | None
    alias_keys: Sequence[UUID]
    ends: Sequence[datetime]
    known_at: datetime
    sources: Sequence[FactSource]


@dataclass(frozen=True, slots=True)
class Reading:
    """The position up to which the messages of a thread were read for facts.

    `claimed_until` is the end of its reader's claim, and tells it from the claims of others.
    """

    thread_id: str
    resource_id: str
    position: int
    claimed_until: datetime | None = None


class FactStore(ABC):
    """Stores versions of claims with their sources.

    A version goes with its last source: when a message is deleted, or a record becomes a tombstone,
    the backend deletes the versions that rest on it alone, with their vectors, in the same
    transaction.
    """

    @abstractmethod
    def transact(self, operation: Callable[[], R]) -> R:
        """Run an operation atomically and return its result.

        Methods that write or lock are called within an operation.
        """

    @abstractmethod
    def after_commit(self, action: Callable[[], None]) -> None:
        """Run an action after the current transaction commits, or at once outside a transaction."""

    @abstractmethod
    def lock_resource(self, resource_id: str) -> datetime:
        """Wait for the lock of a resource's facts, and return the time afterwards."""

    @abstractmethod
    def lock_messages(self, message_ids: Sequence[str], resource_id: str) -> Collection[str]:
        """Return the ids of messages of a resource, kept from deletion by a lock."""

    @abstractmethod
    def lock_records(
        self, record_ids: Sequence[UUID], *, connection_ids: Collection[str] | None
    ) -> Collection[UUID]:
        """Return the ids of live records of those connections, kept from deletion by a lock."""

    @abstractmethod
    def resolve(self, resource_id: str, keys: Collection[UUID]) -> Mapping[UUID, Subject]:
        """Return the subjects that have names as aliases, by the keys of these names.

        If the subject has become an alias itself, the other subject is returned. Of several
        subjects with the alias, the one with the earliest fact is returned.
        """

    @abstractmethod
    def lock_versions(
        self, resource_id: str, claims: Collection[Claim], *, valid_after: datetime
    ) -> Sequence[tuple[Claim, Fact]]:
        """Return, locked, the current versions of claims and those valid after a time.

        They are ordered by the time of remembering.
        """

    @abstractmethod
    def lock_current(
        self, resource_id: str, claims: Collection[tuple[UUID, UUID]]
    ) -> Sequence[tuple[Claim, Fact]]:
        """Return, locked, the current versions of claims by subject and predicate, of any object.

        They are ordered by the time of remembering.
        """

    @abstractmethod
    def lock_version(self, id: UUID) -> tuple[Claim, Fact] | None:
        """Return a version, locked, with its claim; None if it does not exist."""

    def remember_alone(
        self,
        resource_id: str,
        new: NewFact,
        claim: Claim,
        *,
        connection_ids: Collection[str] | None,
    ) -> tuple[FactAction, Fact, Sequence[UUID]] | None:
        """Remember a fact without aliases in a transaction of its own; return None to refuse.

        A backend may implement this to save statements. It follows the rules of Versions, and
        refuses a subject that is an alias, an invalid interval, and a source that does not exist in
        those connections. The last item has the ids of the versions that were written.
        """
        return None

    @abstractmethod
    def write(self, writes: Sequence[FactWrite]) -> None:
        """Insert and change versions. A source that a version has already is not added again."""

    @abstractmethod
    def find(
        self, ids: Sequence[UUID], *, resource_ids: Collection[str] | None
    ) -> dict[UUID, Fact]:
        """Return the facts of those resources by their ids."""

    @abstractmethod
    def list_facts(
        self, selection: FactSelection, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[Fact], bool]:
        """Return facts by the time of remembering, and whether others follow.

        They end at the limit or with the fact that fills a page in bytes.
        """

    @abstractmethod
    def list_current(self, resource_id: str, *, limit: int = MAX_CURRENT) -> list[Fact]:
        """Return facts that are true now, pinned ones first, then those remembered last.

        They end at the limit or with the fact that fills a page in bytes.
        """

    @abstractmethod
    def list_versions(self, id: UUID) -> list[Fact]:
        """Return the versions of a fact's claim, oldest first."""

    @abstractmethod
    def list_sources(self, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[FactSource]]:
        """Return the sources of facts in the order in which they were added.

        A fact without sources is left out.
        """

    @abstractmethod
    def delete_versions(self, ids: Sequence[UUID]) -> int:
        """Delete versions with their sources and vectors; return how many there were."""

    @abstractmethod
    def open_reading(self, thread_id: str) -> Reading | None:
        """Return the reading of a thread, which starts at position 0; None without a thread.

        A thread that is given to another resource is read from the start again.
        """

    @abstractmethod
    def claim_reading(self, reading: Reading, seconds: float, *, takeover: bool) -> Reading | None:
        """Claim the next messages of a thread for some seconds, and return the claimed reading.

        Returns None if the reading has moved or, unless `takeover`, another process has a claim.
        """

    @abstractmethod
    def release_reading(self, reading: Reading) -> None:
        """Release a reading's own claim, unless another process has claimed the thread since."""

    @abstractmethod
    def move_reading(self, reading: Reading, position: int) -> bool:
        """Move a reading to a position and release its claim; return False if it has moved."""

    @abstractmethod
    def list_unread(
        self, resource_ids: Collection[str] | None, *, after: str, limit: int
    ) -> list[str]:
        """Return ids greater than `after`, in order, of those resources' threads to read."""

    @abstractmethod
    def list_unindexed(self, resource_ids: Collection[str] | None, *, limit: int) -> list[Fact]:
        """Return facts of those resources that wait for their vectors."""

    @abstractmethod
    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> Collection[UUID]:
        """Record that facts have vectors; return the ids of those with that number of aliases.

        They are locked until the transaction ends: a deletion of one waits for it.
        """

    @abstractmethod
    def mark_all_unindexed(self) -> None:
        """Record that no fact has a vector."""
