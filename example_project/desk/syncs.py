"""What the desk knows, and how it comes in."""

from __future__ import annotations

from collections.abc import Iterator

from example_project.desk import tracker
from mastra_engine import sync
from mastra_engine.backends.base.running import SyncContext
from mastra_engine.types import RecordInput


@sync(entity="Tickets", mode="full")
def tickets(ctx: SyncContext) -> Iterator[list[RecordInput]]:
    page = ctx.checkpoint or 1
    while page:
        found, page = tracker.get_page(page)
        yield [RecordInput(f"{each['repository']}#{each['number']}", each) for each in found]
        ctx.save_checkpoint(page)
