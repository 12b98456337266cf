"""What only PostgreSQL can get wrong about vectors: plans, settings, broken structures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from pgvector import Vector

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.filters.parsing import parse_filter
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.postgres.compile import on_metadata
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.search import Search
from mastra_engine.types import Match
from tests.integration.conftest import Elsewhere
from tests.integration.queries import plan_of, plans, statements

ROWS, DIMENSION = 20_000, 16
SETTINGS = ("hnsw.ef_search", "hnsw.iterative_scan", "ivfflat.probes", "lock_timeout")

committing = pytest.mark.django_db(transaction=True)


def random_vectors(number: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=(number, DIMENSION)).astype(np.float32)


def fill(engine: PostgresEngine, name: str, rows: int, **definition: Any) -> Any:
    """Make an index whose metadata says of each vector its number, its percentile and its half.

    It begins with a number at random, as the planner tries a filter on evenly spaced metadata: of
    every fortieth in turn, it would take all for odd.
    """
    vectors, lots = random_vectors(rows), np.random.default_rng(1).permutation(rows).tolist()
    engine.vectors.create_index(index_name=name, dimension=DIMENSION, **definition)
    with engine.vectors.bulk_load(index_name=name):
        engine.vectors.upsert(
            index_name=name,
            vectors=vectors,
            ids=[str(i) for i in range(rows)],
            metadata=[
                {"a": lot, "n": i, "percent": i % 100, "odd": bool(i % 2)}
                for i, lot in enumerate(lots)
            ],
        )
    return vectors


@pytest.fixture(scope="module")
def stored(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    with django_db_blocker.unblock():
        vectors = fill(PostgresEngine(), "many", ROWS)
    yield vectors
    with django_db_blocker.unblock(), suppress(IndexNotFound):
        PostgresEngine().vectors.delete_index(index_name="many")


@pytest.fixture
def many(stored: Any, engine: PostgresEngine) -> Any:
    """The vectors of the index "many", which all tests share that commit nothing."""
    return stored


@pytest.fixture
def few(engine: PostgresEngine) -> Any:
    return fill(engine, "few", 300)


def nearest(vectors: Any, query: Any, among: Callable[[int], bool] = lambda _: True) -> list[str]:
    """Return the ids of the ten most similar vectors, by brute force."""
    lengths = np.linalg.norm(vectors, axis=1)
    best = np.argsort(-(vectors @ query) / lengths)
    return [str(i) for i in best if among(int(i))][:10]


@pytest.mark.parametrize(
    "call",
    [
        lambda vectors: vectors.get_vectors(index_name="many", ids=["7", "8"]),
        lambda vectors: vectors.update_vector(index_name="many", id="7", document="x"),
        lambda vectors: vectors.upsert(
            index_name="many", ids=[*map(str, range(20))], vectors=random_vectors(20)
        ),
        lambda vectors: vectors.delete_vectors(index_name="many", ids=["7", "8"]),
    ],
    ids=["get", "update", "upsert", "delete"],
)
def test_vectors_are_found_by_their_key(engine: PostgresEngine, many: Any, call: Any) -> None:
    """By all of it, or an index that begins with another column is read from end to end."""
    table = table_of("many")
    sent = [
        statement for statement in statements(lambda: call(engine.vectors)) if table in statement
    ]
    (sql,) = [item for item in sent if not item.startswith(("COPY", "INSERT"))]
    (result,) = [
        node for node in plan_of(sql) if node.get("Relation Name") == table and "Index Cond" in node
    ]
    assert all(
        f"({column} = " in result["Index Cond"] for column in ("index_id", "namespace", "id")
    )


def test_a_page_reads_its_own_rows(engine: PostgresEngine, many: Any) -> None:
    first = engine.vectors.list_vectors(index_name="many", limit=50)
    (sql,) = [
        statement
        for statement in statements(
            lambda: engine.vectors.list_vectors(
                index_name="many", limit=50, cursor=first.next_cursor
            )
        )
        if table_of("many") in statement
    ]
    (scan,) = [node for node in plan_of(sql) if "Index Cond" in node]
    assert "ROW(namespace, id) > ROW(" in scan["Index Cond"]
    assert not [node for node in plan_of(sql) if node["Node Type"] == "Sort"]


def ids(result: list[Match]) -> list[str]:
    return [match.id for match in result]


def table_of(name: str) -> str:
    return f"mastra_engine_embedding_{VectorIndex.objects.get(name=name).pk}"


def sql(statement: str, *params: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return list(cursor.fetchall()) if cursor.description else []


def settings() -> list[Any]:
    return sql("SELECT " + ", ".join(f"current_setting('{name}', true)" for name in SETTINGS))


def ways(plans: list[str]) -> list[str]:
    return ["exact" if "CTE passed" in plan else "graph" for plan in plans]


# Plans and settings


@pytest.mark.parametrize(
    ("where", "share"), [({"n": -1}, 0), ({"odd": True}, 0.5), ({"odd": {"$in": []}}, 0)]
)
def test_the_planner_is_asked_for_both_numbers(
    engine: PostgresEngine, many: Any, where: Any, share: float
) -> None:
    index = VectorIndex.objects.get(name="many").to_definition()
    search = Search(
        Partition(connection, index),
        Vector([0.0]),
        on_metadata(parse_filter(where)),
        limit=10,
        ef_search=100,
        with_vector=False,
    )
    passing, total = search._estimate()
    assert passing == pytest.approx(share * ROWS, abs=0.15 * ROWS)
    assert passing in (0, 1) or total == ROWS


@pytest.mark.parametrize(
    ("percent", "way"), [(1, "exact"), (2, "exact"), (12, "graph"), (50, "graph"), (100, "graph")]
)
def test_a_filter_is_applied_in_the_way_that_takes_less(
    engine: PostgresEngine, many: Any, percent: int, way: str
) -> None:
    """Of 20,000, ten are found as soon by sorting eleven hundred rows as among the neighbours."""
    hits = 0
    for query in random_vectors(10, seed=10):
        with plans() as used:
            matches = engine.vectors.query(
                index_name="many", query_vector=query, filter={"percent": {"$lt": percent}}
            )
        assert ways(used) == [way]
        expected = nearest(many, query, lambda i: i % 100 < percent)
        assert way == "graph" or ids(matches) == expected
        hits += len(set(ids(matches)) & set(expected))
    assert hits >= 95


@pytest.mark.parametrize(
    ("guess", "where", "tried"),
    [
        (10, {"odd": True}, ["exact", "graph"]),
        (10_000, {"percent": 0}, ["graph", "exact"]),
        (10**9, {"n": {"$lt": 10}}, ["graph", "exact"]),
    ],
)
def test_a_filter_that_the_planner_misjudges(
    engine: PostgresEngine,
    many: Any,
    monkeypatch: pytest.MonkeyPatch,
    guess: int,
    where: Any,
    tried: list[str],
) -> None:
    """What is tried in vain stops where the other way takes less: at 1,095 rows, 100 neighbours."""
    monkeypatch.setattr("mastra_engine.postgres.search.Search._estimate", lambda _: (guess, ROWS))
    with plans() as used:
        matches = engine.vectors.query(
            index_name="many", query_vector=random_vectors(1, seed=6)[0], filter=where
        )
    assert len(matches) == 10
    assert ways(used) == tried
    bound = 1_096 if tried[0] == "exact" else 100
    assert re.search(rf"->  Limit  \(cost=\S+ rows={bound} ", used[0])


def test_without_a_graph_what_passes_is_sorted(engine: PostgresEngine) -> None:
    vectors = fill(engine, "flat", 2_000, index_type="flat")
    with plans() as used:
        matches = engine.vectors.query(
            index_name="flat", query_vector=vectors[0], filter={"odd": True}
        )
    assert ids(matches) == nearest(vectors, vectors[0], lambda i: i % 2 == 1)
    assert ways(used) == ["exact"]


@pytest.mark.parametrize(("top_k", "way"), [(10, "graph"), (1_000, "exact")])
def test_more_results_take_more_neighbours(
    engine: PostgresEngine, many: Any, top_k: int, way: str
) -> None:
    with plans() as used:
        matches = engine.vectors.query(
            index_name="many", query_vector=many[0], filter={"percent": {"$lt": 30}}, top_k=top_k
        )
    assert len(matches) == top_k
    assert ways(used) == [way]


@pytest.mark.parametrize(
    "calls",
    [{}, {"filter": {"odd": True}}, {"namespace": ""}],
    ids=["unfiltered", "broad filter", "namespace of all"],
)
def test_searches_use_the_hnsw(engine: PostgresEngine, many: Any, calls: Any) -> None:
    query = random_vectors(1, seed=2)[0]
    with plans() as used:
        matches = engine.vectors.query(index_name="many", query_vector=query, **calls)
    (plan,) = used
    assert f"Index Scan using {table_of('many')}_nearest" in plan
    assert "One-Time Filter" in plan  # the settings are made before the scan begins
    expected = nearest(many, query, lambda i: "filter" not in calls or i % 2 == 1)
    assert len(set(ids(matches)) & set(expected)) >= 9


def test_the_settings_of_a_search_take_effect(engine: PostgresEngine, many: Any) -> None:
    queries = random_vectors(30, seed=3)

    def recall(ef_search: int) -> float:
        return sum(
            len(
                set(nearest(many, query))
                & set(
                    ids(
                        engine.vectors.query(
                            index_name="many", query_vector=query, ef_search=ef_search
                        )
                    )
                )
            )
            for query in queries
        ) / (10 * len(queries))

    low, high = recall(10), recall(400)
    assert low < 0.95 < high


def test_a_narrow_filter_is_exact(engine: PostgresEngine, many: Any) -> None:
    for number, query in enumerate(random_vectors(20, seed=4)):
        matches = engine.vectors.query(
            index_name="many", query_vector=query, filter={"percent": number}
        )
        assert ids(matches) == nearest(many, query, lambda i, number=number: i % 100 == number)


@pytest.mark.parametrize("where", [{"n": {"$lt": 12}}, {"n": {"$gte": 19_990}}, {"percent": 0}])
def test_a_filter_never_costs_rows(engine: PostgresEngine, many: Any, where: Any) -> None:
    for query in random_vectors(5, seed=5):
        matches = engine.vectors.query(
            index_name="many", query_vector=query, filter=where, top_k=10
        )
        assert len(matches) == 10


def test_a_filter_whose_rows_are_far_from_the_question_is_exact(engine: PostgresEngine) -> None:
    """All neighbours are of the other side, and the graph hardly leads over there."""
    vectors = random_vectors(4_000)
    vectors[:, 0] += np.where(np.arange(4_000) % 2, 9, -9)
    engine.vectors.create_index(index_name="sides", dimension=DIMENSION)
    engine.vectors.upsert(
        index_name="sides",
        vectors=vectors,
        ids=[str(i) for i in range(4_000)],
        metadata=[{"right": bool(i % 2)} for i in range(4_000)],
    )
    sql("ANALYZE " + table_of("sides"))
    for query in vectors[1:40:2]:
        matches = engine.vectors.query(
            index_name="sides", query_vector=query, filter={"right": False}
        )
        assert ids(matches) == nearest(vectors, query, lambda i: i % 2 == 0)


def test_rows_that_pass_are_sorted_up_to_a_bound(
    engine: PostgresEngine, many: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More are left to the graph, however far from the question they are."""
    monkeypatch.setattr("mastra_engine.postgres.search.EXACT_ROWS", 9_999)
    monkeypatch.setattr("mastra_engine.postgres.search._SPARE", 0.5)
    query = random_vectors(1, seed=9)[0]
    with plans() as used:
        matches = engine.vectors.query(
            index_name="many", query_vector=query, filter={"odd": True}, top_k=400
        )
    assert len(matches) == 400
    assert ways(used) == ["graph", "exact", "graph"]


