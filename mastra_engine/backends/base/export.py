"""Exporting the stored data of a resource as JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.memory.transfer import json_line
from mastra_engine.backends.base.paging import all_items, batches
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import ThreadNotFound


def exported(resource_id: str, memory: Memory, state: State, facts: Facts) -> Iterator[str]:
    """Yield everything of a resource as lines of JSON, read in pages.

    Rows that are deleted meanwhile are left out.
    """
    yield from _working_memory(memory, resource_id=resource_id)
    for thread in all_items(
        memory.list_threads, resource_id=resource_id, order="asc", order_by="created_at"
    ):
        with suppress(ThreadNotFound):
            yield _line("thread", asdict(thread))
            yield from _working_memory(memory, thread_id=thread.id)
            for message in all_items(memory.list_messages, thread_id=thread.id):
                yield _line("message", asdict(message))
    for item in all_items(state.list_items, namespace_prefix=(resource_id,)):
        yield _line("state_item", asdict(item))
    versions = all_items(facts.list_facts, resource_id=resource_id, include_superseded=True)
    for batch in batches(versions):
        ids = [fact.id for fact in batch]
        sources = facts.store.list_sources(ids)
        existing = facts.store.find(ids, resource_ids=[resource_id])
        for fact in (existing[id] for id in ids if id in existing):
            of_fact = [asdict(source) for source in sources.get(fact.id, ())]
            yield _line("fact", {**asdict(fact), "sources": of_fact})


def _working_memory(memory: Memory, **holder: str) -> Iterator[str]:
    stored = memory.get_working_memory(**holder)
    if stored.version:
        yield _line("working_memory", {**holder, **asdict(stored)})


def _line(kind: str, values: dict[str, Any]) -> str:
    return json_line({"kind": kind, **values})
