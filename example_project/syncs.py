"""The declared syncs of the example project. Django imports this module when it starts."""

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
    """Yield pages of records, ordered by id, after the id that is the checkpoint."""
    all_records = sorted(records, key=lambda record: record.external_id)
    remaining = [record for record in all_records if record.external_id > (ctx.checkpoint or "")]
    synced = len(all_records) - len(remaining)
    for start in range(0, len(remaining), PAGE_SIZE):
        page = remaining[start : start + PAGE_SIZE]
        yield page
        ctx.save_checkpoint(page[-1].external_id)
        ctx.progress(synced + start + len(page), len(all_records))