def test_ties_at_the_end_go_by_id(engine: PostgresEngine) -> None:
    engine.vectors.create_index(index_name="same", dimension=2)
    keys = [f"{i:03}" for i in range(200)]
    engine.vectors.upsert(
        index_name="same", vectors=[[1, 0]] * 3 + [[1, 1]] * 197, ids=keys[:3] + keys[:2:-1]
    )

    def matching_ids(top_k: int) -> tuple[list[str], int]:
        with plans() as used:
            matches = engine.vectors.query(index_name="same", query_vector=[1, 0], top_k=top_k)
        return ids(matches), len(used)

    assert matching_ids(3) == (keys[:3], 1)  # nothing ties with the last one
    assert matching_ids(10) == (keys[:10], 2)
    assert matching_ids(200) == (keys, 1)


@committing
@pytest.mark.parametrize("where", [None, {"odd": True}, {"percent": 1}])
def test_a_search_leaves_no_settings(engine: PostgresEngine, few: Any, where: Any) -> None:
    before = settings()
    engine.vectors.query(index_name="few", query_vector=few[0], filter=where, ef_search=77)
    assert settings() == before
    with transaction.atomic():
        sql("SET LOCAL hnsw.ef_search = 55")
        mine = settings()
        engine.vectors.query(index_name="few", query_vector=few[0], filter=where, ef_search=77)
        assert settings() == mine
        VectorIndex.objects.create(
            **{**VectorIndex.objects.values().get(name="few"), "id": None, "name": "kept"}
        )
        engine.vectors.query(index_name="few", query_vector=few[0], filter=where, ef_search=77)
    assert VectorIndex.objects.filter(name="kept").exists()


