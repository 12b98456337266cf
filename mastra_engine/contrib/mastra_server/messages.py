"""Views of messages: listing, saving and deleting them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any

from django.db import transaction

from mastra_engine.api.views import route
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import all_items
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.arguments import (
    Paging,
    Query,
    json_object,
    json_value,
    ordering,
)
from mastra_engine.contrib.mastra_server.message_format import from_engine, to_engine
from mastra_engine.contrib.mastra_server.selection import (
    MessageFilter,
    bounded,
    exact_filter,
    included,
)
from mastra_engine.contrib.mastra_server.views import MastraView, call
from mastra_engine.exceptions import Conflict, InvalidInput
from mastra_engine.types import Message, Thread
from mastra_engine.validation.inputs import name, names

_READS = ("view_thread", "view_message")


class MessagesView(MastraView):
    @call(*_READS)
    def get(self, thread_id: str) -> Any:
        """List a page of a thread's messages, and those that the request includes."""
        query = self.request.query_params
        paging = Paging.of(query, usual=40)
        order = ordering(query, "createdAt")
        memory = self.memory_of(query.get("resourceId"))
        thread = memory.get_thread(thread_id=thread_id)
        # With an agent's id Mastra answers with the messages that the agent would remember: the
        # newest ones, in the order of time.
        newest = order is None and "agentId" in query
        descending = order is not None and order[1] == "DESC"
        messages, total = _page(memory, thread, paging, query, descending=newest or descending)
        info = paging.info(total=total, size=len(messages))
        if (include := json_value(query, "include")) is not None:
            messages = [
                *{item.id: item for item in [*messages, *included(memory, include)]}.values()
            ]
            messages.sort(key=lambda item: (item.created_at, item.position), reverse=descending)
        elif newest:
            messages.reverse()
        listed = [from_engine(message, thread.resource_id) for message in messages]
        return {"messages": listed, **info, "uiMessages": None}


class SaveMessagesView(MastraView):
    @call("add_message", *_READS)
    def post(self) -> Any:
        """Save messages, all or none; those that are stored already are answered as stored."""
        messages: Any = self.body.get("messages")
        by_thread = _by_thread(messages)
        saved: dict[int, dict[str, Any]] = {}
        with self._all_or_none(len(by_thread)):
            for (thread_id, resource_id), places in by_thread.items():
                memory = self.memory_of(resource_id)
                new = [to_engine(messages[place], ("messages", place)) for place in places]
                with _callers_paths(places):
                    stored = _save(memory, thread_id, new)
                for place, message in zip(places, stored, strict=True):
                    saved[place] = from_engine(message, resource_id)
        return {"messages": [saved[place] for place in sorted(saved)]}

    def _all_or_none(self, threads: int) -> AbstractContextManager[Any]:
        """Open a transaction if more than one thread is written to; each call is one itself."""
        database = self.engine.database
        return transaction.atomic(using=database) if threads > 1 and database else nullcontext()


class DeleteMessagesView(MastraView):
    @call("delete_message")
    def post(self) -> Any:
        """Delete messages; ids that do not exist in the user's scope are ignored."""
        memory = self.memory_of(self.request.query_params.get("resourceId"))
        ids = self.body.get("messageIds")
        values = ids if isinstance(ids, list) else [ids]
        requested = [value.get("id") if isinstance(value, dict) else value for value in values]
        deleted = memory.delete_messages(ids=names(requested, "/messageIds"))
        plural = "" if deleted == 1 else "s"
        return {"success": True, "message": f"{deleted} message{plural} deleted successfully"}


def _page(
    memory: Memory, thread: Thread, paging: Paging, query: Query, *, descending: bool
) -> tuple[list[Message], int]:
    """Return a page of the messages that pass the filter, and how many these are in all."""
    conditions = json_object(query, "filter")
    selection = MessageFilter.of(conditions)
    where = exact_filter(conditions.get("metadata"), "/filter/metadata")
    if paging.size == 0:  # a request for included messages alone
        return [], 0
    messages = all_items(
        memory.list_messages,
        thread_id=thread.id,
        metadata=where,
        order="desc" if descending else "asc",
        limit=paging.limit,
    )
    if where is None and selection.admits_all:
        selected = paging.select(messages) if paging.skipped < thread.message_count else iter(())
        return bounded(selected, path="/perPage"), thread.message_count
    numbers = count()
    matches = (item for item, _ in zip(filter(selection.admits, messages), numbers, strict=False))
    page = bounded(paging.select(matches), path="/perPage")
    deque(matches, maxlen=0)  # to count the rest
    return page, next(numbers)


def _by_thread(messages: Any) -> dict[tuple[str, str], list[int]]:
    """Return the places of messages in the request, by their thread and its resource."""
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        raise InvalidInput("must be a list of messages", path="/messages")
    if len(messages) > (most := api_settings().max_items):
        raise InvalidInput(f"must have at most {most} items, got {len(messages)}", path="/messages")
    by_thread: dict[tuple[str, str], list[int]] = {}
    for place, message in enumerate(messages):
        thread_id = name(message.get("threadId"), f"/messages/{place}/threadId")
        resource_id = name(message.get("resourceId"), f"/messages/{place}/resourceId")
        by_thread.setdefault((thread_id, resource_id), []).append(place)
    return by_thread


def _save(memory: Memory, thread_id: str, messages: list[dict[str, Any]]) -> list[Message]:
    """Append messages, without those that an earlier, repeated request has stored."""
    try:
        return memory.save_memory(thread_id=thread_id, messages=messages)
    except Conflict:
        ids = [message["id"] for message in messages if message["id"] is not None]
        stored = {message.id: message for message in memory.get_messages_by_id(ids=ids)}
        missing = [message for message in messages if message["id"] not in stored]
        for message in messages:
            if message["id"] in stored and not _equal(stored[message["id"]], thread_id, message):
                raise
    saved = iter(memory.save_memory(thread_id=thread_id, messages=missing))
    return [stored.get(message["id"]) or next(saved) for message in messages]


def _equal(stored: Message, thread_id: str, message: dict[str, Any]) -> bool:
    return (stored.thread_id, stored.role, stored.content, stored.metadata) == (
        thread_id,
        message["role"],
        message["content"],
        message["metadata"],
    )


@contextmanager
def _callers_paths(places: list[int]) -> Iterator[None]:
    """Make errors name the places of the request, not those of the engine's arguments."""
    try:
        yield
    except InvalidInput as error:
        first, *keys = error.path.removeprefix("/").split("/")
        if first == "messages" and keys and keys[0].isdigit():
            place, *keys = keys
            inner = {"content": ["content", "parts"], "metadata": ["content", "metadata"]}
            keys = [*inner.get(keys[0], keys[:1]), *keys[1:]] if keys else keys
            error.path = "/".join(["", first, str(places[int(place)]), *keys])
        raise


urlpatterns = [
    route("memory/threads/<str:thread_id>/messages", MessagesView, name="messages"),
    route("memory/save-messages", SaveMessagesView, name="save-messages"),
    route("memory/messages/delete", DeleteMessagesView, name="messages-delete"),
]
