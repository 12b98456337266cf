"""The syncs of the desk, and the texts of their records that are searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from example_project.desk import tracker
from example_project.desk.knowledge import INDEX, text
from example_project.sources import CHAPTERS
from mastra_engine import SyncContext, index_records, sync
from mastra_engine.retrieval.chunking import chunk
from mastra_engine.types import RecordInput


def topic_text(topic: dict[str, Any]) -> str | None:
    return None if topic["title"] in CHAPTERS else text(topic)


def ticket_text(ticket: dict[str, Any]) -> str:
    return f"{ticket['title']}\n\n{text(ticket)}"


@index_records(entity="Tickets", index=INDEX, text=ticket_text)
@sync(entity="Tickets", mode="full")
def tickets(ctx: SyncContext) -> Iterator[list[RecordInput]]:
    page = ctx.checkpoint or 1
    while page:
        found_tickets, page = tracker.get_page(page)
        yield [
            RecordInput(f"{ticket['repository']}#{ticket['number']}", ticket)
            for ticket in found_tickets
        ]
        ctx.save_checkpoint(page)


# The topics are synced by the project itself.
index_records(entity="Topics", index=INDEX, text=topic_text, chunk=chunk)