def test_nearest_of_the_queryset_uses_the_hnsw(engine: PostgresEngine, many: Any) -> None:
    index = VectorIndex.objects.get(name="many")
    rows = Embedding.objects.nearest(index, many[5].tolist())[:10]
    assert f"Index Scan using {table_of('many')}_nearest" in rows.explain()
    assert rows[0].vector_id == "5"


def test_the_number_of_statements(engine: PostgresEngine, few: Any) -> None:
    vectors, some = engine.vectors, {"index_name": "few"}
    # Each finds the index first, save searches; the tests' transaction makes savepoints.
    calls: dict[str, tuple[int, Callable[[], Any]]] = {
        "query": (1, lambda: vectors.query(**some, query_vector=few[0])),
        "exact": (2, lambda: vectors.query(**some, query_vector=few[0], filter={"percent": 1})),
        "get": (2, lambda: vectors.get_vectors(**some, ids=["1", "2"])),
        "list": (2, lambda: vectors.list_vectors(**some, filter={"percent": 1})),
        "count": (2, lambda: vectors.count_vectors(**some, filter={"percent": 1})),
        "delete": (2, lambda: vectors.delete_vectors(**some, ids=["1", "2"])),
        "upsert": (1, lambda: vectors.upsert(**some, vectors=few[:50])),
        "few": (2, lambda: vectors.upsert(**some, vectors=few[:2], ids=["5", "new"])),
        "known": (5, lambda: vectors.upsert(**some, vectors=few[:20], ids=[*map(str, range(20))])),
    }
    for name, (expected, call) in calls.items():
        with CaptureQueriesContext(connection) as captured:
            call()
        sent = [item["sql"] for item in captured if "SAVEPOINT" not in item["sql"]]
        assert len([item for item in sent if not item.startswith("COPY")]) == expected, (name, sent)


