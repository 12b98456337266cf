"""Searches compared with raw SQL and brute force, one query after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from pgvector.psycopg import register_vector

from benchmarks.database import connect
from benchmarks.vectors_data import SHARES, Dataset, Matrix
from benchmarks.vectors_loads import partition_of
from mastra_engine import engine
from mastra_engine.filters.parsing import parse_filter
from mastra_engine.postgres.compile import on_metadata
from mastra_engine.postgres.search import Search
from mastra_engine.validation.vectors import vector

#: More than any filter needs, and few enough for the planner to take the graph.
ALL_NEIGHBOURS = "distance LIMIT 10000"
INDEX, SMALL = "benchmark", "small"
EF_SEARCH = (40, 100, 200)
KEYS = (*SHARES, "far")
Find = Callable[[Matrix], list[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """The results of a search method: median time, recall@10, fewest rows."""

    milliseconds: float
    recall: float
    fewest: int


def compare(ways: Mapping[str, Find], queries: Matrix, truth: list[set[str]]) -> dict[str, Found]:
    """Run every query with every method, each time beginning with another method."""
    durations: dict[str, list[float]] = {name: [] for name in ways}
    hits: dict[str, list[float]] = {name: [] for name in ways}
    rows: dict[str, list[int]] = {name: [] for name in ways}
    names = list(ways)
    for number, query in enumerate(queries):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            start = time.perf_counter()
            ids = ways[name](query)
            durations[name].append(time.perf_counter() - start)
            hits[name].append(len(truth[number].intersection(ids)) / len(truth[number]))
            rows[name].append(len(ids))
    return {
        name: Found(median(durations[name]) * 1000, float(np.mean(hits[name])), min(rows[name]))
        for name in ways
    }


def by_engine(index_name: str = INDEX, **options: Any) -> Find:
    def find(query: Matrix) -> list[str]:
        matches = engine.vectors.query(index_name=index_name, query_vector=query, **options)
        return [match.id for match in matches]

    return find


class Raw:
    """The lower bound: a prepared statement with binary parameters and results."""

    def __init__(self, dimension: int, *, ef_search: int) -> None:
        self._connection = connect()
        register_vector(self._connection)
        self._connection.execute(f"SET hnsw.ef_search = {ef_search}")
        self._cursor = self._connection.cursor(binary=True)
        distance = f"(embedding::vector({dimension})) <=> %s"
        self._sql = (
            f"SELECT id, namespace, document, metadata, {distance} AS distance "
            f"FROM {partition_of(INDEX).table} ORDER BY {distance} LIMIT 10"
        )

    def __call__(self, query: Matrix) -> list[str]:
        self._cursor.execute(self._sql, [query, query], prepare=True)
        return [row[0] for row in self._cursor.fetchall()]


def unfiltered(data: Dataset) -> dict[str, dict[str, Found]]:
    """Return the results of the engine and of raw SQL for each `ef_search`."""
    truth = [data.nearest(query) for query in data.queries]
    return {
        str(ef): compare(
            {
                "raw": Raw(data.vectors.shape[1], ef_search=ef),
                "ours": by_engine(ef_search=ef),
            },
            data.queries,
            truth,
        )
        for ef in EF_SEARCH
    }


def filtered(data: Dataset, queries: int = 100) -> dict[str, dict[str, dict[str, Found]]]:
    """Return the results of the engine, and of each of its two plans, for each filter.

    Each does so beside searches without a filter, and nothing else in between: a walk through the
    graph leaves that in the processor's caches, and little of what is filtered.
    """
    return {key: _one_filter(data, key, data.queries[:queries]) for key in KEYS}


def _one_filter(data: Dataset, key: str, queries: Matrix) -> dict[str, dict[str, Found]]:
    among = data.carrying(key)
    truth = [data.nearest(query, among) for query in queries]
    ways = {
        "ours": by_engine(filter={key: True}),
        "exact": _alone(key, lambda search: search._exact() or []),
        "graph": _alone(key, lambda search: search._graph(ALL_NEIGHBOURS) or []),
    }
    return {
        name: compare({"unfiltered": by_engine(), "filtered": way}, queries, truth)
        for name, way in ways.items()
    }


def _alone(key: str, search_by: Callable[[Search], list[Any]]) -> Find:
    partition, where = partition_of(INDEX), on_metadata(parse_filter({key: True}))

    def find(query: Matrix) -> list[str]:
        target = vector(query, partition.index, "")
        search = Search(partition, target, where, limit=10, ef_search=100, with_vector=False)
        return [row[0] for row in search_by(search)]

    return find


def unprepared(work: Callable[[], Any]) -> Any:
    """Search without prepared statements on Django's connection, as behind a pooler."""
    from django.db import connection

    threshold = connection.connection.prepare_threshold
    assert threshold is not None, "the engine has not looked at the connection yet"
    connection.connection.prepare_threshold = None
    try:
        return work()
    finally:
        connection.connection.prepare_threshold = threshold


def many_indexes(data: Dataset, number: int) -> dict[str, float]:
    """Return times with many indexes as multiples of those with one index."""
    rows = data.vectors[:2_000]
    vectors = engine.vectors
    vectors.create_index(index_name=SMALL, dimension=rows.shape[1])
    vectors.upsert(index_name=SMALL, vectors=rows, ids=[str(i) for i in range(len(rows))])
    before = _small_work(data)
    names = [f"other-{i}" for i in range(number - 1)]
    for name in names:
        vectors.create_index(index_name=name, dimension=rows.shape[1])
        vectors.upsert(index_name=name, vectors=rows[:10])
    among_many = _small_work(data)
    for name in names:
        vectors.delete_index(index_name=name)
    after = _small_work(data)
    vectors.delete_index(index_name=SMALL)
    return {what: 2 * among_many[what] / (before[what] + after[what]) for what in before}


def _small_work(data: Dataset) -> dict[str, float]:
    """Return the median time of a search, of inserting ten vectors and of getting ten."""
    ids = [str(i) for i in range(10)]
    some = data.vectors[:10]
    work: dict[str, Callable[[Matrix], Any]] = {
        "search": lambda query: engine.vectors.query(index_name=SMALL, query_vector=query),
        "insert": lambda _: engine.vectors.upsert(index_name=SMALL, vectors=some),
        "get": lambda _: engine.vectors.get_vectors(index_name=SMALL, ids=ids),
    }
    durations: dict[str, list[float]] = {name: [] for name in work}
    for query in data.queries:
        for name, do in work.items():
            start = time.perf_counter()
            do(query)
            durations[name].append(time.perf_counter() - start)
    return {name: median(times) for name, times in durations.items()}
