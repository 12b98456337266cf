"""The contract of sparse vectors."""

from __future__ import annotations

from typing import Any

import pytest
from pgvector import SparseVector

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput, InvalidVector
from mastra_engine.testing.contract.vectors import WithCompass
from mastra_engine.types import IndexType

DIMENSION = 30_522
SPARSE: dict[str, Any] = {"index_name": "terms"}


class TestSparseVectors(WithCompass):
    @pytest.fixture(params=["hnsw", "flat"])
    def terms(self, engine: MastraEngine, request: Any) -> str:
        engine.vectors.create_index(
            **SPARSE, dimension=DIMENSION, storage="sparsevec", index_type=request.param
        )
        engine.vectors.upsert(
            **SPARSE,
            vectors=[{7: 1, 30_521: 1}, {7: 2.0}, {"30521": 0.5, "0": 0.25}],
            ids=["both", "seven", "last"],
            metadata=[{"n": 0}, {"n": 1}, {"n": 2}],
            documents=["a", "b", "c"],
        )
        return "terms"

    def test_finds_the_nearest(self, engine: MastraEngine, terms: str) -> None:
        assert self.query(engine, **SPARSE, query_vector={7: 1}) == ["seven", "both", "last"]
        matches = engine.vectors.query(**SPARSE, query_vector={7: 3}, filter={"n": {"$ne": 1}})
        assert [(match.id, round(match.score, 4)) for match in matches] == [
            ("both", 0.7071),
            ("last", 0),
        ]
        assert self.query(engine, **SPARSE, query_vector={7: 1}, min_score=0.9) == ["seven"]

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            ("cosine", [("b", 0.8), ("a", 0.6)]),
            ("dotproduct", [("b", 4), ("a", 3)]),
            ("euclidean", [("b", 1 / (1 + 18**0.5)), ("a", 1 / (1 + 20**0.5))]),
        ],
    )
    def test_scores(
        self, engine: MastraEngine, metric: Any, expected: list[tuple[str, float]]
    ) -> None:
        engine.vectors.create_index(**SPARSE, dimension=9, metric=metric, storage="sparsevec")
        engine.vectors.upsert(**SPARSE, vectors=[{2: 1}, {8: 1}], ids=["a", "b"])
        matches = engine.vectors.query(**SPARSE, query_vector={2: 3, 8: 4})
        assert [match.id for match in matches] == [id for id, _ in expected]
        assert [match.score for match in matches] == pytest.approx([score for _, score in expected])

    def test_returns_all_numbers(self, engine: MastraEngine, terms: str) -> None:
        (last,) = engine.vectors.get_vectors(**SPARSE, ids=["last"])
        assert (last.vector[0], last.vector[30_521], sum(last.vector)) == (0.25, 0.5, 0.75)
        assert len(last.vector) == DIMENSION
        (match,) = engine.vectors.query(**SPARSE, query_vector={0: 1}, top_k=1, include_vector=True)
        assert match.vector == last.vector
        changed = engine.vectors.update_vector(**SPARSE, id="last", vector={3: 0.1})
        assert changed.vector[3] == pytest.approx(0.1)
        assert sum(map(bool, changed.vector)) == 1
        diverse = self.query(engine, **SPARSE, query_vector={7: 1}, mmr=0.4, top_k=2)
        assert diverse == ["seven", "last"]

    def test_accepts_every_form(self, engine: MastraEngine) -> None:
        scipy = pytest.importorskip("scipy.sparse")
        numpy = pytest.importorskip("numpy")
        engine.vectors.create_index(**SPARSE, dimension=4, storage="sparsevec")
        rows = [[0.0, 2.0, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0]]
        many = rows * 6
        for form in (
            rows,
            many,
            numpy.array(rows),
            scipy.csr_array(rows),
            scipy.coo_matrix(rows),
            [scipy.coo_array([row]) for row in rows],
            [scipy.csr_matrix([row]) for row in rows],
            [numpy.array(row) for row in rows],
            [SparseVector(row) for row in rows],
            [{1: 2, 3: 0.5, 0: 0}, {numpy.int64(0): numpy.float32(1)}],
            ({key: row[key] for key in range(4)} for row in rows),
        ):
            engine.vectors.truncate_index(**SPARSE)
            ids = engine.vectors.upsert(**SPARSE, vectors=form)
            stored = engine.vectors.get_vectors(**SPARSE, ids=ids)
            assert [row.vector for row in stored] == (many if form is many else rows)
            target = scipy.coo_array([[0, 1, 0, 0]])
            (match,) = engine.vectors.query(**SPARSE, query_vector=target, top_k=1)
            assert match.id in ids[::2]

    @pytest.mark.parametrize(
        "vector",
        [
            *({}, {0: 0}, {4: 1}, {-1: 1}, {True: 1}, {1.0: 1}, {"a": 1}, {"-1": 1}, {"9" * 99: 1}),
            *({0: float("nan")}, {0: float("inf")}, {0: 1e39}, {0: 10**400}, {0: "1"}, {0: None}),
            *({0: 1, "0": 1}, {0: 1e-60}, [0, 1], [0, 0, 0, 0], [0, 0, 0, "1"], "1234", 5, None),
            *(SparseVector({0: 1}, 5), SparseVector({7: 1}, 4)),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_refuses_other_vectors(self, engine: MastraEngine, vector: Any) -> None:
        engine.vectors.create_index(**SPARSE, dimension=4, storage="sparsevec")
        with pytest.raises(InvalidVector) as caught:
            engine.vectors.upsert(**SPARSE, vectors=[{1: 1}, vector])
        assert caught.value.path == "/vectors/1"
        if vector is not None:
            with pytest.raises(InvalidVector) as caught:
                engine.vectors.query(**SPARSE, query_vector=vector)
            assert caught.value.path == "/query_vector"
        assert engine.vectors.describe_index(**SPARSE).count == 0

    def test_limits_of_nonzero_numbers(self, engine: MastraEngine) -> None:
        limits: dict[IndexType, int] = {"hnsw": 1_000, "flat": 16_000}
        for index_type, limit in limits.items():
            options: dict[str, Any] = {"index_name": index_type}
            engine.vectors.create_index(
                **options, dimension=20_000, storage="sparsevec", index_type=index_type
            )
            engine.vectors.upsert(**options, vectors=[dict.fromkeys(range(limit), 1.0)])
            with pytest.raises(InvalidVector, match=f"limit is {limit:,}; use "):
                engine.vectors.upsert(**options, vectors=[dict.fromkeys(range(limit + 1), 1.0)])

    @pytest.mark.parametrize(
        ("definition", "pointer"),
        [
            ({"dimension": 2**18 + 1}, "/dimension"),
            ({"dimension": 2**18 + 1, "index_type": "flat"}, "/dimension"),
            ({"dimension": 3, "index_type": "ivfflat"}, "/index_type"),
        ],
    )
    def test_refuses_definitions_that_cannot_be_indexed(
        self, engine: MastraEngine, definition: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.create_index(**SPARSE, storage="sparsevec", **definition)
        assert caught.value.path == pointer
        engine.vectors.create_index(**SPARSE, storage="sparsevec", dimension=2**18)

    def test_other_storages_refuse_mappings(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(**SPARSE, dimension=2)
        for vector in ({0: 1}, SparseVector([0, 1])):
            with pytest.raises(InvalidVector):
                engine.vectors.upsert(**SPARSE, vectors=[vector])

    def test_bulk_load(self, engine: MastraEngine, terms: str) -> None:
        with engine.vectors.bulk_load(**SPARSE):
            engine.vectors.upsert(
                **SPARSE, vectors=[{i: 1, i + 1: 0.5} for i in range(100, 200)], namespace="more"
            )
        built = engine.vectors.describe_index(**SPARSE)
        assert (built.status, built.count, built.storage) == ("ready", 103, "sparsevec")
        (match,) = engine.vectors.query(**SPARSE, query_vector={150: 2, 151: 1}, top_k=1)
        assert (match.namespace, round(match.score, 5)) == ("more", 1)
