"""Exporting threads as JSON Lines and importing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from mastra_engine.backends.base.memory.limits import (
    checked_messages,
    checked_metadata,
    checked_title,
)
from mastra_engine.backends.base.memory.message_index import MessageIndex
from mastra_engine.backends.base.memory.messages import with_ids
from mastra_engine.backends.base.memory.scope import MemoryContext, MemoryScope
from mastra_engine.backends.base.memory.store import MessageAppend, MessageSelection, NewThread
from mastra_engine.backends.base.paging import PAGE
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.exceptions import InvalidInput, ThreadExists
from mastra_engine.types import Thread
from mastra_engine.validation.inputs import name
from mastra_engine.validation.jsonb import plain_keys, plain_text
from mastra_engine.validation.sizes import MAX_PAGE_BYTES

_EXPORTED = ("id", "role", "content", "tool_call_id", "metadata", "created_at")


class Transfer:
    """Moves threads to another database or into a file."""

    def __init__(self, context: MemoryContext, scope: MemoryScope, index: MessageIndex) -> None:
        self._context = context
        self._store = context.store
        self._scope = scope
        self._index = index

    def export_thread(self, *, thread_id: str) -> Iterator[str]:
        """Return an iterator over a thread as lines of JSON: the thread, then its messages.

        Messages are read in pages of 1,000 or of 8 MiB. Raises ThreadNotFound at once, not while
        iterating.
        """
        return self._export(self._scope.require_thread(name(thread_id, "/thread_id")))

    @in_steps
    def import_thread(
        self,
        *,
        lines: Iterable[str | bytes | Mapping[str, Any]],
        thread_id: str | None = None,
        resource_id: str | None = None,
    ) -> Steps[Thread]:
        """Create a thread from the lines of export_thread(), all or nothing, and return it.

        A line is JSON text or the object that it contains. Without `resource_id` the thread
        belongs to the exported resource. Under another `thread_id` messages get new ids. Positions
        start from 1. Raises ThreadExists, Conflict when a message exists already, and InvalidInput
        with the path of the line.
        """
        if isinstance(lines, str | bytes | Mapping) or not isinstance(lines, Iterable):
            raise InvalidInput("must be an iterable of lines", path="/lines")
        objects = [_parsed(line, number) for number, line in enumerate(lines)]
        if not objects:
            raise InvalidInput("is empty; the first line must be the thread", path="/lines")
        header, *messages = objects
        owner = _argument_or_header(resource_id, header, "resource_id", "/resource_id")
        new = NewThread(
            id=_argument_or_header(thread_id, header, "id", "/thread_id"),
            resource_id=self._scope.require_resource(owner),
            title=checked_title(header.get("title", ""), "/lines/0/title"),
            metadata=checked_metadata(header.get("metadata"), ("lines", 0, "metadata")),
        )
        if new.id != header.get("id"):
            messages = [{**message, "id": None} for message in messages]
        checked = checked_messages(messages, self._context.tokenizer, path="lines", start=1)
        append = MessageAppend(thread_id=new.id, messages=with_ids(checked))

        def insert() -> Thread:
            if not self._store.insert_thread(new):
                raise ThreadExists(id=new.id)
            self._store.append_messages(append)
            return self._scope.require_thread(new.id)

        thread = self._store.transact(insert)
        yield from self._index.embed_later(new.id)
        return thread

    def _export(self, thread: Thread) -> Iterator[str]:
        header = {
            "id": thread.id,
            "resource_id": thread.resource_id,
            "title": thread.title,
            "metadata": thread.metadata,
        }
        yield json_line(header)
        page = MessageSelection(descending=False, limit=PAGE, max_bytes=MAX_PAGE_BYTES)
        has_more = True
        while has_more:
            messages, has_more = self._store.list_messages(thread.id, page)
            for message in messages:
                yield json_line({key: getattr(message, key) for key in _EXPORTED})
            page = replace(page, after=messages[-1].position if messages else None)


def _argument_or_header(argument: str | None, header: dict[str, Any], key: str, path: str) -> str:
    if argument is None:
        return name(header.get(key), f"/lines/0/{key}")
    return name(argument, path)


def json_line(value: dict[str, Any]) -> str:
    """Return a line of an export, with times in UTC whatever the time zone of the database is."""
    in_utc = {
        key: item.astimezone(UTC) if isinstance(item, datetime) else item
        for key, item in value.items()
    }
    return orjson.dumps(in_utc, option=orjson.OPT_UTC_Z).decode()


def _parsed(line: Any, number: int) -> dict[str, Any]:
    line = plain_text(line)
    try:
        value = line if isinstance(line, Mapping) else orjson.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, Mapping):
        raise InvalidInput("is not a JSON object", path=f"/lines/{number}")
    return plain_keys(value)
