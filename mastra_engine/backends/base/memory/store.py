"""The ports that a backend implements to store agent memory.

The services of this package validate arguments, enforce the scope and take the steps that follow a
write. A store only reads and writes: it validates nothing and has no scope. If a query must stay
within some resources, these are an argument.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from mastra_engine.conversations.messages import NewMessage
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.types import Message, Thread, ThreadOrder, WorkingMemory
from mastra_engine.validation.sizes import MAX_WINDOW_BYTES

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewThread:
    """A validated thread to insert; `metadata` is canonical JSON."""

    id: str
    resource_id: str
    title: str = ""
    metadata: bytes = b"{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageAppend:
    """Validated messages, each with an id, to append to a thread of one of `resource_ids`.

    `resource_ids=None` allows a thread of any resource.
    """

    thread_id: str
    messages: Sequence[NewMessage]
    resource_ids: Collection[str] | None = None
    idempotency_key: str | None = None
    body_hash: bytes = bytes(16)


@dataclass(frozen=True, slots=True)
class IdempotentAppend:
    """A stored append that had an idempotency key: its body's hash and its positions."""

    body_hash: bytes
    first_position: int
    last_position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSelection:
    """Criteria, order and number of a thread's messages; `after` is a position in that order.

    With `max_bytes` the selection ends with the message that reaches that size in JSON.
    """

    descending: bool
    limit: int
    max_bytes: int | None = None
    after: int | None = None
    role: str | None = None
    where: Node = ALL


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowBounds:
    """The bounds of a context window: `start` included, `end` excluded; None is no bound.

    The window ends, at its older end, with the message that reaches `max_bytes` of JSON.
    """

    start: datetime | None = None
    end: datetime | None = None
    max_tokens: int | None = None
    max_bytes: int = MAX_WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class MessageRange:
    """Contiguous positions of a thread around hits.

    `best` is the position of the best hit, and `rank` its rank, 0 the first.
    """

    thread_id: str
    first: int
    last: int
    best: int
    rank: int

    def touches(self, other: MessageRange) -> bool:
        """Return whether both ranges overlap or follow each other without a gap."""
        return (
            self.thread_id == other.thread_id
            and self.first <= other.last + 1
            and other.first <= self.last + 1
        )

    def joined(self, other: MessageRange) -> MessageRange:
        """Return the range that covers both."""
        better = min(self, other, key=lambda range: range.rank)
        first, last = min(self.first, other.first), max(self.last, other.last)
        return replace(better, first=first, last=last)

    def contains(self, thread_id: str, position: int) -> bool:
        """Return whether a position of a thread is in this range."""
        return thread_id == self.thread_id and self.first <= position <= self.last


@dataclass(frozen=True, slots=True)
class UnembeddedMessage:
    """A message with text that has no vector yet."""

    id: str
    thread_id: str
    position: int
    text: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class MemoryHolder:
    """The owner of a working memory: a thread, or its resource when `thread_id` is None."""

    resource_id: str
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingMemoryChange:
    """A change of working memory: new text, new JSON, or a merge patch (RFC 7396) of the JSON.

    The store calls `validate` with the resulting JSON before it commits; if that raises, nothing
    changes. `if_version` is the required current version, 0 for a working memory that does not
    exist yet.
    """

    content: str | None
    data: bytes | None
    patch: bytes | None
    if_version: int | None
    validate: Callable[[dict[str, Any]], None]


class TransactionalStore(ABC):
    """A store that groups writes into transactions."""

    @abstractmethod
    def transact(self, operation: Callable[[], R], *, single: bool = False) -> R:
        """Run an operation atomically and return its result.

        The store may run it again after it lost against another transaction. `single` promises
        that the operation calls one method of the store once, so that it needs no transaction of
        its own. Methods that write or lock are called within an operation.
        """

    @abstractmethod
    def after_commit(self, action: Callable[[], None]) -> None:
        """Run an action after the current transaction commits, or at once outside a transaction."""


class ThreadStore(TransactionalStore):
    """Stores threads."""

    @abstractmethod
    def find_thread(self, thread_id: str) -> Thread | None:
        """Return a thread, or None if it does not exist."""

    @abstractmethod
    def lock_thread(self, thread_id: str, *, exclusive: bool = False) -> Thread | None:
        """Return a thread locked until the transaction ends, or None if it does not exist.

        The lock keeps other transactions from appending to the thread and from deleting from it,
        and an `exclusive` one from storing vectors of its messages, too.
        """

    @abstractmethod
    def insert_thread(self, new: NewThread) -> bool:
        """Insert a thread; return False if its id exists already."""

    @abstractmethod
    def list_threads(
        self,
        resource_id: str,
        where: Node,
        *,
        order_by: ThreadOrder,
        descending: bool,
        after: tuple[datetime, str] | None,
        limit: int,
        max_bytes: int,
    ) -> tuple[list[Thread], bool]:
        """Return the threads of a resource with metadata that satisfies a filter.

        They are ordered by a time, then by id. `after` is a place in that order. They end at
        the limit or with the thread that reaches `max_bytes` of JSON. The second value tells
        whether others follow; it is False if no thread is returned.
        """

    @abstractmethod
    def count_threads(self, resource_id: str, where: Node) -> int:
        """Return the number of a resource's threads with metadata that satisfies a filter."""

    @abstractmethod
    def list_aged_threads(
        self,
        before: datetime,
        *,
        resource_ids: Collection[str] | None,
        after: str,
        limit: int,
    ) -> list[str]:
        """Return ids greater than `after`, in order, of threads with something to expire.

        A thread qualifies if any of its messages is older than `before`, or if it has no messages
        and was last used before. Other threads may be included.
        """

    @abstractmethod
    def update_thread(
        self, thread_id: str, *, title: str | None, metadata: bytes, replaces: bool
    ) -> Thread:
        """Set the title unless it is None, change the metadata, and increment the version.

        The top-level keys of `metadata` are merged, or it replaces the stored metadata. The thread
        is locked.
        """

    @abstractmethod
    def move_thread(self, thread_id: str, resource_id: str) -> Thread:
        """Give a thread with its working memory to a resource, and increment the version.

        The thread is locked exclusively. Its messages are recorded as having no vectors.
        """

    @abstractmethod
    def delete_thread(self, thread_id: str) -> None:
        """Delete a locked thread with its messages and its working memory."""


