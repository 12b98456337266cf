"""Agent memory as one service, made of the services of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Generic, Self, TypeVar, overload

from asgiref.sync import sync_to_async

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.delegation import delegate
from mastra_engine.backends.base.event_loop import refuse_in_event_loop
from mastra_engine.backends.base.memory.message_index import MessageIndex
from mastra_engine.backends.base.memory.messages import Messages
from mastra_engine.backends.base.memory.recall import Recall
from mastra_engine.backends.base.memory.scope import MemoryContext, MemoryScope
from mastra_engine.backends.base.memory.store import MemoryStore
from mastra_engine.backends.base.memory.threads import Threads
from mastra_engine.backends.base.memory.transfer import Transfer
from mastra_engine.backends.base.memory.views import Views
from mastra_engine.backends.base.memory.working_memory import WorkingMemories
from mastra_engine.backends.base.paging import aiter_items
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.conversations.tokens import estimate
from mastra_engine.protocols import RunQueue, Tokenizer
from mastra_engine.validation.inputs import names, narrowed

T = TypeVar("T")


_delegate = partial(delegate, owner="Memory")


class _Option(Generic[T]):
    """An attribute of Memory that is stored in its context, where the services read it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, memory: None, owner: type) -> Self: ...
    @overload
    def __get__(self, memory: Memory, owner: type) -> T: ...
    def __get__(self, memory: Memory | None, owner: type) -> Self | T:
        if memory is None:
            return self
        value: T = getattr(memory.context, self._name)
        return value

    def __set__(self, memory: Memory, value: T) -> None:
        setattr(memory.context, self._name, value)


@refuse_in_event_loop
class Memory:
    """Agent memory, reached as `engine.memory`. Every method has an async variant."""

    tokenizer = _Option[Tokenizer]()
    working_memory_schema = _Option[Mapping[str, Any] | None]()
    retention_days = _Option[float | None]()
    index_name = _Option[str]()
    embeds_at_once = _Option[bool]()
    queue = _Option[RunQueue | None]()

    def __init__(
        self,
        store: MemoryStore,
        vectors: Vectors,
        *,
        tokenizer: Tokenizer = estimate,
        working_memory_schema: Mapping[str, Any] | None = None,
        retention_days: float | None = None,
    ) -> None:
        self._assemble(
            MemoryContext(
                store=store,
                vectors=vectors,
                tokenizer=tokenizer,
                working_memory_schema=working_memory_schema,
                retention_days=retention_days,
            )
        )

    def _assemble(self, context: MemoryContext) -> None:
        self.context = context
        self.scope = MemoryScope(context)
        self.message_index = MessageIndex(context, self.scope)
        self.threads = Threads(context, self.scope, self.message_index)
        self.messages = Messages(context, self.scope, self.message_index, self.threads)
        self.semantic_recall = Recall(context, self.scope, self.message_index)
        self.working_memories = WorkingMemories(context, self.scope)
        self.views = Views(context, self.scope, self.semantic_recall, self.working_memories)
        self.transfer = Transfer(context, self.scope, self.message_index)

    @property
    def vectors(self) -> Vectors:
        """The vectors that hold the index of messages."""
        return self.context.vectors

    @property
    def resource_ids(self) -> frozenset[str] | None:
        """The resources in scope; None for all."""
        return self.context.resource_ids

    def __repr__(self) -> str:
        embedder = self.vectors.embedder
        scope = "" if self.resource_ids is None else f" resource_ids={sorted(self.resource_ids)!r}"
        name = "None" if embedder is None else type(embedder).__name__
        return f"<{type(self).__name__} index={self.index_name!r} embedder={name}{scope}>"

    def within(self, *, resource_ids: Iterable[str]) -> Self:
        """Return this memory restricted to some resources; others are not found.

        Restricting it again leaves the resources that are in both.
        """
        allowed = narrowed(self.resource_ids, names(resource_ids, "/resource_ids"))
        restricted = copy(self)
        restricted._assemble(replace(self.context, resource_ids=allowed))
        return restricted

    create_thread = _delegate("threads", Threads.create_thread)
    get_thread = _delegate("threads", Threads.get_thread)
    list_threads = _delegate("threads", Threads.list_threads)
    count_threads = _delegate("threads", Threads.count_threads)
    update_thread = _delegate("threads", Threads.update_thread)
    transfer_thread = _delegate("threads", Threads.transfer_thread)
    clone_thread = _delegate("threads", Threads.clone_thread)
    delete_thread = _delegate("threads", Threads.delete_thread)

    save_memory = _delegate("messages", Messages.save_memory)
    list_messages = _delegate("messages", Messages.list_messages)
    get_messages_by_id = _delegate("messages", Messages.get_messages_by_id)
    delete_messages = _delegate("messages", Messages.delete_messages)
    expire_messages = _delegate("messages", Messages.expire_messages)

    get_memory = _delegate("views", Views.get_memory)
    get_context_window = _delegate("views", Views.get_context_window)

    recall = _delegate("semantic_recall", Recall.recall)
    embed_pending = _delegate("message_index", MessageIndex.embed_pending)
    prepare_index = _delegate("message_index", MessageIndex.prepare_index)
    reembed = _delegate("message_index", MessageIndex.reembed)

    get_working_memory = _delegate("working_memories", WorkingMemories.get_working_memory)
    update_working_memory = _delegate("working_memories", WorkingMemories.update_working_memory)
    working_memory_tool = _delegate("working_memories", WorkingMemories.working_memory_tool)

    export_thread = _delegate("transfer", Transfer.export_thread)
    import_thread = _delegate("transfer", Transfer.import_thread)

    acreate_thread = derive_async(create_thread)
    aget_thread = derive_async(get_thread)
    alist_threads = derive_async(list_threads)
    acount_threads = derive_async(count_threads)
    aupdate_thread = derive_async(update_thread)
    atransfer_thread = derive_async(transfer_thread)
    aclone_thread = derive_async(clone_thread)
    adelete_thread = derive_async(delete_thread)

    asave_memory = derive_async(save_memory)
    alist_messages = derive_async(list_messages)
    aget_messages_by_id = derive_async(get_messages_by_id)
    adelete_messages = derive_async(delete_messages)
    aexpire_messages = derive_async(expire_messages)

    aget_memory = derive_async(get_memory)
    aget_context_window = derive_async(get_context_window)

    arecall = derive_async(recall)
    aembed_pending = derive_async(embed_pending)
    aprepare_index = derive_async(prepare_index)
    areembed = derive_async(reembed)

    aget_working_memory = derive_async(get_working_memory)
    aupdate_working_memory = derive_async(update_working_memory)
    aworking_memory_tool = derive_async(working_memory_tool)

    aimport_thread = derive_async(import_thread)

    async def aexport_thread(self, *, thread_id: str) -> AsyncIterator[str]:
        """See export_thread()."""
        lines = await sync_to_async(self.export_thread)(thread_id=thread_id)
        async for line in aiter_items(lines):
            yield line
