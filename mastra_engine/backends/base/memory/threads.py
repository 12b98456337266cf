"""The contract of threads: the conversations that memory consists of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.exceptions import (
    InvalidInput,
    MessageNotFound,
    NotFound,
    ThreadExists,
    ThreadNotFound,
)
from mastra_engine.filters.ast import ALL, Node
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.types import UNSET, Message, Order, Page, Thread, Unset
from mastra_engine.validation.inputs import (
    count,
    descends,
    json_object,
    moment,
    name,
    names,
    narrowed,
    text,
)
from mastra_engine.validation.jsonb import canonical, loads


@dataclass(frozen=True, slots=True, kw_only=True)
class NewThread:
    """A thread on its way in; `metadata` is canonical JSON."""

    id: str
    resource_id: str
    title: str
    metadata: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages of a thread, and how many; `after` is a position in that order."""

    descending: bool
    limit: int
    after: int | None = None
    role: str | None = None
    where: Node = ALL


class ThreadsContract(ABC):
    """Threads, each of one resource, and being confined to some resources."""

    #: The resources this memory is confined to; None for all.
    resource_ids: frozenset[str] | None = None

    def within(self, *, resource_ids: Iterable[str]) -> Self:
        """Return this memory confined to some resources: what others have is not found.

        Confined once more, it is to those of both.
        """
        confined = copy(self)
        confined.resource_ids = narrowed(self.resource_ids, names(resource_ids, "/resource_ids"))
        return confined

    def create_thread(
        self,
        *,
        resource_id: str,
        thread_id: str | None = None,
        title: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Thread:
        """Create a thread, with an id of its own unless one is given; raises ThreadExists."""
        owner = self._own_resource(resource_id)
        created = self._create_thread(
            NewThread(
                id=new_id(thread_id, "/thread_id"),
                resource_id=owner,
                title=text(title, "/title"),
                metadata=json_object(metadata, ("metadata",)),
            )
        )
        if created is None:
            raise ThreadExists(f"There is already a thread {thread_id!r}")
        return created

    def get_thread(self, *, thread_id: str) -> Thread:
        """Return a thread; raises ThreadNotFound."""
        return self._get_thread(name(thread_id, "/thread_id"))

    def list_threads(
        self,
        *,
        resource_id: str,
        metadata: Any = None,
        limit: int = 100,
        cursor: str | None = None,
        order: Order = "desc",
    ) -> Page[Thread]:
        """Return a page of a resource's threads, those last used first; filtered by metadata."""
        resource = self._own_resource(resource_id)
        where = parse_optional_filter(metadata, path=("metadata",))
        descending = descends(order)
        made_by = fingerprint("threads", resource, where, descending)
        after = None
        if cursor is not None:
            used, id = decode(cursor, made_by, str, str)
            after = moment(used, "/cursor"), id
        size = count(limit, "/limit")
        found = self._list_threads(resource, where, descending, after=after, limit=size + 1)
        return page_of(
            found,
            size,
            lambda thread: encode(made_by, thread.updated_at.isoformat(), thread.id),
        )

    def update_thread(
        self,
        *,
        thread_id: str,
        title: str | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        if_version: int | None = None,
    ) -> Thread:
        """Set the title, merge top-level keys into the metadata; raises ThreadNotFound.

        `if_version` is the version that it must have, else VersionConflict.
        """
        return self._update_thread(
            name(thread_id, "/thread_id"),
            title=None if isinstance(title, Unset) else text(title, "/title"),
            metadata=json_object({} if isinstance(metadata, Unset) else metadata, ("metadata",)),
            if_version=version(if_version),
        )

    def clone_thread(
        self,
        *,
        thread_id: str,
        new_thread_id: str | None = None,
        resource_id: str | None = None,
        title: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        up_to_message_id: str | None = None,
    ) -> Thread:
        """Copy a thread, whole or up to a message, and return the copy.

        Title and resource are the original's unless given; `metadata` is merged into the
        original's. Messages get new ids, and positions from 1. Working memory stays behind.

        Raises ThreadNotFound, MessageNotFound, ThreadExists.
        """
        source = self._get_thread(name(thread_id, "/thread_id"))
        owner = self._own_resource(source.resource_id if resource_id is None else resource_id)
        merged = {**source.metadata, **loads(json_object(metadata, ("metadata",)))}
        new = NewThread(
            id=new_id(new_thread_id, "/new_thread_id"),
            resource_id=owner,
            title=source.title if title is None else text(title, "/title"),
            metadata=canonical(merged, ("metadata",)),
        )
        last = None if up_to_message_id is None else self._position(source, up_to_message_id)
        clone = self._clone_thread(source.id, new, up_to=last)
        if clone is None:
            raise ThreadExists(f"There is already a thread {new_thread_id!r}")
        self._embed_later(clone.id)
        return clone

    def delete_thread(self, *, thread_id: str, if_version: int | None = None) -> Thread:
        """Delete a thread with its messages, their vectors and its working memory; return it.

        `if_version` is the version that it must have, else VersionConflict.
        """
        id = name(thread_id, "/thread_id")
        return self._delete_thread(id, if_version=version(if_version))

    acreate_thread = derive_async(create_thread)
    aget_thread = derive_async(get_thread)
    alist_threads = derive_async(list_threads)
    aupdate_thread = derive_async(update_thread)
    aclone_thread = derive_async(clone_thread)
    adelete_thread = derive_async(delete_thread)

    # What a backend implements

    @abstractmethod
    def _get_thread(self, id: str) -> Thread:
        """Raise ThreadNotFound on a miss, and for what belongs to others."""

    @abstractmethod
    def _create_thread(self, new: NewThread) -> Thread | None:
        """Return None when there is a thread of that id."""

    @abstractmethod
    def _list_threads(
        self,
        resource_id: str,
        where: Node,
        descending: bool,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Thread]:
        """Return threads by time of last use, then by id; past `after` in that order."""

    @abstractmethod
    def _update_thread(
        self, id: str, *, title: str | None, metadata: bytes, if_version: int | None
    ) -> Thread: ...

    @abstractmethod
    def _clone_thread(self, source_id: str, new: NewThread, *, up_to: int | None) -> Thread | None:
        """Copy messages up to a position; return None when there is a thread of the new id."""

    @abstractmethod
    def _delete_thread(self, id: str, *, if_version: int | None = None) -> Thread: ...

    @abstractmethod
    def _messages_by_id(self, ids: list[str]) -> list[Message]: ...

    # Shared steps

    @abstractmethod
    def _embed_later(self, thread_id: str) -> None:
        """See to it that new messages of a thread get their vectors."""

    def _own_resource(self, resource_id: Any) -> str:
        """Return a resource that is within reach; raises NotFound."""
        resource = name(resource_id, "/resource_id")
        if self.resource_ids is not None and resource not in self.resource_ids:
            raise NotFound(f"There is no resource {resource!r}")
        return resource

    def _position(self, thread: Thread, message_id: str) -> int:
        for message in self._messages_by_id([name(message_id, "/up_to_message_id")]):
            if message.thread_id == thread.id:
                return message.position
        raise MessageNotFound

    def _whose(self, resource_id: str | None, thread_id: str | None) -> tuple[str, str | None]:
        """Return the resource and, if it is about one, the thread."""
        owner = None if resource_id is None else name(resource_id, "/resource_id")
        if thread_id is None:
            if owner is None:
                raise InvalidInput("give a resource_id or a thread_id", path="/resource_id")
            return self._own_resource(owner), None
        thread = self._get_thread(name(thread_id, "/thread_id"))
        if owner not in (None, thread.resource_id):
            raise ThreadNotFound
        return thread.resource_id, thread.id


def new_id(given: str | None = None, path: str = "") -> str:
    """Return the id given, or a new one."""
    return str(uuid7()) if given is None else name(given, path)


def with_ids(messages: Iterable[NewMessage]) -> list[NewMessage]:
    """Return messages that all have an id."""
    return [replace(each, id=each.id or new_id()) for each in messages]


def version(given: int | None) -> int | None:
    """Return the version that something must have, if it was given."""
    return None if given is None else count(given, "/if_version")
