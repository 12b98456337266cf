"""The syncs of the example project; Django imports this module when it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from example_project import sources
from mastra_engine import SyncContext, sync
from mastra_engine.types import RecordInput

Pages = Iterator[list[RecordInput]]

PAGE_SIZE = 10


@sync(entity="Packages", mode="full")
def packages(ctx: SyncContext) -> Pages:
    return paged(ctx, sources.packages())


@sync(entity="Topics", mode="full")
def topics(ctx: SyncContext) -> Pages:
    return paged(ctx, sources.reference())


def paged(ctx: SyncContext, records: Iterable[RecordInput]) -> Pages:
    """Yield pages in the order of ids, from the id on that an earlier worker got to."""
    everything = sorted(records, key=lambda record: record.external_id)
    left = [each for each in everything if each.external_id > (ctx.checkpoint or "")]
    done = len(everything) - len(left)
    for start in range(0, len(left), PAGE_SIZE):
        page = left[start : start + PAGE_SIZE]
        yield page
        ctx.save_checkpoint(page[-1].external_id)
        ctx.progress(done + start + len(page), len(everything))
