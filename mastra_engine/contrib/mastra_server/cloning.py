"""Clones of threads, whole or with some of their messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import uuid4

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import all_items
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.arguments import date_text, moment
from mastra_engine.contrib.mastra_server.message_format import from_engine
from mastra_engine.contrib.mastra_server.selection import MessageFilter, bounded
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Message, Thread
from mastra_engine.validation.inputs import count, names

_COPIED = ("role", "content", "tool_call_id", "metadata", "created_at")


def clone(
    memory: Memory, thread_id: str, body: dict[str, Any]
) -> tuple[Thread, list[dict[str, Any]]]:
    """Clone a thread as a request asks; return the copy and its first messages.

    Those are as many as a page of the API may have, and 32 MiB at most.
    """
    source = memory.get_thread(thread_id=thread_id)
    usual = f"Clone of {source.title}" if source.title else ""
    title = body.get("title") or usual
    metadata = _metadata(source, body.get("metadata"))
    options = _object(body, "options", "/options")
    if options:
        thread = _copy_some(memory, source, body.get("newThreadId"), title, metadata, options)
    else:
        thread = memory.clone_thread(
            thread_id=source.id,
            new_thread_id=body.get("newThreadId"),
            title=title,
            metadata=metadata,
        )
    copied = all_items(memory.list_messages, thread_id=thread.id)
    first = bounded(islice(copied, api_settings().max_page))
    return thread, [from_engine(message, thread.resource_id) for message in first]


def _metadata(source: Thread, metadata: Any) -> dict[str, Any]:
    """Return the metadata of a clone, which names the original as Mastra's does."""
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInput("must be a JSON object", path="/metadata")
    origin = {"sourceThreadId": source.id, "clonedAt": date_text(datetime.now(UTC))}
    return {**(metadata or {}), "clone": origin}


def _copy_some(
    memory: Memory,
    source: Thread,
    id: Any,
    title: str,
    metadata: dict[str, Any],
    options: dict[str, Any],
) -> Thread:
    """Create a thread with the messages that the options select."""
    header = {
        "id": source.id,
        "resource_id": source.resource_id,
        "title": title,
        "metadata": {**source.metadata, **metadata},
    }
    newest_first = all_items(memory.list_messages, thread_id=source.id, order="desc")
    selected = bounded(_selected(newest_first, options), path="/options")
    lines = [{key: getattr(message, key) for key in _COPIED} for message in reversed(selected)]
    return memory.import_thread(
        lines=[header, *lines], thread_id=str(uuid4()) if id is None else id
    )


def _selected(newest_first: Iterable[Message], options: dict[str, Any]) -> Iterable[Message]:
    """Return the messages that pass the filter of the options, up to their limit."""
    filter = _object(options, "messageFilter", "/options/messageFilter")
    limit, ids = options.get("messageLimit"), filter.get("messageIds")
    times = MessageFilter(
        start=moment(filter.get("startDate"), "/options/messageFilter/startDate"),
        end=moment(filter.get("endDate"), "/options/messageFilter/endDate"),
    )
    requested = None if ids is None else set(names(ids, "/options/messageFilter/messageIds"))
    selected = (
        message
        for message in newest_first
        if times.admits(message) and (requested is None or message.id in requested)
    )
    return islice(selected, None if limit is None else count(limit, "/options/messageLimit"))


def _object(values: dict[str, Any], key: str, path: str) -> dict[str, Any]:
    value = values.get(key)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput("must be a JSON object", path=path)
    return value or {}
