"""The routes of vectors, and Mastra's filters."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine import MastraEngine
from mastra_engine.contrib.mastra_server.vector_filters import engine_filter
from tests.mastra_server.conftest import Mastra, ids

STORE = "/vector/default"
ROWS: list[dict[str, Any]] = [
    {"lang": "en", "price": 5, "tags": ["new"], "user": {"name": "ann", "age": 30}},
    {"lang": "de", "price": 15, "tags": ["old", "sale"], "title": "The Lentil Soup"},
    {"lang": "fr", "price": 25, "tags": []},
]
NAMES = ["en", "de", "fr"]


@pytest.fixture
def docs(ann: Mastra, staff: Mastra) -> Mastra:
    """Ann, who has three vectors of an index that staff created."""
    assert staff.post(f"{STORE}/create-index", {"indexName": "docs", "dimension": 2}) == {
        "success": True
    }
    body = {
        "indexName": "docs",
        "vectors": [[1, 0], [0.8, 0.6], [0, 1]],
        "metadata": ROWS,
        "ids": NAMES,
        "unknown": 1,
    }
    assert ann.post(f"{STORE}/upsert", body) == {"ids": NAMES}
    return ann


def test_indexes_are_listed_described_and_deleted(docs: Mastra, staff: Mastra) -> None:
    assert staff.get(f"{STORE}/indexes") == ["docs"]
    described = {"dimension": 2, "count": 3, "metric": "cosine"}
    assert staff.get(f"{STORE}/indexes/docs") == described
    same = {"indexName": "docs", "dimension": 2, "metric": "cosine"}
    assert staff.post(f"{STORE}/create-index", same) == {"success": True}
    staff.post(f"{STORE}/create-index", {**same, "dimension": 3}, expected=409)
    assert staff.delete(f"{STORE}/indexes/docs") == {"success": True}
    assert staff.get(f"{STORE}/indexes") == []
    staff.get(f"{STORE}/indexes/docs", expected=404)
    staff.delete(f"{STORE}/indexes/docs", expected=404)


def test_vectors_are_searched(docs: Mastra) -> None:
    query = {"indexName": "docs", "queryVector": [1, 0], "topK": 2}
    first, second = docs.post(f"{STORE}/query", query)
    assert first == {"id": "en", "score": 1.0, "metadata": ROWS[0]}
    assert second["id"] == "de"
    assert second["score"] == pytest.approx(0.8)
    with_vector = docs.post(f"{STORE}/query", {**query, "includeVector": True, "filter": None})
    assert with_vector[0]["vector"] == [1.0, 0.0]


def test_vectors_without_ids_and_metadata_get_them(docs: Mastra) -> None:
    new = docs.post(f"{STORE}/upsert", {"indexName": "docs", "vectors": [[0.6, 0.8]]})["ids"]
    query = {"indexName": "docs", "queryVector": [0.6, 0.8], "topK": 1}
    assert docs.post(f"{STORE}/query", query)[0] == {
        "id": new[0],
        "score": pytest.approx(1),
        "metadata": {},
    }


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, NAMES),
        ({"lang": "en"}, ["en"]),
        ({"lang": ["en", "fr"]}, ["en", "fr"]),
        ({"lang": {"$in": "en"}}, ["en"]),
        ({"lang": {"$nin": ["en"]}}, ["de", "fr"]),
        ({"price": {"$gt": 5, "$lte": 25}}, ["de", "fr"]),
        ({"price": {"$not": {"$gt": 5}}}, ["en"]),
        ({"$not": {"lang": "en"}}, ["de", "fr"]),
        ({"$not": {"$or": [{"lang": "en"}, {"price": 15}]}}, ["fr"]),
        ({"user": {"name": "ann"}}, ["en"]),
        ({"user": {"name": "ann", "age": {"$lt": 20}}}, []),
        ({"user.age": {"$gte": 30}}, ["en"]),
        ({"user.age": 30, "user": {"age": 31}}, []),
        ({"title": {"$contains": "lentil"}}, ["de"]),
        ({"tags": {"$all": "sale"}}, ["de"]),
        ({"tags": {"$all": ["sale", "old"]}}, ["de"]),
        ({"tags": {"$size": 1}}, ["en"]),
        ({"tags": {"$elemMatch": {"$eq": "new"}}}, ["en"]),
        ({"title": {"$exists": True}}, ["de"]),
        ({"title": None}, ["en", "fr"]),
        ({"title": {"$ne": None}}, ["de"]),
        ({"$and": []}, NAMES),
        ({"$or": []}, []),
        ({"$nor": []}, NAMES),
        ({"$nor": [{"lang": "en"}, {"lang": "de"}]}, ["fr"]),
        ({"$or": {"lang": "en"}}, ["en"]),
        ({"lang": {"$in": []}}, []),
        ({"$and": [{"lang": "en"}, {"$or": [{"price": 5}, {"price": 6}]}]}, ["en"]),
    ],
    ids=str,
)
def test_mastras_filters_select_vectors(docs: Mastra, filter: Any, expected: list[str]) -> None:
    query = {"indexName": "docs", "queryVector": [1, 0], "filter": filter}
    assert ids(docs.post(f"{STORE}/query", query)) == expected


@pytest.mark.parametrize(
    "filter",
    [
        {"lang": {"$regex": "e"}},
        {"$unknown": 1},
        {"lang": {"$unknown": 1}},
        {"lang": {"$in": ["a"], "b": 1}},
        {"$and": [1]},
        {"$not": {}},
        {"$not": 1},
        {"a..b": 1},
        {"": 1},
        {"a\0": 1},
        {"tags": {"$size": -1}},
        [],
        [1],
        "text",
        7,
    ],
    ids=str,
)
def test_a_wrong_filter_is_refused(docs: Mastra, filter: Any) -> None:
    query = {"indexName": "docs", "queryVector": [1, 0], "filter": filter}
    assert "filter" in docs.post(f"{STORE}/query", query, expected=400)["error"].split(":")[0]


def test_keys_that_occur_twice_after_flattening_are_all_required() -> None:
    assert engine_filter({"a.b": 1, "a": {"b": 2}}) == {"$and": [{"a.b": 1}, {"a.b": 2}]}


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("upsert", {"indexName": "none", "vectors": [[1, 0]]}, 404),
        ("upsert", {"indexName": "memory", "vectors": [[1, 0]]}, 404),
        ("upsert", {"indexName": "docs", "vectors": [[1, 0, 0]]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [[0, 0]]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [1, 0]}, 400),
        ("upsert", {"indexName": "docs", "vectors": "x"}, 400),
        ("upsert", {"indexName": "docs"}, 400),
        ("upsert", {"vectors": [[1, 0]]}, 400),
        ("upsert", {"indexName": 7, "vectors": [[1, 0]]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [[1, 0]], "ids": [None]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [[1, 0]], "ids": ["a", "b"]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [[1, 0]], "metadata": [1]}, 400),
        ("upsert", {"indexName": "docs", "vectors": [[1, 0]], "metadata": {}}, 400),
        ("query", {"indexName": "none", "queryVector": [1, 0]}, 404),
        ("query", {"indexName": "memory", "queryVector": [1, 0]}, 404),
        ("query", {"indexName": "docs", "queryVector": [1]}, 400),
        ("query", {"indexName": "docs", "queryVector": ["a", 1]}, 400),
        ("query", {"indexName": "docs", "queryVector": {}}, 400),
        ("query", {"indexName": "docs"}, 400),
        ("query", {"indexName": "docs", "queryVector": [1, 0], "topK": 0}, 400),
        ("query", {"indexName": "docs", "queryVector": [1, 0], "topK": 1.5}, 400),
        ("query", {"indexName": "docs", "queryVector": [1, 0], "topK": 1e9}, 400),
        ("query", {"indexName": "docs", "queryVector": [1, 0], "topK": 10**9}, 400),
        ("query", {"indexName": "docs", "queryVector": [1, 0], "includeVector": "yes"}, 400),
    ],
    ids=str,
)
def test_wrong_vectors_are_refused(docs: Mastra, route: str, body: Any, status: int) -> None:
    docs.post(f"{STORE}/{route}", body, expected=status)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"indexName": "", "dimension": 2},
        {"indexName": "x"},
        {"indexName": "x", "dimension": 0},
        {"indexName": "x", "dimension": "2"},
        {"indexName": "x", "dimension": 10**6},
        {"indexName": "x", "dimension": 2, "metric": "hamming"},
        {"indexName": "x", "dimension": 2, "metric": {}},
        {"indexName": "a" * 600, "dimension": 2},
    ],
    ids=str,
)
def test_a_wrong_index_is_refused(staff: Mastra, body: Any) -> None:
    staff.post(f"{STORE}/create-index", body, expected=400)
    assert staff.get(f"{STORE}/indexes") == []


def test_the_vector_store_has_the_name_of_the_engine(docs: Mastra, engine: MastraEngine) -> None:
    (store,) = docs.get("/vectors")["vectors"]
    assert store == {"id": "default", "name": "default", "type": type(engine).__name__}
    query = {"indexName": "docs", "queryVector": [1, 0]}
    assert "pgVector" in docs.post("/vector/pgVector/query", query, expected=404)["error"]


def test_embedders_are_those_of_the_engine(ann: Mastra, engine: MastraEngine) -> None:
    (embedder,) = ann.get("/embedders")["embedders"]
    assert embedder["id"] == "mastra_engine/BagOfWords"
    assert embedder.keys() == {
        *("id", "provider", "name", "description", "dimensions", "maxInputTokens")
    }
    engine.vectors.embedder = None
    assert ann.get("/embedders") == {"embedders": []}
