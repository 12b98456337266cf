"""Vector indexes under several processes at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest
from django.db import connection, transaction

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import IndexNotFound, Unavailable
from mastra_engine.models import Embedding, VectorIndex
from tests.concurrency.conftest import start  # noqa: F401 - a fixture
from tests.concurrency.processes import Worker, may_go, report, run_at_once, wait_to_go
from tests.integration.conftest import Elsewhere

pytestmark = pytest.mark.django_db(transaction=True)

Start = Callable[..., list[Worker]]


# In the workers


def create(*, name: str) -> int:
    return PostgresEngine().vectors.create_index(index_name=name, dimension=3).count


def upsert_shuffled(*, worker: int, rounds: int) -> None:
    vectors = PostgresEngine(lock_timeout=60).vectors
    for number in range(rounds):
        ids = [str(i) for i in range(number * 20, number * 20 + 100)]
        random.shuffle(ids)
        vectors.upsert(
            index_name="shared",
            vectors=[[1.0, float(id), float(worker)] for id in ids],
            ids=ids,
            metadata=[{"by": worker}] * len(ids),
        )


def upsert_and_hang(*, rows: int, is_known: bool) -> None:
    """Tell when most of the rows are on their way, then never send the rest."""
    from mastra_engine.postgres import vector_rows as vectorrows

    sent = 0

    def slowly() -> Any:
        nonlocal sent
        sent += 1
        if sent == rows - 10:
            report("most are sent")
            time.sleep(60)
        return created()

    created = vectorrows.uuid7
    vectorrows.uuid7 = slowly  # type: ignore[assignment]
    ids = [str(i) for i in range(rows)] if is_known else None
    vectors = np.ones((rows, 3), dtype=np.float32)
    PostgresEngine().vectors.upsert(index_name="shared", vectors=vectors, ids=ids)


def query_until_it_is_gone(*, filter: Any) -> None:
    vectors = PostgresEngine().vectors
    query = partial(vectors.query, index_name="shared", query_vector=[1, 0, 0], filter=filter)
    assert len(query()) == 10
    report("querying")
    with suppress(IndexNotFound):
        while True:
            assert len(query()) == 10


def query_until_told() -> None:
    vectors = PostgresEngine().vectors
    report("querying")
    while not may_go():
        (match,) = vectors.query(index_name="shared", query_vector=[1, 0, 0], filter={"a": 1})
        assert match.id == "it"
        assert len(vectors.get_vectors(index_name="shared", ids=["it"])) == 1


def replace_until_told() -> None:
    """Replace vectors, each time by others, so that there are dead rows in the graph."""
    vectors = PostgresEngine(lock_timeout=60).vectors
    while not may_go():
        ids = [str(i) for i in random.sample(range(500), 50)]
        rows = np.random.default_rng().normal(size=(50, 3))
        vectors.upsert(index_name="shared", vectors=rows, ids=ids, metadata=[{"a": 1}] * 50)


def query_ten_until_told(*, filter: Any) -> None:
    vectors = PostgresEngine().vectors
    while not may_go():
        query = np.random.default_rng().normal(size=3)
        matches = vectors.query(index_name="shared", query_vector=query, filter=filter)
        assert len({match.id for match in matches}) == 10


def make_and_delete(*, times: int) -> None:
    vectors = PostgresEngine(lock_timeout=60).vectors
    for _ in range(times):
        assert vectors.create_index(index_name="twice", dimension=3).name == "twice"
        with suppress(IndexNotFound):  # another worker was faster
            vectors.delete_index(index_name="twice")


def build() -> str:
    report("building")
    return PostgresEngine().vectors.build_index(index_name="shared").status


def write_and_wait() -> None:
    with transaction.atomic():
        PostgresEngine().vectors.upsert(index_name="shared", vectors=[[1, 0, 0]])
        report("written")
        wait_to_go()


def read_and_wait() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")
        report("reading")
        wait_to_go()


# The tests


@pytest.fixture
def vectors(db: None) -> Any:
    vectors = PostgresEngine(lock_timeout=30).vectors
    vectors.create_index(index_name="shared", dimension=3)
    return vectors


def test_an_index_is_made_once(start: Start) -> None:  # noqa: F811
    run_at_once(start(create, [{"name": "twice"}] * 4))
    index = VectorIndex.objects.get(name="twice")
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)::text", [f"mastra_engine_embedding_{index.pk}"])
        assert cursor.fetchone()[0] is not None


def test_writers_of_the_same_ids(start: Start, vectors: Any) -> None:  # noqa: F811
    run_at_once(start(upsert_shuffled, [{"worker": i, "rounds": 10} for i in range(8)]))
    expected = {str(i) for i in range(9 * 20 + 100)}
    stored = list(Embedding.objects.values_list("vector_id", "metadata__by", "embedding"))
    assert len(stored) == len(expected)
    assert {id for id, *_ in stored} == expected
    assert all(vector[2] == by for _, by, vector in stored)  # each whole, of one writer


@pytest.mark.parametrize("is_known", [False, True], ids=["new ids", "some known ids"])
def test_an_upsert_that_is_killed(start: Start, vectors: Any, is_known: bool) -> None:  # noqa: F811
    vectors.upsert(index_name="shared", vectors=[[1, 2, 3]], ids=["5"])
    (worker,) = start(upsert_and_hang, [{"rows": 5_000, "is_known": is_known}])
    worker.go()
    worker.report()
    worker.kill()
    (remaining,) = Embedding.objects.all()
    assert (remaining.vector_id, list(remaining.embedding)) == ("5", [1, 2, 3])
    assert len(vectors.upsert(index_name="shared", vectors=[[1, 0, 0]] * 2, ids=["5", "6"])) == 2


def test_an_index_deleted_under_queries(start: Start, vectors: Any) -> None:  # noqa: F811
    vectors.upsert(
        index_name="shared", vectors=[[1, i, 0] for i in range(200)], metadata=[{"a": 1}] * 200
    )
    workers = start(query_until_it_is_gone, [{"filter": None}, {"filter": {"a": 1}}])
    for worker in workers:
        worker.go()
    for worker in workers:
        worker.report()
    vectors.delete_index(index_name="shared")
    for worker in workers:
        worker.result()


def test_an_index_made_anew_under_queries(start: Start, vectors: Any) -> None:  # noqa: F811
    """Those who search never learn of it."""

    def fill() -> None:
        vectors.upsert(index_name="shared", vectors=[[1, 0, 0]], ids=["it"], metadata=[{"a": 1}])

    fill()
    workers = start(query_until_told, [{}] * 2)
    for worker in workers:
        worker.go()
    for worker in workers:
        worker.report()
    for _ in range(20):
        with transaction.atomic():
            vectors.delete_index(index_name="shared")
            vectors.create_index(index_name="shared", dimension=3)
            fill()
    run_at_once(workers)  # which stops them


@pytest.mark.parametrize("times", [200, pytest.param(4_000, marks=pytest.mark.long)])
def test_searches_beside_writers_and_vacuum(start: Start, vectors: Any, times: int) -> None:  # noqa: F811
    ids, rows = [str(i) for i in range(500)], np.random.default_rng(1).normal(size=(500, 3))
    vectors.upsert(index_name="shared", vectors=rows, ids=ids, metadata=[{"a": 1}] * 500)
    searches = start(query_ten_until_told, [{"filter": None}, {"filter": {"a": 1}}])
    workers = [*start(replace_until_told, [{}] * 2), *searches]
    table = f"mastra_engine_embedding_{VectorIndex.objects.get(name='shared').pk}"
    for worker in workers:
        worker.go()
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute(f"VACUUM {table}")
    run_at_once(workers)  # which stops them
    assert vectors.describe_index(index_name="shared").count == 500


def test_an_index_made_and_deleted_by_many(start: Start) -> None:  # noqa: F811
    run_at_once(start(make_and_delete, [{"times": 20}] * 4))


def test_builds_at_the_same_time(start: Start) -> None:  # noqa: F811
    vectors = PostgresEngine().vectors
    vectors.create_index(index_name="shared", dimension=64)
    rows = np.random.default_rng(1).normal(size=(4_000, 64))
    drop_structure()
    vectors.upsert(index_name="shared", vectors=rows)
    workers = start(build, [{}] * 4)
    for worker in workers:
        worker.go()
    assert {worker.report() for worker in workers} == {"building"}
    statuses = [worker.result() for worker in workers]
    assert "ready" in statuses
    assert set(statuses) <= {"ready", "building"}
    assert vectors.describe_index(index_name="shared").status == "ready"


def test_a_build_waits_for_writers_only_so_long(start: Start, vectors: Any) -> None:  # noqa: F811
    drop_structure()
    (writer,) = start(write_and_wait, [{}])
    writer.go()
    writer.report()
    with pytest.raises(Unavailable):
        PostgresEngine(lock_timeout=0.3).vectors.build_index(index_name="shared")
    assert vectors.describe_index(index_name="shared").status == "missing"
    threading.Timer(0.3, writer.go).start()
    assert vectors.build_index(index_name="shared").status == "ready"  # it waits longer
    writer.result()


def test_a_build_that_the_server_ends_can_be_repeated(
    start: Start,  # noqa: F811
    vectors: Any,
    elsewhere: Elsewhere,
) -> None:
    """One that waits for an older snapshot, for instance, which has no bound of the engine's."""
    drop_structure()
    (reader,) = start(read_and_wait, [{}])
    reader.go()
    reader.report()
    with pytest.raises(Unavailable):
        elsewhere(statement_timeout="1s").vectors.build_index(index_name="shared")
    assert vectors.describe_index(index_name="shared").status == "invalid"
    assert vectors.query(index_name="shared", query_vector=[1, 0, 0]) == []
    reader.go()
    assert vectors.build_index(index_name="shared").status == "ready"
    reader.result()