def test_any_number_of_indexes_is_listed_by_the_same_statements(
    engine: PostgresEngine, few: Any
) -> None:
    def sent() -> int:
        with CaptureQueriesContext(connection) as captured:
            listed = engine.vectors.list_indexes()
        assert next(item for item in listed if item.name == "few").count == 300
        return len(captured)

    before = sent()
    for number in range(5):
        engine.vectors.create_index(index_name=f"index {number}", dimension=1)
    assert sent() == before == 3


def test_only_so_many_definitions_are_kept(
    engine: PostgresEngine, few: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mastra_engine.backends.postgres.vectors._CACHED_DEFINITIONS", 1)
    engine.vectors.create_index(index_name="another", dimension=DIMENSION)
    for _ in range(2):
        assert engine.vectors.query(index_name="another", query_vector=few[0]) == []
        assert len(engine.vectors.query(index_name="few", query_vector=few[0])) == 10
        assert len(engine.vectors.store._cache) == 1


# Dead rows and broken structures


@committing
def test_a_structure_is_built_where_parameters_are_bound_on_the_server(
    elsewhere: Elsewhere,
) -> None:
    """Then a statement may keep its snapshot, for which CREATE INDEX CONCURRENTLY waits."""
    bound = elsewhere(statement_timeout="30s")
    connections[bound.database].settings_dict["OPTIONS"]["server_side_binding"] = True
    bound.vectors.create_index(index_name="lists", dimension=3, index_type="ivfflat")
    assert bound.vectors.build_index(index_name="lists").status == "ready"


@committing
def test_dead_rows_cost_no_results(engine: PostgresEngine) -> None:
    many = fill(engine, "dying", 5_000)
    sql(f"ALTER TABLE {table_of('dying')} SET (autovacuum_enabled = off)")
    deleted = engine.vectors.delete_vectors(index_name="dying", filter={"percent": {"$lt": 30}})
    assert deleted == 1_500
    for query in random_vectors(10, seed=7):
        matches = engine.vectors.query(index_name="dying", query_vector=query)
        expected = nearest(many, query, lambda i: i % 100 >= 30)
        assert len(matches) == 10
        assert len(set(ids(matches)) & set(expected)) >= 8
    # All around a query is dead: the scan has to go on behind it.
    near = np.argsort(-(many @ many[50]))[:300]
    engine.vectors.delete_vectors(index_name="dying", ids=[str(i) for i in near])
    assert len(engine.vectors.query(index_name="dying", query_vector=many[50], ef_search=10)) == 10


@committing
@pytest.mark.parametrize("broken", ["invalid", "missing"])
def test_a_broken_structure_is_reported_and_rebuilt(
    engine: PostgresEngine, few: Any, broken: str
) -> None:
    structure = f"{table_of('few')}_nearest"
    if broken == "missing":
        sql(f"DROP INDEX {structure}")
    else:
        sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", structure)
    assert engine.vectors.describe_index(index_name="few").status == broken
    for query in random_vectors(5, seed=8):
        matches = engine.vectors.query(index_name="few", query_vector=query)
        assert ids(matches) == nearest(few, query)
    assert engine.vectors.build_index(index_name="few").status == "ready"
    assert sql("SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", structure) == [
        (True,)
    ]
    with transaction.atomic():
        sql(f"DROP INDEX {structure}")
        assert engine.vectors.build_index(index_name="few").status == "ready"
