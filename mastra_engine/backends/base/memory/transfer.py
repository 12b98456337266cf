"""Threads as JSON Lines, out and in again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson
from asgiref.sync import sync_to_async

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.memory.threads import (
    NewThread,
    Selection,
    ThreadsContract,
    with_ids,
)
from mastra_engine.conversations.messages import NewMessage, new_messages
from mastra_engine.exceptions import InvalidInput, ThreadExists
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import Message, Thread
from mastra_engine.validation.inputs import json_object, name, text

EXPORT_PAGE = 1_000
_EXPORTED = ("id", "role", "content", "tool_call_id", "metadata", "created_at")


class TransferContract(ThreadsContract):
    """Moving a thread to another database, or keeping it in a file."""

    tokenizer: Tokenizer

    def export_thread(self, *, thread_id: str) -> Iterator[str]:
        """Iterate over a thread as lines of JSON, itself first; raises ThreadNotFound at once.

        Messages are read a page of 1,000 at a time.
        """
        return self._exported(self._get_thread(name(thread_id, "/thread_id")))

    async def aexport_thread(self, *, thread_id: str) -> AsyncIterator[str]:
        """See export_thread()."""
        lines = await sync_to_async(self.export_thread)(thread_id=thread_id)
        while batch := await sync_to_async(lambda: list(islice(lines, EXPORT_PAGE)))():
            for line in batch:
                yield line

    def import_thread(
        self,
        *,
        lines: Iterable[str | bytes | Mapping[str, Any]],
        thread_id: str | None = None,
        resource_id: str | None = None,
    ) -> Thread:
        """Make a thread of what export_thread() wrote, whole or not at all, and return it.

        A line is its text or what that says. The thread is the exported resource's unless
        `resource_id` is given. Under another `thread_id` messages get new ids. Positions start
        from 1. Raises ThreadExists, Conflict when a message is stored already, and InvalidInput
        that names the line.
        """
        if isinstance(lines, str | bytes | Mapping) or not isinstance(lines, Iterable):
            raise InvalidInput("must be an iterable of lines", path="/lines")
        written = [_line(line, number) for number, line in enumerate(lines)]
        if not written:
            raise InvalidInput("is empty", path="/lines")
        header, *messages = written
        moved = thread_id is not None and thread_id != header.get("id")
        new = NewThread(
            id=_given_or_written(thread_id, header, "id", "/thread_id"),
            resource_id=self._own_resource(
                _given_or_written(resource_id, header, "resource_id", "/resource_id")
            ),
            title=text(header.get("title", ""), "/lines/0/title"),
            metadata=json_object(header.get("metadata"), ("lines", 0, "metadata")),
        )
        if moved:
            messages = [{**message, "id": None} for message in messages]
        given = new_messages(messages, self.tokenizer, path="lines", start=1)
        stored = self._import_thread(new, with_ids(given))
        if stored is None:
            raise ThreadExists(f"There is already a thread {new.id!r}")
        self._embed_later(new.id)
        return stored

    aimport_thread = derive_async(import_thread)

    # What a backend implements

    @abstractmethod
    def _messages(self, thread_id: str, selection: Selection) -> list[Message]: ...

    @abstractmethod
    def _import_thread(self, new: NewThread, messages: Sequence[NewMessage]) -> Thread | None:
        """Make a thread with its messages; return None when there is one of that id."""

    # Shared steps

    def _exported(self, thread: Thread) -> Iterator[str]:
        yield _json(
            {
                "id": thread.id,
                "resource_id": thread.resource_id,
                "title": thread.title,
                "metadata": thread.metadata,
            }
        )
        page = Selection(descending=False, limit=EXPORT_PAGE)
        while messages := self._messages(thread.id, page):
            for message in messages:
                yield _json({key: getattr(message, key) for key in _EXPORTED})
            page = replace(page, after=messages[-1].position)


def _given_or_written(given: str | None, header: dict[str, Any], key: str, path: str) -> str:
    if given is None:
        return name(header.get(key), f"/lines/0/{key}")
    return name(given, path)


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _line(line: Any, number: int) -> dict[str, Any]:
    try:
        value = line if isinstance(line, Mapping) else orjson.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, Mapping):
        raise InvalidInput("is not a JSON object", path=f"/lines/{number}")
    return dict(value)
