"""An outside system whose complete contents change from version to version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from mastra_engine.backends.base import MastraEngine
from mastra_engine.models import Entity, Record
from mastra_engine.registry import sync as declare
from mastra_engine.types import SyncResult, SyncRun

NAME = {"name": "Products", "connection_id": "shop"}

SIZE = 1_000
TURNOVER = 100  # as many come and go from one version to the next
CHUNK = 50  # of a worker's sync


def records(version: int) -> Iterator[dict[str, Any]]:
    """Yield a version: some are new in it, some changed, the most are as they were."""
    start = version * TURNOVER
    for number in range(start, start + SIZE):
        changed = version if number % 10 == version % 10 else None
        yield {"external_id": f"{number:06}", "data": {"number": number, "changed": changed}}


def sync(engine: MastraEngine, version: int) -> SyncResult:
    """Bring in a version whole; what is not in it any more is deleted."""
    return engine.sync_records(
        **NAME, records=records(version), last_sync_id=f"version {version}", mode="full"
    )


def catalogue_pages(ctx: Any) -> Iterator[list[dict[str, Any]]]:
    """Bring in the version that is asked for, page by page."""
    full = list(records(ctx.params["version"]))
    for start in range(ctx.checkpoint or 0, SIZE, CHUNK):
        yield full[start : start + CHUNK]
        ctx.save_checkpoint(start + CHUNK)


def run(engine: MastraEngine, version: int) -> SyncRun:
    """Bring in a version by a run of the declared sync."""
    declare(entity=NAME["name"], mode="full")(catalogue_pages)
    return engine.run_sync(
        "catalogue_pages", connection_id=NAME["connection_id"], params={"version": version}
    )


class State(NamedTuple):
    """All that a sync may change, as it is in the tables."""

    cursor: str | None
    rev: int
    rows: list[tuple[Any, ...]]

    def live(self) -> dict[str, Any]:
        return {id: data for id, data, deleted, *_ in self.rows if deleted is None}

    def tombstones(self) -> set[str]:
        return {id for id, _, deleted, *_ in self.rows if deleted is not None}

    def revs(self) -> dict[str, int]:
        return {id: rev for id, _, _, rev, *_ in self.rows}


def state() -> State:
    entity = Entity.objects.get(**NAME)
    rows = Record.objects.filter(entity=entity).order_by("external_id")
    columns = ("external_id", "data", "deleted_at", "rev", "created_rev", "content_hash")
    return State(
        entity.last_sync_id, entity.rev, list(rows.values_list(*columns, "id", "updated_at"))
    )


def assert_is_version(now: State, version: int, *, before: State) -> None:
    """Check that the tables hold exactly a version, come to from the state `before`."""
    assert now.cursor == f"version {version}"
    assert_holds(now, version, before=before)


def assert_holds(now: State, version: int, *, before: State) -> int:
    """Check the records alone, each written once, and return how many had to be."""
    expected = {record["external_id"]: record["data"] for record in records(version)}
    old, old_revs, new_revs = before.live(), before.revs(), now.revs()
    deleted = old.keys() - expected.keys()
    written = {id for id, data in expected.items() if old.get(id) != data} | deleted
    assert now.live() == expected
    assert now.tombstones() == (before.tombstones() | deleted) - expected.keys()
    assert now.rev == before.rev + len(written)
    assert {id for id, rev in new_revs.items() if old_revs.get(id) != rev} == written
    assert {new_revs[id] for id in written} == set(range(before.rev + 1, now.rev + 1))
    return len(written)
