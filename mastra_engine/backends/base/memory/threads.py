"""Threads: creating, reading, updating, cloning and deleting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mastra_engine import failpoints
from mastra_engine.backends.base.memory.limits import (
    checked_metadata,
    checked_title,
    merged_metadata,
)
from mastra_engine.backends.base.memory.message_index import MessageIndex
from mastra_engine.backends.base.memory.scope import (
    MemoryContext,
    MemoryScope,
    checked_version,
    id_or_new,
)
from mastra_engine.backends.base.memory.store import NewThread
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.exceptions import MessageNotFound, ThreadExists, ThreadNotFound, VersionConflict
from mastra_engine.filters.cursors import decode, encode, fingerprint
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.types import UNSET, Order, Page, Thread, ThreadOrder, Unset, WriteMode
from mastra_engine.validation.inputs import choice, count, descends, json_object, moment, name
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.sizes import MAX_PAGE_BYTES


class Threads:
    """The threads of agent memory; each belongs to one resource."""

    def __init__(self, context: MemoryContext, scope: MemoryScope, index: MessageIndex) -> None:
        self._store = context.store
        self._scope = scope
        self._index = index

    def create_thread(
        self,
        *,
        resource_id: str,
        thread_id: str | None = None,
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Create a thread and return it.

        Without `thread_id` the engine chooses an id. Raises ThreadExists.
        """
        new = NewThread(
            resource_id=self._scope.require_resource(resource_id),
            id=id_or_new(thread_id, "/thread_id"),
            title=checked_title(title, "/title"),
            metadata=checked_metadata(metadata, ("metadata",)),
        )

        def create() -> Thread:
            self._insert(new)
            return self._scope.require_thread(new.id)

        return self._store.transact(create)

    def get_thread(self, *, thread_id: str) -> Thread:
        """Return a thread; raises ThreadNotFound."""
        return self._scope.require_thread(name(thread_id, "/thread_id"))

    def list_threads(
        self,
        *,
        resource_id: str,
        metadata: Any = None,
        limit: int = 100,
        cursor: str | None = None,
        order: Order = "desc",
        order_by: ThreadOrder = "updated_at",
    ) -> Page[Thread]:
        """Return a page of a resource's threads, the most recently used first.

        With `order_by="created_at"` the newest come first. `order="asc"` reverses the order.
        `metadata` is a filter over their metadata. A page ends before `limit` when it has 8 MiB of
        JSON.
        """
        resource = self._scope.require_resource(resource_id)
        where = parse_optional_filter(metadata, path=("metadata",))
        descending = descends(order)
        key = cast(ThreadOrder, choice(order_by, "/order_by", "updated_at", "created_at"))
        query = fingerprint("threads", resource, where, descending, key)
        after = None
        if cursor is not None:
            time, last_id = decode(cursor, query, str, str)
            after = moment(time, "/cursor"), last_id
        size = count(limit, "/limit")
        threads, has_more = self._store.list_threads(
            resource,
            where,
            order_by=key,
            descending=descending,
            after=after,
            limit=size,
            max_bytes=MAX_PAGE_BYTES,
        )
        if not has_more:
            return Page(threads)
        last = threads[-1]
        return Page(threads, encode(query, getattr(last, key).isoformat(), last.id))

    def count_threads(self, *, resource_id: str, metadata: Any = None) -> int:
        """Return the number of a resource's threads; `metadata` is a filter over their metadata."""
        resource = self._scope.require_resource(resource_id)
        return self._store.count_threads(
            resource, parse_optional_filter(metadata, path=("metadata",))
        )

    def update_thread(
        self,
        *,
        thread_id: str,
        title: str | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        mode: WriteMode = "merge",
        if_version: int | None = None,
    ) -> Thread:
        """Set the title, change the metadata, and return the thread.

        The top-level keys of `metadata` are merged into the stored ones; with `mode="replace"` it
        replaces them. `if_version` is the version that the thread must have. Raises ThreadNotFound
        and VersionConflict.
        """
        id = name(thread_id, "/thread_id")
        new_title = None if isinstance(title, Unset) else checked_title(title, "/title")
        keys = json_object({} if isinstance(metadata, Unset) else metadata, ("metadata",))
        replaces = choice(mode, "/mode", "replace", "merge") == "replace"
        replaces = replaces and not isinstance(metadata, Unset)
        version = checked_version(if_version)

        def update() -> Thread:
            thread = self._scope.lock_thread(id)
            _require_version(thread, version)
            merged_metadata({} if replaces else thread.metadata, loads(keys), ("metadata",))
            return self._store.update_thread(id, title=new_title, metadata=keys, replaces=replaces)

        return self._store.transact(update)

    @in_steps
    def transfer_thread(
        self, *, thread_id: str, resource_id: str, if_version: int | None = None
    ) -> Steps[Thread]:
        """Give a thread to another resource, with its messages and its working memory; return it.

        The messages keep their ids and positions, and are embedded again. `if_version` is the
        version that the thread must have. Raises ThreadNotFound, NotFound for a resource out of
        scope, and VersionConflict.
        """
        id, version = name(thread_id, "/thread_id"), checked_version(if_version)
        owner = self._scope.require_resource(resource_id)

        def transfer() -> Thread:
            thread = self._scope.lock_thread(id, exclusive=True)
            _require_version(thread, version)
            if thread.resource_id == owner:
                return thread
            self._index.delete_thread(thread)
            failpoints.hit("vectors_deleted")
            return self._store.move_thread(id, owner)

        moved = self._store.transact(transfer)
        yield from self._index.embed_later(id)
        return moved

    @in_steps
    def clone_thread(
        self,
        *,
        thread_id: str,
        new_thread_id: str | None = None,
        resource_id: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        up_to_message_id: str | None = None,
    ) -> Steps[Thread]:
        """Copy a thread, whole or up to and including a message, and return the copy.

        The copy has the original's title and resource unless others are given; `metadata` is
        merged into the original's. Messages get new ids and positions from 1. Working memory is
        not copied.

        Raises ThreadNotFound, MessageNotFound and ThreadExists.
        """
        source = self._scope.require_thread(name(thread_id, "/thread_id"))
        owner = source.resource_id if resource_id is None else resource_id
        added = loads(json_object(metadata, ("metadata",)))
        new = NewThread(
            resource_id=self._scope.require_resource(owner),
            id=id_or_new(new_thread_id, "/new_thread_id"),
            title=source.title if title is None else checked_title(title, "/title"),
            metadata=merged_metadata(source.metadata, added, ("metadata",)),
        )
        last = None if up_to_message_id is None else self._position(source, up_to_message_id)

        def clone() -> Thread:
            self._insert(new)
            failpoints.hit("thread_made")
            self._store.copy_messages(source.id, new.id, up_to=last)
            # The copied messages are not locked. If the source was deleted after it was read,
            # fewer messages or none were copied, and the clone must not stay.
            if self._store.find_thread(source.id) is None:
                raise ThreadNotFound(id=source.id)
            return self._scope.require_thread(new.id)

        thread = self._store.transact(clone)
        yield from self._index.embed_later(thread.id)
        return thread

    def delete_thread(self, *, thread_id: str, if_version: int | None = None) -> Thread:
        """Delete a thread with its messages, their vectors and its working memory; return it.

        `if_version` is the version that the thread must have. Raises ThreadNotFound and
        VersionConflict.
        """
        id, version = name(thread_id, "/thread_id"), checked_version(if_version)

        def delete() -> Thread:
            thread = self._scope.lock_thread(id, exclusive=True)
            _require_version(thread, version)
            self.delete_locked(thread)
            return thread

        return self._store.transact(delete)

    def delete_locked(self, thread: Thread) -> None:
        """Delete a thread that the current transaction has locked, and the messages' vectors.

        The messages go first. A transaction that embeds them holds locks on them, so that by then
        all of its vectors are visible and are deleted.
        """
        self._store.delete_thread(thread.id)
        failpoints.hit("thread_deleted")
        self._index.delete_thread(thread)

    def _insert(self, new: NewThread) -> None:
        if not self._store.insert_thread(new):
            raise ThreadExists(id=new.id)

    def _position(self, thread: Thread, message_id: str) -> int:
        """Return the position of a thread's message; raise MessageNotFound."""
        id = name(message_id, "/up_to_message_id")
        messages, _ = self._store.find_messages(
            [id], resource_ids=self._scope.resource_ids, max_bytes=MAX_PAGE_BYTES
        )
        for message in messages:
            if message.thread_id == thread.id:
                return message.position
        raise MessageNotFound(id=id, thread_id=thread.id)


def _require_version(thread: Thread, version: int | None) -> None:
    if version not in (None, thread.version):
        raise VersionConflict(
            subject=f"Thread {thread.id!r}", expected=version, current=thread.version
        )
