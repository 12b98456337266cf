"""Exporting the stored data of a resource as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import orjson

from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import FactNotFound, ThreadNotFound
from mastra_engine.types import Page

T = TypeVar("T")

EXPORT_PAGE = 1_000


def exported(resource_id: str, memory: Memory, state: State, facts: Facts) -> Iterator[str]:
    """Yield everything of a resource as lines of JSON, read in pages.

    Rows that are deleted meanwhile are left out.
    """
    yield from _working_memory(memory, resource_id=resource_id)
    list_threads = partial(memory.list_threads, order="asc", order_by="created_at")
    for thread in _pages(partial(list_threads, resource_id=resource_id)):
        with suppress(ThreadNotFound):
            yield _line("thread", asdict(thread))
            yield from _working_memory(memory, thread_id=thread.id)
            for message in _pages(partial(memory.list_messages, thread_id=thread.id)):
                yield _line("message", asdict(message))
    for item in _pages(partial(state.list_items, namespace_prefix=(resource_id,))):
        yield _line("state_item", asdict(item))
    versions = partial(facts.list_facts, resource_id=resource_id, include_superseded=True)
    for fact in _pages(versions):
        with suppress(FactNotFound):
            sources = [asdict(source) for source in facts.sources(id=fact.id)]
            yield _line("fact", {**asdict(fact), "sources": sources})


def _working_memory(memory: Memory, **holder: str) -> Iterator[str]:
    stored = memory.get_working_memory(**holder)
    if stored.version:
        yield _line("working_memory", {**holder, **asdict(stored)})


def _pages(read: Callable[..., Page[T]]) -> Iterator[T]:
    cursor = None
    while True:
        page = read(limit=EXPORT_PAGE, cursor=cursor)
        yield from page
        cursor = page.next_cursor
        if cursor is None:
            return


def _line(kind: str, values: dict[str, Any]) -> str:
    """Return a line, with times in UTC whatever the time zone of the database is."""
    in_utc = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in values.items()
    }
    return orjson.dumps({"kind": kind, **in_utc}, option=orjson.OPT_UTC_Z).decode()
