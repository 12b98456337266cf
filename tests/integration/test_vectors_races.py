"""Vector indexes that others delete, make anew or guard, between two statements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Event
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DataError, connection, transaction

from mastra_engine.backends.base.vectors.indexes import ATTEMPTS
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import (
    EngineConfigError,
    IndexNotFound,
    InvalidVector,
    NotFound,
    Unavailable,
)
from mastra_engine.models import VectorIndex
from mastra_engine.postgres.partitions import Partition
from mastra_engine.testing.contract.vectors import ToyEmbedder
from tests.integration.conftest import Elsewhere
from tests.integration.interleaving import just_before
from tests.integration.test_vectors import DIMENSION, few, random_vectors, sql, table_of  # noqa: F401

committing = pytest.mark.django_db(transaction=True)


@committing
def test_an_index_made_anew_elsewhere_is_found(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
) -> None:
    assert engine.vectors.query(index_name="few", query_vector=few[0])
    other.vectors.delete_index(index_name="few")
    with pytest.raises(IndexNotFound):
        engine.vectors.query(index_name="few", query_vector=few[0])
    other.vectors.create_index(index_name="few", dimension=3)
    assert engine.vectors.query(index_name="few", query_vector=[1, 0, 0]) == []


CALLS: dict[str, Callable[[Any], Any]] = {
    "query": lambda vectors: vectors.query(index_name="few", query_vector=[1] * DIMENSION),
    "filter": lambda vectors: vectors.query(
        index_name="few", query_vector=[1] * DIMENSION, filter={"odd": True}
    ),
    "upsert": lambda vectors: vectors.upsert(index_name="few", vectors=random_vectors(20)),
    "given ids": lambda vectors: vectors.upsert(
        index_name="few", vectors=random_vectors(2), ids=["1", "x"]
    ),
    "update": lambda vectors: vectors.update_vector(index_name="few", id="1", metadata={}),
    "delete": lambda vectors: vectors.delete_vectors(index_name="few", ids=["1"]),
    "describe": lambda vectors: vectors.describe_index(index_name="few"),
    "build": lambda vectors: vectors.build_index(index_name="few"),
    "truncate": lambda vectors: vectors.truncate_index(index_name="few"),
    "get": lambda vectors: vectors.get_vectors(index_name="few", ids=["1"]),
    "remove": lambda vectors: vectors.delete_index(index_name="few"),
}


def step_of(call: Callable[[Any], Any]) -> str:
    """Return what is in the first statement after the index was found."""
    if call is CALLS["remove"]:
        return "pg_advisory_xact_lock"
    # The COPY of an upsert is no statement to step in before; what begins its transaction is.
    return "lock_timeout" if call is CALLS["upsert"] else "mastra_engine_embedding_"


def make_anew(engine: PostgresEngine, **definition: Any) -> None:
    """Delete the index and make another of its name, as one step."""
    with transaction.atomic(using=engine.session.alias):
        engine.vectors.delete_index(index_name="few")
        engine.vectors.create_index(index_name="few", **{"dimension": DIMENSION, **definition})
        engine.vectors.upsert(
            index_name="few", vectors=random_vectors(3), ids=["1", "2", "3"], metadata=[{}] * 3
        )


@committing
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_index_deleted_in_between_is_not_found(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
    call: Callable[[Any], Any],
) -> None:
    """Its definition was found, its table is gone."""
    delete = lambda: other.vectors.delete_index(index_name="few")  # noqa: E731
    with just_before(step_of(call), delete), pytest.raises(IndexNotFound):
        call(engine.vectors)
    assert not connection.needs_rollback


@committing
@pytest.mark.parametrize("within", [False, True], ids=["alone", "within a transaction"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_index_made_anew_in_between_is_used(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
    call: Callable[[Any], Any],
    within: bool,
) -> None:
    """There was an index of that name at all times, so it is never said not to be found."""
    # Alone, what sets the bound of an upsert's waiting begins its transaction.
    step = "SAVEPOINT" if within and call is CALLS["upsert"] else step_of(call)
    around = transaction.atomic() if within else nullcontext()
    with just_before(step, lambda: make_anew(other)), around:
        call(engine.vectors)
        assert VectorIndex.objects.count() == (0 if call is CALLS["remove"] else 1)
    if call is CALLS["upsert"]:
        assert engine.vectors.describe_index(index_name="few").count in (22, 23)
    elif call is CALLS["given ids"]:
        assert engine.vectors.describe_index(index_name="few").count in (4, 5)


@committing
@pytest.mark.parametrize("within", [False, True], ids=["alone", "within a transaction"])
def test_a_search_begins_with_what_it_knows_and_notices_that_it_is_old(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
    within: bool,
) -> None:
    def matching_ids(vector: Any, **options: Any) -> list[str]:
        with transaction.atomic() if within else nullcontext():
            matches = engine.vectors.query(index_name="few", query_vector=vector, **options)
            assert sql("SELECT 1")
        return sorted(match.id for match in matches)

    one = [1] * DIMENSION
    assert len(matching_ids(one)) == 10
    make_anew(other)
    assert matching_ids(one) == ["1", "2", "3"]
    make_anew(other)
    assert matching_ids(one, filter={"odd": None}) == ["1", "2", "3"]
    other.vectors.truncate_index(index_name="few")
    assert matching_ids(one) == []
    other.vectors.delete_index(index_name="few")
    other.vectors.create_index(index_name="few", dimension=2)
    assert matching_ids([1, 0]) == []
    with pytest.raises(InvalidVector):
        matching_ids(one)
    other.vectors.delete_index(index_name="few")
    for vector in ([1, 0], one):
        with pytest.raises(IndexNotFound):
            matching_ids(vector)


@committing
def test_names_that_change_places_are_noticed(engine: PostgresEngine) -> None:
    """Nothing of the engine renames an index, but a person with SQL may."""
    for name in ("blue", "green"):
        engine.vectors.create_index(index_name=name, dimension=2)
        engine.vectors.upsert(index_name=name, vectors=[[1, 0]], ids=[name])

    def matching_ids(**options: Any) -> list[str]:
        matches = engine.vectors.query(index_name="blue", query_vector=[1, 0], **options)
        return [match.id for match in matches]

    assert matching_ids() == ["blue"]
    VectorIndex.objects.filter(name="blue").update(name="old")
    VectorIndex.objects.filter(name="green").update(name="blue")
    assert matching_ids(filter={"a": None}) == ["green"]
    VectorIndex.objects.filter(name="blue").delete()
    with pytest.raises(IndexNotFound):
        matching_ids()


@committing
def test_an_index_that_was_never_committed_is_forgotten(
    engine: PostgresEngine,
    other: PostgresEngine,
) -> None:
    with transaction.atomic():
        engine.vectors.create_index(index_name="few", dimension=2)
        engine.vectors.upsert(index_name="few", vectors=[[1, 0]])
        assert len(engine.vectors.query(index_name="few", query_vector=[1, 0])) == 1
        transaction.set_rollback(True)
    with pytest.raises(IndexNotFound):
        engine.vectors.query(index_name="few", query_vector=[1, 0])
    other.vectors.create_index(index_name="few", dimension=3)
    assert engine.vectors.query(index_name="few", query_vector=[1, 0, 0]) == []


@committing
def test_ids_that_are_given_out_again_are_noticed(engine: PostgresEngine) -> None:
    """As in test suites that reset sequences, or a database restored under a running process."""
    for dimension, id in ((2, "first"), (3, "second")):
        sql("TRUNCATE mastra_engine_vectorindex, mastra_engine_embedding RESTART IDENTITY CASCADE")
        engine.vectors.create_index(index_name="few", dimension=dimension)
        vector = [1] * dimension
        PostgresEngine().vectors.upsert(index_name="few", vectors=[vector], ids=[id])
        (match,) = engine.vectors.query(index_name="few", query_vector=vector)
        assert match.id == id


@committing
def test_threads_share_what_an_engine_knows(engine: PostgresEngine, few: Any) -> None:  # noqa: F811
    def search(_: int) -> int:
        try:
            return len(engine.vectors.query(index_name="few", query_vector=few[0]))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(search, range(20))) == [10] * 20


@committing
def test_an_index_made_in_between_is_found(engine: PostgresEngine, other: PostgresEngine) -> None:
    other_makes = lambda: other.vectors.create_index(index_name="mine", dimension=3)  # noqa: E731
    with just_before("pg_advisory_xact_lock", other_makes):
        index = engine.vectors.create_index(index_name="mine", dimension=3)
    assert (index.count, index.status) == (0, "ready")
    assert VectorIndex.objects.filter(name="mine").count() == 1


@committing
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_index_made_anew_time_and_again_is_used(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
    call: Callable[[Any], Any],
) -> None:
    """In the end others have to wait: the next one to make it anew would be one too many."""
    remakes = [lambda: make_anew(other)] * ATTEMPTS
    with just_before(step_of(call), *remakes):
        call(engine.vectors)
    assert VectorIndex.objects.count() == (0 if call is CALLS["remove"] else 1)


@committing
def test_whoever_makes_an_index_anew_waits_for_who_must_use_it(
    engine: PostgresEngine,
    elsewhere: Elsewhere,
    few: Any,  # noqa: F811
) -> None:
    hasty = elsewhere(lock_timeout=0.1)
    with engine.vectors.store.lock_index_name("few"):
        with pytest.raises(Unavailable):
            hasty.vectors.delete_index(index_name="few")
        assert len(hasty.vectors.query(index_name="few", query_vector=few[0])) == 10
    hasty.vectors.delete_index(index_name="few")


@committing
def test_an_index_deleted_before_it_is_described_is_made(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
) -> None:
    delete = lambda: other.vectors.delete_index(index_name="few")  # noqa: E731
    with just_before("pg_total_relation_size", delete):
        assert engine.vectors.create_index(index_name="few", dimension=DIMENSION).count == 0


@committing
def test_a_vector_deleted_in_between_is_not_found(
    engine: PostgresEngine,
    other: PostgresEngine,
    few: Any,  # noqa: F811
) -> None:
    delete = lambda: other.vectors.delete_vectors(index_name="few", ids=["1"])  # noqa: E731
    with just_before("UPDATE", delete), pytest.raises(NotFound):
        engine.vectors.update_vector(index_name="few", id="1", metadata={})


@committing
def test_texts_are_embedded_outside_transactions(engine: PostgresEngine) -> None:
    class Watching(ToyEmbedder):
        def embed_documents(self, texts: list[str]) -> Any:
            assert not connection.in_atomic_block
            return super().embed_documents(texts)

    engine.vectors.embedder = Watching()
    engine.vectors.create_index(index_name="docs", dimension=3)
    engine.vectors.upsert(index_name="docs", documents=["aa"] * 600, ids=list(map(str, range(600))))
    engine.vectors.update_vector(index_name="docs", id="1", document="bbbb")
    assert len(engine.vectors.query(index_name="docs", query_text="b")) == 10


@committing
def test_a_bulk_load_that_breaks_the_transaction_raises_what_broke_it(
    engine: PostgresEngine,
    few: Any,  # noqa: F811
) -> None:
    load = engine.vectors.bulk_load(index_name="few")
    with pytest.raises(DataError), transaction.atomic(), load:
        sql("SELECT 1 / 0")
    assert engine.vectors.describe_index(index_name="few").status == "ready"


@committing
def test_a_cancelled_bulk_load_builds_what_it_dropped(
    engine: PostgresEngine,
    few: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is cancelled is done at once, and the database's thread is not."""
    drop, dropped, cancelled = engine.vectors.store.drop_structure, Event(), Event()

    def drop_slowly(index: Any) -> None:
        drop(index)
        dropped.set()
        cancelled.wait()

    async def load() -> None:
        async with engine.vectors.abulk_load(index_name="few"):
            raise AssertionError

    async def cancel() -> BaseException:
        loading = asyncio.create_task(load())
        await asyncio.to_thread(dropped.wait)
        loading.cancel()
        await asyncio.wait([loading], timeout=0.1)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError) as caught:
            await loading
        return caught.value

    monkeypatch.setattr(engine.vectors.store, "drop_structure", drop_slowly)
    stored = async_to_sync(cancel)()  # and with it its frames
    assert isinstance(stored, asyncio.CancelledError)
    assert engine.vectors.describe_index(index_name="few").status == "ready"