def test_a_builder_that_is_killed_leaves_no_lock(start: Start) -> None:  # noqa: F811
    vectors = PostgresEngine().vectors
    vectors.create_index(index_name="shared", dimension=64)
    drop_structure()
    rows = np.random.default_rng(1).normal(size=(10_000, 64))
    vectors.upsert(index_name="shared", vectors=rows)
    (worker,) = start(build, [{}])
    worker.go()
    worker.report()
    while vectors.describe_index(index_name="shared").status != "building":
        time.sleep(0.01)
    worker.kill()
    assert vectors.build_index(index_name="shared").status in ("building", "ready")
    while vectors.describe_index(index_name="shared").status == "building":
        time.sleep(0.05)
    assert vectors.build_index(index_name="shared").status == "ready"


def test_a_build_shows_its_progress_and_stops_no_writers(start: Start) -> None:  # noqa: F811
    vectors = PostgresEngine().vectors
    vectors.create_index(index_name="shared", dimension=64)
    rows = np.random.default_rng(1).normal(size=(10_000, 64))
    drop_structure()
    vectors.upsert(index_name="shared", vectors=rows)
    (worker,) = start(build, [{}])
    worker.go()
    worker.report()
    seen, inserted = set(), 0
    while (index := vectors.describe_index(index_name="shared")).status != "ready":
        if index.status == "building":
            seen.add(index.progress)
            inserted += len(vectors.upsert(index_name="shared", vectors=rows[:1]))
    assert worker.result() == "ready"
    assert len(seen) > 1
    assert all(0 <= progress <= 1 for progress in seen)
    assert inserted > 1
    assert vectors.describe_index(index_name="shared").count == 10_000 + inserted


def drop_structure() -> None:
    id = VectorIndex.objects.get(name="shared").pk
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX mastra_engine_embedding_{id}_nearest")
