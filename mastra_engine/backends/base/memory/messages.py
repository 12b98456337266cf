"""Messages: saving, listing, deleting and expiring them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mastra_engine import failpoints
from mastra_engine.backends.base.memory.limits import checked_messages
from mastra_engine.backends.base.memory.message_index import MessageIndex
from mastra_engine.backends.base.memory.scope import (
    MemoryContext,
    MemoryScope,
    id_or_new,
)
from mastra_engine.backends.base.memory.store import (
    MessageAppend,
    MessageSelection,
    NewThread,
)
from mastra_engine.backends.base.memory.threads import Threads
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.conversations.messages import ROLES, NewMessage, body_hash
from mastra_engine.exceptions import (
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    ThreadNotFound,
    Unavailable,
)
from mastra_engine.filters.cursors import decode, encode, fingerprint
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.types import Message, MessageLike, Order, Page, Role
from mastra_engine.validation.inputs import choice, count, descends, moment, name, names
from mastra_engine.validation.sizes import MAX_PAGE_BYTES

EXPIRE_PAGE = 100
#: How often to create a thread that others delete before the first append.
RACES = 20


class Messages:
    """The messages of threads, ordered by position."""

    def __init__(
        self, context: MemoryContext, scope: MemoryScope, index: MessageIndex, threads: Threads
    ) -> None:
        self._context = context
        self._store = context.store
        self._scope = scope
        self._index = index
        self._threads = threads

    @in_steps
    def save_memory(
        self,
        *,
        thread_id: str,
        messages: Iterable[MessageLike],
        resource_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Steps[list[Message]]:
        """Append messages to a thread, all or none, and return them with their positions.

        With `resource_id` the thread is created if it does not exist; a thread of another resource
        is not found. With `idempotency_key`, a repeated call returns the stored messages and
        appends nothing; other messages under the same key raise IdempotencyConflict.

        Raises ThreadNotFound, Conflict when a message has the id of a stored one, and InvalidInput
        with the path of the invalid value.
        """
        id = name(thread_id, "/thread_id")
        key = None if idempotency_key is None else name(idempotency_key, "/idempotency_key")
        owner = None if resource_id is None else self._scope.require_resource(resource_id)
        checked = checked_messages(messages, self._context.tokenizer)
        if not checked:
            self._require_or_create(id, owner)
            return []
        append = MessageAppend(
            thread_id=id,
            messages=with_ids(checked),
            resource_ids=self._scope.resource_ids if owner is None else [owner],
            idempotency_key=key,
            body_hash=body_hash(checked),
        )
        try:
            saved = self._append(append, owner)
        except Conflict:
            saved = self._stored_before(append)
        yield from self._index.embed_later(id)
        self._context.messages_saved(id)
        return saved

    def list_messages(
        self,
        *,
        thread_id: str,
        limit: int = 100,
        cursor: str | None = None,
        order: Order = "asc",
        role: Role | None = None,
        metadata: Any = None,
    ) -> Page[Message]:
        """Return a page of a thread's messages, ordered by position.

        `metadata` is a filter over their metadata. A page ends before `limit` when it has 8 MiB of
        JSON. Raises ThreadNotFound.
        """
        id = name(thread_id, "/thread_id")
        where = parse_optional_filter(metadata, path=("metadata",))
        checked_role = None if role is None else choice(role, "/role", *ROLES)
        size = count(limit, "/limit")
        descending = descends(order)
        query = fingerprint("messages", id, checked_role, where, descending)
        selection = MessageSelection(
            descending=descending,
            limit=size,
            max_bytes=MAX_PAGE_BYTES,
            after=None if cursor is None else decode(cursor, query, int)[0],
            role=checked_role,
            where=where,
        )
        messages, has_more = self._store.list_messages(id, selection)
        self._scope.require_thread_of(messages, id)
        return Page(messages, encode(query, messages[-1].position) if has_more else None)

    def get_messages_by_id(self, *, ids: Iterable[str]) -> list[Message]:
        """Return messages in the order of their ids; ids that do not exist are skipped.

        Raises InvalidInput if messages follow those that have 8 MiB of JSON.
        """
        requested_ids = names(ids, "/ids")
        messages, has_more = self._store.find_messages(
            requested_ids, resource_ids=self._scope.resource_ids, max_bytes=MAX_PAGE_BYTES
        )
        if has_more:
            number = requested_ids.index(messages[-1].id) + 1
            message = (
                f"must be ids of messages with {MAX_PAGE_BYTES:,} bytes of JSON in total; the "
                f"first {number:,} of these {len(requested_ids):,} ids have them. Request no more "
                "than these at once"
            )
            raise InvalidInput(message, path="/ids")
        return messages

    def delete_messages(self, *, ids: Iterable[str]) -> int:
        """Delete messages and their vectors; return how many were deleted.

        The other messages keep their positions.
        """
        requested_ids = names(ids, "/ids")

        def delete() -> int:
            deleted = 0
            # All threads are locked, in the order of their ids, before the first message is
            # deleted: two calls with messages of the same threads cannot deadlock.
            for thread in self._store.lock_threads_of(
                requested_ids, resource_ids=self._scope.resource_ids
            ):
                deleted_ids = self._store.delete_messages(thread.id, requested_ids)
                self._index.delete_messages(thread.resource_id, deleted_ids)
                deleted += len(deleted_ids)
            return deleted

        return self._store.transact(delete)

    def expire_messages(
        self, *, before: datetime | str | None = None, dry_run: bool = False
    ) -> int:
        """Delete messages older than `before`, with their vectors; return how many.

        A thread that has no messages left and was not used since `before` is deleted as well.
        Without `before`, messages expire after RETENTION_DAYS of the settings. Each thread is a
        transaction of its own: when the call is interrupted, the threads before stay expired.
        `dry_run` deletes nothing, and returns the number of messages that are older now.

        Raises InvalidInput when neither `before` nor RETENTION_DAYS is set.
        """
        oldest = moment(self._retained_since() if before is None else before, "/before")
        deleted, last = 0, ""
        while thread_ids := self._store.list_aged_threads(
            oldest, resource_ids=self._scope.resource_ids, after=last, limit=EXPIRE_PAGE
        ):
            if dry_run:
                deleted += self._store.count_messages_before(thread_ids, oldest)
            else:
                for id in thread_ids:
                    deleted += self._store.transact(partial(self._expire, id, oldest))
            last = thread_ids[-1]
        return deleted

    def _append(self, append: MessageAppend, owner: str | None) -> list[Message]:
        """Append to an existing thread or, with an owner, to a new one."""
        store = self._store
        # Most threads exist. Then one statement appends, and needs no transaction around it.
        saved = store.transact(lambda: store.append_messages(append), single=True)
        if saved is None and owner is not None:
            saved = self._append_to_new(append, NewThread(id=append.thread_id, resource_id=owner))
        if saved is None:
            raise ThreadNotFound(id=append.thread_id)
        return saved

    def _append_to_new(self, append: MessageAppend, new: NewThread) -> list[Message] | None:
        """Create the thread and append to it; return None if it is another resource's."""
        store = self._store

        def insert_and_append() -> list[Message] | None:
            # Another process may have created the thread by now. That is no conflict: the
            # append goes to that thread, if it is the owner's.
            store.insert_thread(new)
            failpoints.hit("thread_made")
            return store.append_messages(append)

        for _ in range(RACES):
            saved = store.transact(insert_and_append)
            if saved is not None:
                return saved
            # A thread that another process created is not inserted, and may be deleted before
            # the append reaches it. Then the append has to create it after all.
            thread = store.find_thread(new.id)
            if thread is not None and thread.resource_id != new.resource_id:
                return None
        raise Unavailable(
            f"Thread {new.id!r} was deleted by other processes {RACES} times in a row"
        )

    def _stored_before(self, append: MessageAppend) -> list[Message]:
        """Return the messages that the same call stored before; raise Conflict if it did not.

        A repeated call conflicts at the ids of its messages or, if the messages come without ids,
        at its key. The stored key and hash distinguish both from a real conflict.
        """
        key, thread_id = append.idempotency_key, append.thread_id
        earlier = None if key is None else self._store.find_append(thread_id, key)
        if earlier is None:
            raise Conflict("A message with that id exists already; ids are unique in all threads")
        if earlier.body_hash != append.body_hash:
            raise IdempotencyConflict(key=key)
        size = earlier.last_position - earlier.first_position + 1
        selection = MessageSelection(descending=False, limit=size, after=earlier.first_position - 1)
        messages, _ = self._store.list_messages(thread_id, selection)
        # Deleted messages leave gaps, so that later messages may follow within the limit.
        return [message for message in messages if message.position <= earlier.last_position]

    def _require_or_create(self, thread_id: str, owner: str | None) -> None:
        """Create the thread for its owner, if one is named; raise ThreadNotFound."""
        if owner is not None:
            new = NewThread(id=thread_id, resource_id=owner)
            self._store.transact(lambda: self._store.insert_thread(new))
        self._scope.resolve(owner, thread_id)

    def _expire(self, thread_id: str, before: datetime) -> int:
        """Delete a thread's older messages, and the thread if it is unused and empty by then."""
        thread = self._store.lock_thread(thread_id)
        if thread is None:  # deleted since it was listed
            return 0
        deleted_ids = self._store.delete_messages_before(thread_id, before)
        self._index.delete_messages(thread.resource_id, deleted_ids)
        if len(deleted_ids) == thread.message_count and thread.updated_at < before:
            self._threads.delete_locked(thread)
        return len(deleted_ids)

    def _retained_since(self) -> datetime:
        days = self._context.retention_days
        if days is None:
            raise InvalidInput("is required because RETENTION_DAYS is not set", path="/before")
        return datetime.now(UTC) - timedelta(days=days)


def with_ids(messages: Iterable[NewMessage]) -> list[NewMessage]:
    """Return messages with a new id for each that has none."""
    return [replace(message, id=message.id or id_or_new()) for message in messages]