class MessageStore(TransactionalStore):
    """Stores messages: ordered by position in their thread, ids unique across all threads."""

    @abstractmethod
    def append_messages(self, append: MessageAppend) -> list[Message] | None:
        """Append all messages and return them; return None if there is no such thread.

        Positions continue the thread's, and times do not run against them. The thread counts as
        used. Raises Conflict, and stores nothing, if a message's id exists already or if the
        thread has an append with that idempotency key.
        """

    @abstractmethod
    def find_append(self, thread_id: str, idempotency_key: str) -> IdempotentAppend | None:
        """Return the append of a thread with that idempotency key, or None."""

    @abstractmethod
    def copy_messages(self, source_id: str, target_id: str, *, up_to: int | None) -> None:
        """Copy messages up to a position, all if None, into an empty thread, under new ids.

        Positions start from 1. Nothing is copied from a thread that does not exist.
        """

    @abstractmethod
    def list_messages(
        self, thread_id: str, selection: MessageSelection
    ) -> tuple[list[Message], bool]:
        """Return a thread's messages by position, and whether the selection ended before the last.

        The second value is False if no message is returned, as for a thread that does not exist.
        """

    @abstractmethod
    def read_window(self, thread_id: str, bounds: WindowBounds) -> tuple[list[Message], bool]:
        """Return the newest messages within bounds, oldest first, and whether older ones exist.

        The messages are contiguous within `start` and `end`, and their tokens add up to
        `max_tokens` at most. The newest are returned up to the one that reaches `max_bytes`.
        """

    @abstractmethod
    def read_ranges(
        self,
        ranges: Sequence[MessageRange],
        resource_id: str,
        *,
        hit_ids: Sequence[str],
        max_bytes: int,
    ) -> list[Message]:
        """Return the messages in ranges, of threads of that resource only.

        They end with the message that reaches `max_bytes` of JSON, in this order: the hits in the
        order of `hit_ids`; then the others by the rank of their range and, inside a range, by
        their distance from its best hit.
        """

    @abstractmethod
    def find_messages(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None, max_bytes: int
    ) -> tuple[list[Message], bool]:
        """Return messages in the order of their ids, of threads of those resources.

        They end with the one that reaches `max_bytes` of JSON; the second value tells whether
        others follow.
        """

    @abstractmethod
    def lock_threads_of(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None
    ) -> list[Thread]:
        """Return the threads of messages, locked as by lock_thread(), in the order of their ids."""

    @abstractmethod
    def delete_messages(self, thread_id: str, message_ids: list[str]) -> list[str]:
        """Delete messages from a locked thread; return the ids of those that existed."""

    @abstractmethod
    def count_messages_before(self, thread_ids: list[str], before: datetime) -> int:
        """Return the number of older messages in these threads."""

    @abstractmethod
    def delete_messages_before(self, thread_id: str, before: datetime) -> list[str]:
        """Delete a locked thread's messages that are older; return their ids."""


class EmbeddingStateStore(TransactionalStore):
    """Stores for each message whether its vector was made."""

    @abstractmethod
    def list_unembedded(
        self,
        *,
        resource_id: str | None,
        thread_id: str | None,
        resource_ids: Collection[str] | None,
        limit: int,
    ) -> list[UnembeddedMessage]:
        """Return messages that have a text and no vector, by thread and position."""

    @abstractmethod
    def mark_embedded(self, message_ids: list[str]) -> dict[str, str]:
        """Record that messages have vectors, and lock them against deletion.

        Returns the resources of the messages that still exist, by the messages' ids. The threads
        keep their resources until the transaction ends.
        """

    @abstractmethod
    def mark_all_unembedded(self) -> None:
        """Record that no message has a vector."""


class WorkingMemoryStore(TransactionalStore):
    """Stores the working memory of resources and threads."""

    @abstractmethod
    def find_working_memory(self, holder: MemoryHolder) -> dict[MemoryHolder, WorkingMemory]:
        """Return a holder's working memory and, for a thread, its resource's; those that exist."""

    @abstractmethod
    def change_working_memory(
        self, holder: MemoryHolder, change: WorkingMemoryChange
    ) -> WorkingMemory:
        """Apply a change and return the result.

        Raises VersionConflict for another version than required, and ThreadNotFound if the
        holder's thread does not exist.
        """


class MemoryStore(ThreadStore, MessageStore, EmbeddingStateStore, WorkingMemoryStore):
    """All that a backend stores for agent memory."""
