"""A LangChain chat message history over `engine.memory`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from asgiref.sync import sync_to_async
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

import mastra_engine
from mastra_engine import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import all_items
from mastra_engine.contrib.langchain.messages import from_engine, to_engine
from mastra_engine.exceptions import ThreadNotFound
from mastra_engine.types import Message


class EngineChatMessageHistory(BaseChatMessageHistory):
    """The messages of a thread, which is created with its first message.

    Messages that others saved to the thread are part of the history too. A thread of another
    resource has no messages here, and adding one raises ThreadNotFound.
    """

    def __init__(
        self, *, thread_id: str, resource_id: str, engine: MastraEngine | None = None
    ) -> None:
        super().__init__()
        self.thread_id = thread_id
        self.resource_id = resource_id
        self.engine = mastra_engine.engine if engine is None else engine

    @property
    def messages(self) -> list[BaseMessage]:
        """All messages of the thread, oldest first."""
        return [message for stored in self._stored() for message in from_engine(stored)]

    async def aget_messages(self) -> list[BaseMessage]:
        """Return all messages of the thread, oldest first."""
        return await sync_to_async(lambda: self.messages)()

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append messages, all or none."""
        self._memory.save_memory(
            thread_id=self.thread_id,
            resource_id=self.resource_id,
            messages=list(map(to_engine, messages)),
        )

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """See add_messages()."""
        await self._memory.asave_memory(
            thread_id=self.thread_id,
            resource_id=self.resource_id,
            messages=list(map(to_engine, messages)),
        )

    def clear(self) -> None:
        """Delete the messages; the thread itself remains."""
        self._memory.delete_messages(ids=[message.id for message in self._stored()])

    async def aclear(self) -> None:
        """See clear()."""
        await sync_to_async(self.clear)()

    @property
    def _memory(self) -> Memory:
        return self.engine.memory.within(resource_ids=[self.resource_id])

    def _stored(self) -> list[Message]:
        messages: list[Message] = []
        with suppress(ThreadNotFound):  # it is created with its first message
            messages += all_items(self._memory.list_messages, thread_id=self.thread_id)
        return messages
