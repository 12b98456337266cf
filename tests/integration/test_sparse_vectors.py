"""Indexes with the storage `sparsevec`: the structure is used, and little is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Embedding, VectorIndex
from tests.integration.queries import plans

ROWS, DIMENSION, TERMS = 2_000, 30_522, 30


def sparse_rows(number: int, seed: int) -> list[dict[int, float]]:
    """Return weights of terms, of which each of 40 topics has 60, half of them common words."""
    random = np.random.default_rng(seed)
    topics = np.random.default_rng(5).integers(DIMENSION, size=(40, 60))
    topics[:, 30:] %= 100
    return [
        {
            int(term): float(weight)
            for term, weight in zip(
                random.choice(topics[random.integers(40)], TERMS),
                random.uniform(0.1, 2, TERMS),
                strict=True,
            )
        }
        for _ in range(number)
    ]


def cosine(one: dict[int, float], other: dict[int, float]) -> float:
    product = sum(weight * other.get(term, 0) for term, weight in one.items())
    return product / float(np.linalg.norm([*one.values()]) * np.linalg.norm([*other.values()]))


@pytest.fixture
def rows(engine: PostgresEngine) -> list[dict[int, float]]:
    rows = sparse_rows(ROWS, seed=1)
    engine.vectors.create_index(index_name="terms", dimension=DIMENSION, storage="sparsevec")
    with engine.vectors.bulk_load(index_name="terms"):
        engine.vectors.upsert(
            index_name="terms",
            vectors=rows,
            ids=[str(i) for i in range(ROWS)],
            metadata=[{"half": i % 2} for i in range(ROWS)],
        )
    return rows


@pytest.mark.parametrize("where", [None, {"half": 1}])
def test_the_structure_is_used(
    engine: PostgresEngine, rows: list[dict[int, float]], where: dict[str, int] | None
) -> None:
    index = VectorIndex.objects.get(name="terms")
    structure = f"mastra_engine_embedding_{index.pk}_nearest"
    common = 0
    for query in sparse_rows(10, seed=2):
        with plans() as used:
            matches = engine.vectors.query(
                index_name="terms", query_vector=query, filter=where, top_k=3
            )
        assert f"Index Scan using {structure}" in used[0]
        scores = {i: cosine(query, row) for i, row in enumerate(rows) if not where or i % 2}
        best = sorted(scores, key=lambda i: -scores[i])[:3]
        common += len({match.id for match in matches} & {*map(str, best)})
        for match in matches:
            assert match.score == pytest.approx(scores[int(match.id)], abs=1e-5)
    assert common >= 27


def test_zeros_take_no_space(engine: PostgresEngine, rows: list[dict[int, float]]) -> None:
    size = engine.vectors.describe_index(index_name="terms").size_bytes
    assert size < ROWS * 2_000  # a vector of all numbers takes 122,088 bytes
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(sparse_embedding), count(embedding) FROM mastra_engine_embedding"
        )
        assert cursor.fetchone() == (ROWS, 0)


def test_the_queryset_orders_sparse_vectors(
    engine: PostgresEngine, rows: list[dict[int, float]]
) -> None:
    index = VectorIndex.objects.get(name="terms")
    query: list[Any] = [0.0] * DIMENSION
    for term, weight in rows[7].items():
        query[term] = weight
    nearest = Embedding.objects.nearest(index, query)[:3]
    assert nearest[0].vector_id == "7"
    assert nearest[0].numbers() == pytest.approx(query)
