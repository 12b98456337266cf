"""A sync writes what changed and nothing else."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from django.db import ProgrammingError, connection, transaction

from mastra_engine.backends.base.records.seen_revisions import LONG
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.registry import registry
from mastra_engine.registry import sync as declare
from mastra_engine.types import SyncResult
from mastra_engine.validation.inputs import CHUNK_RECORDS
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 10_000  # two chunks
CHANGED = {f"{number:06}" for number in range(37, SIZE, 100)}
Mode = Literal["incremental", "full"]
modes = pytest.mark.parametrize("mode", ["incremental", "full"])


def records(version: int) -> Iterator[dict[str, Any]]:
    """A hundredth of the records is another in every version."""
    for number in range(SIZE):
        id = f"{number:06}"
        of = version if id in CHANGED else 0
        yield {"external_id": id, "data": {"number": number, "version": of, "text": "x" * 100}}


def sync(engine: PostgresEngine, mode: Mode, version: int = 0) -> SyncResult:
    return engine.sync_records(
        name="Products",
        connection_id="shop",
        records=records(version),
        last_sync_id=f"version {version}",
        mode=mode,
    )


def query(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def row_versions() -> dict[str, tuple[Any, ...]]:
    """Where each row is and who wrote it: both are others once it is written again."""
    versions = query("SELECT external_id, ctid::text, xmin::text FROM mastra_engine_record")
    versions += query("SELECT 'the entity', ctid::text, xmin::text FROM mastra_engine_entity")
    return {row: version for row, *version in versions}  # type: ignore[misc]


def counts(result: SyncResult) -> tuple[int, int, int, int]:
    return result.created, result.updated, result.unchanged, result.deleted


@modes
def test_an_unchanged_sync_writes_no_row_and_bumps_no_rev(
    engine: PostgresEngine, mode: Mode
) -> None:
    first = sync(engine, mode)
    before = row_versions()
    again = sync(engine, mode)
    assert counts(again) == (0, 0, SIZE, 0)
    assert again.entity == first.entity
    assert row_versions() == before


@modes
def test_an_unchanged_sync_takes_no_transaction_id(engine: PostgresEngine, mode: Mode) -> None:
    """Then its commit writes nothing either, and standbys and vacuum never hear of it."""
    sync(engine, mode)
    assigned = "SELECT pg_current_xact_id_if_assigned() IS NOT NULL"
    with transaction.atomic():
        sync(engine, mode)
        assert query(assigned) == [(False,)]
        sync(engine, mode, version=1)
        assert query(assigned) == [(True,)]


@modes
def test_a_change_of_a_hundredth_writes_exactly_that(engine: PostgresEngine, mode: Mode) -> None:
    first = sync(engine, mode)
    before = row_versions()
    second = sync(engine, mode, version=1)
    after = row_versions()
    assert counts(second) == (0, len(CHANGED), SIZE - len(CHANGED), 0)
    assert {row for row in after if after[row] != before[row]} == CHANGED | {"the entity"}
    assert second.entity.rev == first.entity.rev + len(CHANGED)
    changes = engine.get_changes(entity_id=first.entity.id, after=first.entity.rev)
    assert {change.record.external_id for change in changes} == CHANGED


# Write-ahead log


def wal_bytes() -> int:
    """Return how much this session has written."""
    query("SELECT pg_stat_force_next_flush()")
    ((written,),) = query("SELECT wal_bytes FROM pg_stat_get_backend_wal(pg_backend_pid())")
    return int(written)


def checkpoint() -> None:
    """After one, even a hint bit costs a page of WAL where checksums are on."""
    try:
        query_nothing("CHECKPOINT")
    except ProgrammingError as refusal:
        pytest.skip(f"The test role may not CHECKPOINT: {refusal}")


def query_nothing(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture
def wal_statistics(transactional_db: None) -> None:
    if not query("SELECT FROM pg_proc WHERE proname = 'pg_stat_get_backend_wal'"):
        pytest.skip("pg_stat_get_backend_wal() came with PostgreSQL 18")


@modes
@pytest.mark.usefixtures("wal_statistics")
def test_the_second_unchanged_sync_writes_no_wal_even_after_a_checkpoint(
    engine: PostgresEngine, mode: Mode
) -> None:
    sync(engine, mode)
    checkpoint()  # or hint bits wait until the commit of the NOTIFY is on disk, as nobody does
    sync(engine, mode)  # the first to read the rows leaves hint bits on them
    checkpoint()
    before = wal_bytes()
    sync(engine, mode)
    assert wal_bytes() - before == 0
    sync(engine, mode, version=1)
    assert wal_bytes() - before > 0


# Repetitions


@modes
def test_a_record_that_comes_again_in_a_later_chunk_is_unchanged_there(
    engine: PostgresEngine, mode: Mode
) -> None:
    pages = [{"external_id": f"{i:06}", "data": {"n": i}} for i in range(CHUNK_RECORDS)]
    result = engine.sync_records(
        name="Products", connection_id="shop", records=pages + pages[-100:], mode=mode
    )
    assert counts(result) == (CHUNK_RECORDS, 0, 100, 0)


# The cost of a full sync does not grow with the revisions of the entity's life


def age(rev: int) -> None:
    """Give the only entity the revisions that it would have after many more changes."""
    query_nothing(f"UPDATE mastra_engine_record SET rev = rev + {rev - 3}, created_rev = 1")
    query_nothing(f"UPDATE mastra_engine_entity SET rev = {rev}")


def full_sync_of_three(engine: PostgresEngine) -> list[str]:
    records = [{"external_id": id, "data": {}} for id in ("a", "b", "c")]
    call = {"name": "Products", "connection_id": "shop", "records": records, "mode": "full"}
    engine.sync_records(**call)
    return statements(lambda: engine.sync_records(**call))


def run_of_three(engine: PostgresEngine) -> list[str]:
    with registry.empty():

        @declare(entity="Products", mode="full")
        def products(ctx: Any) -> Iterator[Any]:
            yield [{"external_id": id, "data": {}} for id in ("a", "b")]
            yield [{"external_id": "c", "data": {}}]

        engine.run_sync("products", connection_id="shop")
        return statements(lambda: engine.run_sync("products", connection_id="shop"))


@pytest.mark.parametrize("sync_all", [full_sync_of_three, run_of_three])
def test_a_full_sync_costs_the_same_after_four_billion_revisions(
    engine: PostgresEngine, sync_all: Callable[[PostgresEngine], list[str]]
) -> None:
    young = sync_all(engine)
    age(4 * 10**9)
    with measured_memory() as peak:
        old = sync_all(engine)
        most = peak()
    assert len(old) == len(young)
    assert sum(map(len, old)) <= 1.2 * sum(map(len, young))
    assert most < 2**20
    assert len(engine.get_records_by_entity_name(name="Products", connection_id="shop")) == 3


@contextmanager
def measured_memory() -> Iterator[Callable[[], int]]:
    """Measure the most bytes that Python had allocated at a time while inside."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_unchanged_records_stay_however_their_revisions_are_spread(engine: PostgresEngine) -> None:
    """Long runs of revisions, short ones and single ones are told apart from unseen records."""
    size = 5 * LONG
    records = [{"external_id": f"{i:03}", "data": {}} for i in range(size)]
    call = {"name": "Products", "connection_id": "shop", "mode": "full"}
    engine.sync_records(**call, records=records)
    stored = [record for i, record in enumerate(records) if i < 2 * LONG or i % 7 or i > size - 9]
    result = engine.sync_records(**call, records=stored)
    assert counts(result) == (0, 0, len(stored), size - len(stored))
    remaining = engine.get_records_by_entity_name(name="Products", connection_id="shop")
    assert [record.external_id for record in remaining] == [
        record["external_id"] for record in stored
    ]
