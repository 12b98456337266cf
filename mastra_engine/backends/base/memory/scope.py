"""The store, the options and the scope that the services of agent memory share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.memory.store import MemoryStore
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conversations.tokens import estimate
from mastra_engine.exceptions import InvalidInput, NotFound, ThreadNotFound, quoted
from mastra_engine.protocols import RunQueue, Tokenizer
from mastra_engine.types import Fact, Message, Thread
from mastra_engine.validation.inputs import count, name


@dataclass(kw_only=True)
class MemoryContext:
    """The store, the options and the scope of one `engine.memory`."""

    store: MemoryStore
    vectors: Vectors
    tokenizer: Tokenizer = estimate
    #: A JSON Schema that the JSON of working memory must satisfy, if any.
    working_memory_schema: Mapping[str, Any] | None = None
    #: The number of days after which messages expire; None keeps them for ever.
    retention_days: float | None = None
    #: The vector index of messages. A message's vector is in the namespace of its resource.
    index_name: str = "memory"
    #: Whether saving a message embeds it, or leaves that to embed_pending().
    embeds_at_once: bool = True
    #: Sends threads to the workers that embed them; without it, this process embeds them.
    queue: RunQueue | None = None
    #: Returns at most 1,000 current facts about a resource, pinned ones first; an engine sets it.
    current_facts: Callable[[str], list[Fact]] = lambda resource_id: []
    #: Called with the id of a thread to which messages were appended; an engine sets it.
    messages_saved: Callable[[str], None] = lambda thread_id: None
    #: The resources in scope; None for all.
    resource_ids: frozenset[str] | None = None


class MemoryScope:
    """Finds threads and resources, and refuses those outside the scope."""

    def __init__(self, context: MemoryContext) -> None:
        self._context = context
        self._store = context.store

    @property
    def resource_ids(self) -> frozenset[str] | None:
        """The resources in scope; None for all."""
        return self._context.resource_ids

    def require_resource(self, resource_id: Any) -> str:
        """Return a validated resource id; raise NotFound if it is out of scope."""
        resource = name(resource_id, "/resource_id")
        if self.resource_ids is not None and resource not in self.resource_ids:
            raise NotFound(f"Resource {quoted(resource)} does not exist")
        return resource

    def require_thread(self, thread_id: str) -> Thread:
        """Return a thread; raise ThreadNotFound if it does not exist or is out of scope."""
        return self._in_scope(self._store.find_thread(thread_id), thread_id)

    def lock_thread(self, thread_id: str, *, exclusive: bool = False) -> Thread:
        """Return a thread locked by the current transaction; raise ThreadNotFound."""
        thread = self._store.lock_thread(thread_id, exclusive=exclusive)
        return self._in_scope(thread, thread_id)

    def require_thread_of(self, messages: Sequence[Message], thread_id: str) -> None:
        """Raise ThreadNotFound unless messages prove that their thread exists and is in scope.

        Most reads return messages, and then the thread itself need not be read.
        """
        if not messages or self.resource_ids is not None:
            self.require_thread(thread_id)

    def resolve(self, resource_id: str | None, thread_id: str | None) -> tuple[str, str | None]:
        """Return the resource and, if one is named, the thread that a call refers to.

        Raises NotFound for a resource out of scope, ThreadNotFound for a thread that is out of
        scope or belongs to another resource, and InvalidInput when neither is named.
        """
        owner = None if resource_id is None else name(resource_id, "/resource_id")
        if thread_id is None:
            if owner is None:
                raise InvalidInput("give a resource_id or a thread_id", path="/resource_id")
            return self.require_resource(owner), None
        thread = self.require_thread(name(thread_id, "/thread_id"))
        if owner not in (None, thread.resource_id):
            raise ThreadNotFound(id=thread.id)
        return thread.resource_id, thread.id

    def _in_scope(self, thread: Thread | None, thread_id: str) -> Thread:
        resources = self.resource_ids
        if thread is None or not (resources is None or thread.resource_id in resources):
            raise ThreadNotFound(id=thread_id)
        return thread


def id_or_new(id: str | None = None, path: str = "") -> str:
    """Return a validated id, or a new one for None."""
    return str(uuid7()) if id is None else name(id, path)


def checked_version(if_version: int | None) -> int | None:
    """Return a validated `if_version`; None requires no version."""
    return None if if_version is None else count(if_version, "/if_version")
