"""The contract of vectors."""

from __future__ import annotations

import math
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    IndexMismatch,
    IndexNotFound,
    InvalidInput,
    InvalidVector,
    NotFound,
)
from mastra_engine.testing.contract.records import by_name
from mastra_engine.testing.contract.text_arguments import KINDS
from mastra_engine.testing.hostile import (
    UNFIT_NAMES,
    UNFIT_VALUES,
    UNFIT_VECTORS,
    Refused,
)
from mastra_engine.types import Match, Storage
from mastra_engine.validation.vectors import INDEXED_DIMENSIONS

AXES = {
    "east": [1.0, 0.0, 0.0],
    "north": [0.0, 1.0, 0.0],
    "northeast": [1.0, 1.0, 0.0],
    "up": [0.0, 0.0, 2.0],
    "west": [-1.0, 0.0, 0.0],
}


class ToyEmbedder:
    """Counts letters: a vector of three numbers that anyone can check."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0 + text.count(letter) for letter in "abc"] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class WithCompass:
    """Tests on an index of directions; their engines may be given an embedder."""

    @pytest.fixture
    def compass(self, engine: MastraEngine) -> str:
        self.fill(engine, "compass")
        return "compass"

    def fill(self, engine: MastraEngine, name: str, **definition: Any) -> None:
        engine.vectors.create_index(index_name=name, dimension=3, **definition)
        engine.vectors.upsert(
            index_name=name,
            vectors=list(AXES.values()),
            ids=list(AXES),
            metadata=[{"flat": key != "up", "letters": len(key)} for key in AXES],
            documents=[f"the way {key}" for key in AXES],
        )

    def ids(self, matches: list[Match]) -> list[str]:
        return [match.id for match in matches]

    def query(self, engine: MastraEngine, **options: Any) -> list[str]:
        defaults: dict[str, Any] = {"index_name": "compass", "query_vector": [1, 0.1, 0]}
        return self.ids(engine.vectors.query(**{**defaults, **options}))


class TestVectors(WithCompass):
    # Indexes

    def test_declared_indexes_are_created_once(self, engine: MastraEngine) -> None:
        engine.vectors.declared = {"docs": {"dimension": 3}, "notes": {"dimension": 2}}
        for _ in range(2):
            created = engine.vectors.create_declared_indexes()
            assert [(index.name, index.dimension) for index in created] == [
                ("docs", 3),
                ("notes", 2),
            ]
        engine.vectors.declared = {"docs": {"dimension": 4}}
        with pytest.raises(IndexMismatch):
            engine.vectors.create_declared_indexes()

    def test_create_describe_and_list(self, engine: MastraEngine) -> None:
        created = engine.vectors.create_index(index_name="docs", dimension=3)
        assert (created.name, created.dimension, created.metric) == ("docs", 3, "cosine")
        assert (created.index_type, created.storage, created.count) == ("hnsw", "vector", 0)
        assert (created.status, created.progress) == ("ready", None)
        assert engine.vectors.describe_index(index_name="docs").name == "docs"
        self.fill(engine, "another")
        listed = engine.vectors.list_indexes()
        assert [(index.name, index.count) for index in listed] == [("another", 5), ("docs", 0)]
        assert listed[0].size_bytes > 0

    def test_the_same_definition_again_is_no_change(
        self, engine: MastraEngine, compass: str
    ) -> None:
        assert engine.vectors.create_index(index_name=compass, dimension=3).count == 5

    @pytest.mark.parametrize(
        "other",
        [
            {"dimension": 4},
            {"metric": "euclidean"},
            {"index_type": "flat"},
            {"storage": "halfvec"},
            {"m": 8},
            {"ef_construction": 128},
            {"language": "german"},
        ],
    )
    def test_another_definition_is_refused(
        self, engine: MastraEngine, compass: str, other: dict[str, Any]
    ) -> None:
        ((key, value),) = other.items()
        with pytest.raises(IndexMismatch, match=f" has {key} .*, not {value!r};"):
            engine.vectors.create_index(**{"index_name": compass, "dimension": 3, **other})
        assert len(self.query(engine)) == 5

    @pytest.mark.parametrize(
        ("definition", "pointer"),
        [
            ({"dimension": 0}, "/dimension"),
            ({"dimension": True}, "/dimension"),
            ({"dimension": 2001}, "/dimension"),
            ({"dimension": 4001, "storage": "halfvec"}, "/dimension"),
            ({"dimension": 16001, "index_type": "flat"}, "/dimension"),
            ({"metric": "hamming"}, "/metric"),
            ({"index_type": "btree"}, "/index_type"),
            ({"storage": "int8"}, "/storage"),
            ({"storage": "bit", "metric": "euclidean"}, "/metric"),
            ({"storage": "bit", "metric": "euclidean", "index_type": "flat"}, "/metric"),
            ({"dimension": 16001, "storage": "bit"}, "/dimension"),
            ({"language": "klingon"}, "/language"),
            ({"language": "english'; DROP TABLE x; --"}, "/language"),
            ({"m": 1}, "/m"),
            ({"m": 101}, "/m"),
            ({"ef_construction": 1001}, "/ef_construction"),
            ({"m": 40, "ef_construction": 64}, "/ef_construction"),
        ],
    )
    def test_invalid_index_definitions_are_refused(
        self, engine: MastraEngine, definition: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.create_index(**{"index_name": "docs", "dimension": 3, **definition})
        assert caught.value.path == pointer
        assert engine.vectors.list_indexes() == []

    def test_says_which_storage_would_fit(self, engine: MastraEngine) -> None:
        with pytest.raises(InvalidInput, match="halfvec"):
            engine.vectors.create_index(index_name="docs", dimension=3072)
        large = engine.vectors.create_index(index_name="docs", dimension=3072, storage="halfvec")
        assert large.dimension == 3072

    @by_name(UNFIT_NAMES)
    def test_invalid_names_are_refused(self, engine: MastraEngine, hostile: Refused) -> None:
        for call in (
            lambda: engine.vectors.create_index(index_name=hostile.value, dimension=3),
            lambda: engine.vectors.query(index_name=hostile.value, query_vector=[1, 0, 0]),
        ):
            with pytest.raises(InvalidInput) as caught:
                call()
            assert caught.value.path == "/index_name"

    def test_unknown_indexes(self, engine: MastraEngine) -> None:
        vectors = engine.vectors
        for call in (
            lambda: vectors.describe_index(index_name="nowhere"),
            lambda: vectors.build_index(index_name="nowhere"),
            lambda: vectors.delete_index(index_name="nowhere"),
            lambda: vectors.truncate_index(index_name="nowhere"),
            lambda: vectors.upsert(index_name="nowhere", vectors=[[1, 0, 0]]),
            lambda: vectors.query(index_name="nowhere", query_vector=[1, 0, 0]),
            lambda: vectors.update_vector(index_name="nowhere", id="x", metadata={}),
            lambda: vectors.delete_vectors(index_name="nowhere", ids=["x"]),
            lambda: vectors.get_vectors(index_name="nowhere", ids=["x"]),
            lambda: vectors.bulk_load(index_name="nowhere").__enter__(),
        ):
            with pytest.raises(IndexNotFound):
                call()

    def test_delete_and_truncate(self, engine: MastraEngine, compass: str) -> None:
        self.fill(engine, "other")
        engine.vectors.truncate_index(index_name=compass)
        assert self.query(engine) == []
        assert len(self.query(engine, index_name="other")) == 5
        engine.vectors.delete_index(index_name=compass)
        with pytest.raises(IndexNotFound):
            self.query(engine)
        engine.vectors.create_index(index_name=compass, dimension=3)
        assert self.query(engine) == []

    @pytest.mark.parametrize("index_type", ["hnsw", "ivfflat", "flat"])
    def test_every_kind_can_be_built_and_searched(
        self, engine: MastraEngine, index_type: str
    ) -> None:
        self.fill(engine, "compass", index_type=index_type)
        assert engine.vectors.build_index(index_name="compass").status == "ready"
        assert engine.vectors.build_index(index_name="compass").count == 5
        assert self.query(engine, top_k=2) == ["east", "northeast"]

    def test_bulk_load_builds_afterwards(self, engine: MastraEngine, compass: str) -> None:
        with engine.vectors.bulk_load(index_name=compass):
            assert self.query(engine, top_k=1) == ["east"]
            engine.vectors.upsert(index_name=compass, vectors=[[1, 0.1, 0]], ids=["exactly"])
        assert engine.vectors.describe_index(index_name=compass).status == "ready"
        assert self.query(engine, top_k=1) == ["exactly"]

    def test_a_failed_bulk_load_leaves_the_structure(
        self, engine: MastraEngine, compass: str
    ) -> None:
        with pytest.raises(ConnectionError), engine.vectors.bulk_load(index_name=compass):
            raise ConnectionError
        assert engine.vectors.describe_index(index_name=compass).status == "ready"

    # Writing

    def test_upsert_replaces_by_id(self, engine: MastraEngine, compass: str) -> None:
        engine.vectors.upsert(index_name=compass, vectors=[[1, 0.1, 0], [0, 1, 1]], ids=["up", "x"])
        assert self.query(engine, top_k=1) == ["up"]
        (up,) = engine.vectors.get_vectors(index_name=compass, ids=["up"])
        assert (up.metadata, up.document) == ({}, None)
        assert up.created_at <= up.updated_at
        assert engine.vectors.describe_index(index_name=compass).count == 6

    def test_missing_ids_are_generated(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="compass", dimension=3)
        ids = engine.vectors.upsert(index_name="compass", vectors=[[1, 0, 0], [0, 1, 0]])
        assert len(set(ids)) == 2
        assert self.query(engine) == ids
        assert engine.vectors.upsert(index_name="compass", vectors=[]) == []

    def test_the_last_of_one_id_wins(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="compass", dimension=3)
        engine.vectors.upsert(index_name="compass", vectors=[[1, 0, 0], [0, 1, 0]], ids=["a", "a"])
        (stored,) = engine.vectors.get_vectors(index_name="compass", ids=["a"])
        assert stored.vector == [0, 1, 0]

    def test_numpy_arrays(self, engine: MastraEngine) -> None:
        numpy = pytest.importorskip("numpy")
        engine.vectors.create_index(index_name="compass", dimension=3)
        rows = numpy.array([[1, 0, 0], [0, 1, 0]], dtype=numpy.float64)
        engine.vectors.upsert(index_name="compass", vectors=rows, ids=["a", "b"])
        assert self.query(engine, query_vector=numpy.array([0.0, 1.0, 0.1])) == ["b", "a"]
        for bad in (rows[0], rows[:, :2], rows * numpy.nan, rows * 0, rows.astype(str)):
            with pytest.raises(InvalidVector):
                engine.vectors.upsert(index_name="compass", vectors=bad)

    def test_other_libraries_arrays(self, engine: MastraEngine) -> None:
        numpy = pytest.importorskip("numpy")

        class Tensor:
            """Looks like the tensor of a machine learning library."""

            dtype = "float32"

            def __init__(self, rows: Any) -> None:
                self.rows = rows

            def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
                if isinstance(self.rows, Exception):
                    raise self.rows
                return numpy.array(self.rows, dtype=dtype)

        engine.vectors.create_index(index_name="compass", dimension=3)
        rows = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        with pytest.warns(PendingDeprecationWarning):
            matrix = numpy.matrix(rows)
        for array in (
            matrix,
            numpy.ma.masked_array(rows, mask=False),
            numpy.asfortranarray(rows),
            numpy.array(rows, dtype=">f8"),
            Tensor(rows),
        ):
            engine.vectors.truncate_index(index_name="compass")
            engine.vectors.upsert(index_name="compass", vectors=array, ids=["a", "b"])
            assert self.query(engine, query_vector=[0, 1, 0.1]) == ["b", "a"]
        for bad in (
            numpy.ma.masked_array(rows, mask=[[0, 0, 1], [0, 0, 0]]),
            numpy.array([("a", 1)], dtype=[("x", "U1"), ("y", "i4")]),
            numpy.array(rows, dtype=object),
            numpy.float64(1),
            Tensor([1.0, 0.0, 0.0]),
            Tensor(TypeError("it is on another device")),
            Tensor(RuntimeError("it requires grad")),
        ):
            with pytest.raises(InvalidVector) as caught:
                engine.vectors.upsert(index_name="compass", vectors=bad)
            assert caught.value.path == "/vectors"
            with pytest.raises(InvalidVector):
                engine.vectors.query(index_name="compass", query_vector=bad)

    @pytest.mark.parametrize("key", ["@thread_id", "@entity_id", "@", "@a/b"])
    def test_keys_of_the_engine_are_refused(
        self, engine: MastraEngine, compass: str, key: str
    ) -> None:
        written = key.replace("/", "~1")
        for form in (key, KINDS["Enum"](key)):
            with pytest.raises(InvalidInput, match="rename it") as caught:
                engine.vectors.upsert(
                    index_name=compass, vectors=[[1, 0, 0]] * 2, metadata=[{}, {form: ""}]
                )
            assert caught.value.path == f"/metadata/1/{written}"
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.update_vector(index_name=compass, id="up", metadata={key: "x"})
        assert caught.value.path == f"/metadata/{written}"
        engine.vectors.update_vector(index_name=compass, id="up", metadata={"a": {key: "x"}})

    def test_namespaces_are_apart(self, engine: MastraEngine, compass: str) -> None:
        engine.vectors.upsert(
            index_name=compass, vectors=[[0, 0, 1]], ids=["east"], namespace="space"
        )
        (match,) = engine.vectors.query(
            index_name=compass, query_vector=[1, 0, 0], namespace="space"
        )
        assert (match.id, match.namespace) == ("east", "space")
        assert match.score == pytest.approx(0)
        assert len(self.query(engine, namespace="")) == 5
        assert len(self.query(engine)) == 6
        assert self.query(engine, namespace="elsewhere") == []
        assert engine.vectors.delete_vectors(index_name=compass, ids=["east"]) == 1
        (vectors,) = engine.vectors.get_vectors(index_name=compass, ids=["east"], namespace="space")
        assert vectors.vector == [0, 0, 1]
        deleted = engine.vectors.delete_vectors(index_name=compass, ids=["east"], namespace=None)
        assert deleted == 1

    def test_update_replaces_parts(self, engine: MastraEngine, compass: str) -> None:
        update = engine.vectors.update_vector
        before = engine.vectors.get_vectors(index_name=compass, ids=["up"])[0]
        after = update(index_name=compass, id="up", metadata={"new": True})
        assert (after.metadata, after.vector) == ({"new": True}, before.vector)
        assert (after.document, after.created_at) == (before.document, before.created_at)
        after = update(index_name=compass, id="up", vector=[1, 0.1, 0], document=None)
        assert (after.vector[0], after.document) == (1, None)
        assert self.query(engine, top_k=1) == ["up"]
        with pytest.raises(NotFound):
            update(index_name=compass, id="down", metadata={})
        with pytest.raises(InvalidInput):
            update(index_name=compass, id="up")

    def test_delete_by_id_and_by_filter(self, engine: MastraEngine, compass: str) -> None:
        delete = engine.vectors.delete_vectors
        assert delete(index_name=compass, ids=["east", "east", "down"]) == 1
        assert delete(index_name=compass, filter={"letters": {"$lt": 5}}) == 2
        assert self.query(engine) == ["northeast", "north"]
        unclear: list[dict[str, Any]] = [
            *({}, {"ids": ["a"], "filter": {"a": 1}}, {"ids": ["a"], "filter": {}}),
            *({"filter": {}}, {"filter": []}),
        ]
        for nothing in unclear:
            with pytest.raises(InvalidInput):
                delete(index_name=compass, **nothing)
        assert len(self.query(engine)) == 2

    def test_get_returns_the_order_of_the_ids(self, engine: MastraEngine, compass: str) -> None:
        vectors = engine.vectors.get_vectors(index_name=compass, ids=["up", "down", "east"])
        assert [match.id for match in vectors] == ["up", "east"]

    def test_values_at_their_limits_are_accepted(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="long", dimension=1, storage="halfvec")
        words = " ".join(f"{i:04x}-{i:04x}" for i in range(2**16))[: 2**18]
        arguments: dict[str, Any] = {"index_name": "long", "namespace": "n" * 512}
        engine.vectors.upsert(**arguments, vectors=[[1]], ids=["i" * 512], documents=[words])
        (stored,) = engine.vectors.get_vectors(**arguments, ids=["i" * 512])
        assert stored.document == words

    def test_vectors_may_come_one_by_one(self, engine: MastraEngine, compass: str) -> None:
        rows = ([1, 0, i] for i in range(3))
        assert len(engine.vectors.upsert(index_name=compass, vectors=rows)) == 3
        assert engine.vectors.describe_index(index_name=compass).count == 8

    # Bad input: refused before anything is written.

    @pytest.mark.parametrize("storage", INDEXED_DIMENSIONS)
    def test_invalid_vectors_are_refused(self, engine: MastraEngine, storage: Storage) -> None:
        self.fill(engine, "compass", storage=storage)
        index: dict[str, Any] = {"index_name": "compass"}
        for hostile in UNFIT_VECTORS:
            if storage == "sparsevec" and isinstance(hostile.value, dict):
                continue  # which is a sparse vector
            with pytest.raises(InvalidVector) as caught:
                engine.vectors.upsert(**index, vectors=[[1, 0, 0], hostile.value])
            assert caught.value.path == "/vectors/1", hostile.name
            with pytest.raises(InvalidVector) as caught:
                engine.vectors.query(**index, query_vector=hostile.value)
            assert caught.value.path == "/query_vector", hostile.name
            with pytest.raises(InvalidVector) as caught:
                engine.vectors.update_vector(**index, id="up", vector=hostile.value)
            assert caught.value.path == "/vector", hostile.name
        assert engine.vectors.describe_index(**index).count == 5

    def test_zero_is_a_vector_where_it_has_a_distance(self, engine: MastraEngine) -> None:
        for metric in ("euclidean", "dotproduct"):
            engine.vectors.create_index(index_name=metric, dimension=3, metric=metric)
            engine.vectors.upsert(index_name=metric, vectors=[[0, 0, 0]])
            (match,) = engine.vectors.query(index_name=metric, query_vector=[0, 0, 0])
            assert match.score == (1 if metric == "euclidean" else 0)

    def test_half_precision_has_its_own_range(self, engine: MastraEngine) -> None:
        engine.vectors.create_index(index_name="half", dimension=2, storage="halfvec")
        for bad in ([65_505, 1], [1e-9, 0]):
            with pytest.raises(InvalidVector):
                engine.vectors.upsert(index_name="half", vectors=[bad])
        engine.vectors.upsert(index_name="half", vectors=[[65_504, 65_504]])

    @by_name(UNFIT_VALUES)
    def test_refuses_metadata_that_jsonb_cannot_hold(
        self, engine: MastraEngine, compass: str, hostile: Refused
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.upsert(
                index_name=compass, vectors=[[1, 0, 0]], metadata=[{"field": hostile.value}]
            )
        assert caught.value.path == f"/metadata/0/field{hostile.pointer}"
        assert engine.vectors.describe_index(index_name=compass).count == 5

    @pytest.mark.parametrize(
        ("value", "pointer"),
        [
            ({"vectors": "abc"}, "/vectors"),
            ({"vectors": 5}, "/vectors"),
            ({"vectors": {"a": [1, 0, 0]}}, "/vectors"),
            ({"ids": ["a", "b"]}, "/ids"),
            ({"ids": "a"}, "/ids"),
            ({"ids": [""]}, "/ids/0"),
            ({"ids": [7]}, "/ids/0"),
            ({"metadata": [{}, {}]}, "/metadata"),
            ({"metadata": ["text"]}, "/metadata/0"),
            ({"metadata": [None]}, "/metadata/0"),
            ({"documents": ["a", "b"]}, "/documents"),
            ({"documents": [5]}, "/documents/0"),
            ({"documents": ["\0"]}, "/documents/0"),
            ({"documents": ["a" * 2**18 + "a"]}, "/documents/0"),
            ({"namespace": "\u00e9" * 257}, "/namespace"),
            ({"namespace": None}, "/namespace"),
            ({"namespace": "\ud800"}, "/namespace"),
        ],
    )
    def test_arguments_of_different_lengths_are_refused(
        self, engine: MastraEngine, compass: str, value: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.vectors.upsert(**{"index_name": compass, "vectors": [[1, 0, 0]], **value})
        assert caught.value.path == pointer
        assert engine.vectors.describe_index(index_name=compass).count == 5

    @pytest.mark.parametrize(
        ("options", "pointer"),
        [
            ({"top_k": 0}, "/top_k"),
            ({"top_k": "5"}, "/top_k"),
            ({"ef_search": 0}, "/ef_search"),
            ({"ef_search": 1001}, "/ef_search"),
            ({"query_text": "\0", "hybrid": True}, "/query_text"),
            ({"namespace": 5}, "/namespace"),
            ({"min_score": "0.5"}, "/min_score"),
            ({"min_score": math.nan}, "/min_score"),
            ({"top_k": 2**61}, "/top_k"),
        ],
    )
    def test_refuses_bad_options(
        self, engine: MastraEngine, compass: str, options: dict[str, Any], pointer: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            self.query(engine, **options)
        assert caught.value.path == pointer

    def test_async_variants(self, engine: MastraEngine) -> None:
        vectors = engine.vectors

        async def use() -> list[Match]:
            await vectors.acreate_index(index_name="compass", dimension=3)
            async with vectors.abulk_load(index_name="compass"):
                await vectors.aupsert(index_name="compass", vectors=[[1, 0, 0]], ids=["east"])
            return await vectors.aquery(index_name="compass", query_vector=[1, 0, 0])

        assert self.ids(async_to_sync(use)()) == ["east"]