@committing
@pytest.mark.parametrize(
    "change",
    [
        lambda vectors: vectors.delete_index(index_name="few"),
        lambda vectors: vectors.truncate_index(index_name="few"),
        lambda vectors: vectors.bulk_load(index_name="few").__enter__(),
    ],
    ids=["delete", "truncate", "bulk load"],
)
def test_what_changes_a_table_waits_for_its_readers_only_so_long(
    engine: PostgresEngine,
    elsewhere: Elsewhere,
    few: Any,  # noqa: F811
    change: Callable[[Any], Any],
) -> None:
    """Whoever comes later would queue behind it."""
    hasty = elsewhere(lock_timeout=0.1)
    with transaction.atomic():
        sql(f"SELECT FROM {table_of('few')} LIMIT 1")
        with pytest.raises(Unavailable):
            change(hasty.vectors)
    result = hasty.vectors.describe_index(index_name="few")
    assert (result.count, result.status) == (300, "ready")


@pytest.fixture
def role(db: None) -> Iterator[str]:
    """A role that may read and write all tables, of which it owns none."""
    name = "mastra_engine_reader"
    sql(f"DROP ROLE IF EXISTS {name}")
    sql(f"CREATE ROLE {name}")
    sql(f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {name}")
    yield name
    sql(f"DROP OWNED BY {name}")
    sql(f"DROP ROLE {name}")


@committing
@pytest.mark.parametrize("may_create", [False, True])
def test_a_role_that_may_not_make_an_index_is_told(
    elsewhere: Elsewhere, role: str, may_create: bool
) -> None:
    """To attach a table takes the owner of the one it is attached to."""
    if may_create:
        sql(f"GRANT CREATE ON SCHEMA public TO {role}")
    reader = elsewhere(role=role)
    with pytest.raises(EngineConfigError, match=r"own the engine's tables.*GRANT CREATE"):
        reader.vectors.create_index(index_name="mine", dimension=3)
    assert reader.vectors.list_indexes() == []


@committing
def test_a_role_may_do_with_a_new_index_what_it_may_do_with_all(
    engine: PostgresEngine, elsewhere: Elsewhere, role: str
) -> None:
    engine.vectors.create_index(index_name="theirs", dimension=3)
    vectors = elsewhere(role=role).vectors
    for _ in range(2):
        vectors.upsert(index_name="theirs", vectors=[[1, 0, 0]], ids=["a"], metadata=[{"n": 1}])
    matches = vectors.query(index_name="theirs", query_vector=[1, 0, 0], filter={"n": 1})
    assert [match.id for match in matches] == ["a"]
    assert vectors.delete_vectors(index_name="theirs", ids=["a"]) == 1
    vectors.truncate_index(index_name="theirs")
    with pytest.raises(EngineConfigError, match="own the engine's tables"):
        vectors.delete_index(index_name="theirs")
    assert vectors.describe_index(index_name="theirs").status == "ready"


@committing
def test_a_new_index_belongs_to_whoever_owns_all(
    engine: PostgresEngine, elsewhere: Elsewhere, role: str
) -> None:
    """It may be made by a member of that role, or by a superuser who migrates."""
    sql(f"GRANT CREATE ON SCHEMA public TO {role}")
    sql(f"ALTER TABLE mastra_engine_embedding OWNER TO {role}")
    try:
        engine.vectors.create_index(index_name="theirs", dimension=3)
        vectors = elsewhere(role=role).vectors
        vectors.upsert(index_name="theirs", vectors=[[1, 0, 0]])
        with vectors.bulk_load(index_name="theirs"):
            pass
        vectors.delete_index(index_name="theirs")
    finally:
        sql("ALTER TABLE mastra_engine_embedding OWNER TO CURRENT_USER")


@committing
def test_a_builders_lock_lasts_as_long_as_the_build(
    engine: PostgresEngine,
    elsewhere: Elsewhere,
    few: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A `transaction_timeout` of the role's bounds each step of it, and not the lock."""
    if not sql("SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'"):
        pytest.skip("before PostgreSQL 17")
    seen: list[str] = []

    def wait(*_: Any) -> None:
        time.sleep(0.5)
        seen.append(engine.vectors.describe_index(index_name="few").status)

    monkeypatch.setattr(Partition, "_wait_for_writers", wait)
    sql(f"DROP INDEX {table_of('few')}_nearest")
    builder = elsewhere(transaction_timeout="200ms")
    assert builder.vectors.build_index(index_name="few").status == "ready"
    assert seen == ["building"]
