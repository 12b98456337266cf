"""Selections of a thread's messages: filters, messages around others, and limits of size."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from mastra_engine.api.renderers import dumps
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.paging import all_items
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.arguments import moment
from mastra_engine.contrib.mastra_server.message_format import role_of
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Message, Thread
from mastra_engine.validation.inputs import count, name, names
from mastra_engine.validation.sizes import MAX_WINDOW_BYTES

T = TypeVar("T", Message, Thread)


def exact_filter(metadata: Any, path: str) -> dict[str, Any] | None:
    """Return the engine's filter for Mastra's, which requires all these values of keys."""
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidInput("must be a JSON object", path=path)
    return {key: {"$eq": value} for key, value in (metadata or {}).items()} or None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """The roles and the times of messages; None admits all of them."""

    roles: frozenset[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    start_exclusive: bool = False
    end_exclusive: bool = False

    @classmethod
    def of(cls, filter: dict[str, Any]) -> MessageFilter:
        """Return the filter of a list request; raises InvalidInput."""
        dates, roles = filter.get("dateRange"), filter.get("roles")
        if dates is None:
            dates = {}
        if not isinstance(dates, dict):
            raise InvalidInput("must be a JSON object", path="/filter/dateRange")
        return cls(
            roles=None if roles is None else frozenset(names(roles, "/filter/roles")),
            start=moment(dates.get("start"), "/filter/dateRange/start"),
            end=moment(dates.get("end"), "/filter/dateRange/end"),
            start_exclusive=dates.get("startExclusive") is True,
            end_exclusive=dates.get("endExclusive") is True,
        )

    @property
    def admits_all(self) -> bool:
        """Whether every message passes."""
        return self.roles is None and self.start is None and self.end is None

    def admits(self, message: Message) -> bool:
        """Return whether a message has one of the roles and a time in the range."""
        # The client sees milliseconds, so that a time it names is one of whole milliseconds.
        time = message.created_at
        time = time.replace(microsecond=time.microsecond // 1000 * 1000)
        if self.start and (time < self.start or (self.start_exclusive and time == self.start)):
            return False
        if self.end and (time > self.end or (self.end_exclusive and time == self.end)):
            return False
        return self.roles is None or role_of(message) in self.roles


def bounded(items: Iterable[T], *, path: str = "") -> list[T]:
    """Return messages or threads of up to 32 MiB of JSON.

    Raises InvalidInput about the argument at `path` for more; without one, the others are left out.
    """
    accepted: list[T] = []
    size = 0
    for item in items:
        size += len(dumps(item))
        if accepted and size > MAX_WINDOW_BYTES:
            if path:
                text = f"asks for more than {MAX_WINDOW_BYTES:,} bytes of JSON; request fewer items"
                raise InvalidInput(text, path=path)
            break
        accepted.append(item)
    return accepted


def included(memory: Memory, include: Any) -> list[Message]:
    """Return the messages that a list request includes by their ids, with those around them."""
    ranges = _ranges(include)
    targets = _read(memory, ranges)
    if not any(map(any, ranges.values())):
        return targets
    by_thread: dict[str, dict[str, tuple[int, int]]] = {}
    for message in targets:
        by_thread.setdefault(message.thread_id, {})[message.id] = ranges[message.id]
    ids = dict.fromkeys(
        id
        for thread_id, own in by_thread.items()
        for id in _around(all_items(memory.list_messages, thread_id=thread_id), own)
    )
    return _read(memory, ids)


def _read(memory: Memory, ids: Iterable[str]) -> list[Message]:
    """Return messages by their ids; raises InvalidInput if they are too large for one answer."""
    try:
        return memory.get_messages_by_id(ids=list(ids))
    except InvalidInput as error:
        raise InvalidInput(error.message, path="/include") from None


def _ranges(include: Any) -> dict[str, tuple[int, int]]:
    """Return the numbers of messages before and after each included one, by its id."""
    if not isinstance(include, list) or not all(isinstance(item, dict) for item in include):
        raise InvalidInput("must be a list of objects with an id", path="/include")
    most = api_settings().max_page
    if len(include) > most:
        raise InvalidInput(f"must have at most {most} items, got {len(include)}", path="/include")

    def number(place: int, key: str) -> int:
        return count(include[place].get(key) or 0, f"/include/{place}/{key}", most=most)

    return {
        name(item.get("id"), f"/include/{place}/id"): (
            number(place, "withPreviousMessages"),
            number(place, "withNextMessages"),
        )
        for place, item in enumerate(include)
    }


def _around(messages: Iterator[Message], ranges: dict[str, tuple[int, int]]) -> Iterator[str]:
    """Yield the ids of messages with ids in `ranges`, and of so many before and after each.

    The messages themselves are not kept, because they may be large.
    """
    earlier: deque[str] = deque(maxlen=max(before for before, _ in ranges.values()))
    waiting, following = len(ranges), 0
    for message in messages:
        if message.id in ranges:
            before, after = ranges[message.id]
            yield from list(earlier)[len(earlier) - min(before, len(earlier)) :]
            yield message.id
            waiting, following = waiting - 1, max(following - 1, after)
        elif following:
            yield message.id
            following -= 1
        elif not waiting:
            return
        earlier.append(message.id)
