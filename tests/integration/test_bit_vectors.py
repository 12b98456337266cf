"""Indexes with the storage `bit`: candidates by a structure of bits, exact scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from django.db import connection

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import IndexNotFound
from mastra_engine.models import VectorIndex
from mastra_engine.types import Match
from tests.integration.queries import plans

ROWS, DIMENSION, QUERIES = 4_000, 256, 20


def clustered(rows: int, dimension: int) -> Any:
    """Return vectors of 40 clusters, which vary in 24 directions and little in the others."""
    random = np.random.default_rng(3)
    latent = random.normal(size=(40, 24))[random.integers(40, size=rows)]
    latent += 0.7 * random.normal(size=latent.shape)
    vectors = latent @ random.normal(size=(24, dimension)) / 24**0.5
    vectors += 0.25 * random.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(engine: PostgresEngine, name: str, vectors: Any, **definition: Any) -> None:
    engine.vectors.create_index(index_name=name, dimension=vectors.shape[1], **definition)
    with engine.vectors.bulk_load(index_name=name):
        engine.vectors.upsert(
            index_name=name,
            vectors=vectors,
            ids=[str(i) for i in range(len(vectors))],
            metadata=[{"half": i % 2, "percent": i * 7 % 100} for i in range(len(vectors))],
        )


@pytest.fixture(scope="module")
def vectors(django_db_setup: None, django_db_blocker: Any) -> Iterator[Any]:
    rows = clustered(ROWS + QUERIES, DIMENSION)
    with django_db_blocker.unblock():
        fill(PostgresEngine(), "bits", rows[:ROWS], storage="bit")
    yield rows
    with django_db_blocker.unblock(), suppress(IndexNotFound):
        PostgresEngine().vectors.delete_index(index_name="bits")


def nearest(vectors: Any, query: Any, where: Any = slice(None)) -> list[str]:
    numbers = np.arange(ROWS)[where]
    return [str(i) for i in numbers[np.argsort(-(vectors[numbers] @ query))[:10]]]


def ids(matches: list[Match]) -> list[str]:
    return [match.id for match in matches]


def structure_of(name: str) -> str:
    return f"mastra_engine_embedding_{VectorIndex.objects.get(name=name).pk}_nearest"


@pytest.mark.parametrize("where", [None, {"half": 1}])
def test_candidates_come_from_the_structure(
    engine: PostgresEngine, vectors: Any, where: dict[str, int] | None
) -> None:
    with plans() as used:
        engine.vectors.query(index_name="bits", query_vector=vectors[ROWS], filter=where, top_k=3)
    (plan,) = used
    assert f"Index Scan using {structure_of('bits')}" in plan


@pytest.mark.parametrize("half", [None, 0, 1])
def test_recall_and_exact_scores(engine: PostgresEngine, vectors: Any, half: int | None) -> None:
    where = slice(half, None, 1 if half is None else 2)
    common = 0
    for query in vectors[ROWS:]:
        matches = engine.vectors.query(
            index_name="bits", query_vector=query, filter=None if half is None else {"half": half}
        )
        common += len({*ids(matches)} & {*nearest(vectors, query, where)})
        exact = [float(vectors[int(match.id)] @ query) for match in matches]
        assert [match.score for match in matches] == pytest.approx(exact, abs=1e-5)
        assert exact == sorted(exact, reverse=True)
        assert len(matches) == 10
    assert common >= 0.95 * 10 * QUERIES


def test_a_rare_filter_is_exact(engine: PostgresEngine, vectors: Any) -> None:
    where = np.arange(ROWS) * 7 % 100 == 5
    for query in vectors[ROWS:]:
        matches = engine.vectors.query(index_name="bits", query_vector=query, filter={"percent": 5})
        assert ids(matches) == nearest(vectors, query, where)


def test_without_a_structure_every_vector_is_compared(engine: PostgresEngine, vectors: Any) -> None:
    """The bits of these vectors are all the same, so candidates by bits would be arbitrary."""
    rows = np.abs(vectors[:ROWS]) + np.float32(1e-6)
    engine.vectors.create_index(index_name="positive", dimension=DIMENSION, storage="bit")
    with engine.vectors.bulk_load(index_name="positive"):
        numbers = [str(i) for i in range(ROWS)]
        engine.vectors.upsert(index_name="positive", vectors=rows, ids=numbers)
        assert engine.vectors.describe_index(index_name="positive").status == "missing"
        for query in np.abs(vectors[ROWS:]):
            matches = engine.vectors.query(index_name="positive", query_vector=query)
            assert (
                ids(matches)[0] == nearest(rows / np.linalg.norm(rows, axis=1)[:, None], query)[0]
            )


def test_all_requested_rows_are_returned(engine: PostgresEngine, vectors: Any) -> None:
    for top_k in (1, 199, ROWS - 1, ROWS, ROWS + 1, 2**60):
        matches = engine.vectors.query(index_name="bits", query_vector=vectors[ROWS], top_k=top_k)
        assert len({*ids(matches)}) == len(matches) == min(top_k, ROWS)


def test_the_structure_is_small(engine: PostgresEngine, vectors: Any) -> None:
    rows = clustered(500, 1_024)
    sizes = {}
    for storage in ("vector", "bit"):
        fill(engine, storage, rows, storage=storage)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_relation_size(%s)", [structure_of(storage)])
            (sizes[storage],) = cursor.fetchone()
    assert sizes["bit"] <= sizes["vector"] / 10
