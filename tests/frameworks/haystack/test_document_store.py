"""Haystack's document store: what the suites leave out."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from django.db import transaction
from haystack import Document, Pipeline
from haystack.dataclasses import ByteStream, SparseEmbedding
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy, FilterPolicy
from haystack.errors import FilterError

import mastra_engine
from mastra_engine import MastraEngine
from mastra_engine.contrib.haystack import EngineDocumentStore, EngineEmbeddingRetriever
from mastra_engine.exceptions import (
    EngineConfigError,
    InvalidFilter,
    InvalidInput,
    InvalidVector,
    NotFound,
)

NOTES = [
    Document(id="1", content="apple pie", meta={"price": 3}, embedding=[1.0, 0.0]),
    Document(id="2", content="sour apple", meta={"price": 5}, embedding=[0.9, 0.1]),
    Document(id="3", content="plum cake", meta={"price": 8}, embedding=[0.0, 1.0]),
    Document(id="4", content="apple juice"),
]


@pytest.fixture
def store(each_engine: MastraEngine) -> EngineDocumentStore:
    return EngineDocumentStore(index_name="notes", dimension=2, engine=each_engine)


@pytest.fixture
def notes(store: EngineDocumentStore) -> EngineDocumentStore:
    store.write_documents(NOTES)
    return store


def ids(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"content": ""},
        {"content": "text", "embedding": [0.1, 1 / 3]},
        {
            "embedding": [0.5, -2.0],
            "meta": {"embedding": "mine", "id": 7, "@x": 1, "$y": {"a.b": 2}},
        },
        {"meta": {"n": 1.0, "i": 1, "b": True, "none": None, "deep": {"list": [1, {"a": []}]}}},
        {"blob": ByteStream(b"\x00\xff", meta={"page": 1}, mime_type="image/png")},
        {"sparse_embedding": SparseEmbedding([0, 7], [0.1, 0.2]), "score": 0.3},
    ],
)
def test_a_document_comes_back_as_it_was(store: EngineDocumentStore, fields: Any) -> None:
    document = Document(**fields)
    store.write_documents([document])
    assert store.filter_documents() == [document]


def test_documents_keep_the_order_of_writing(store: EngineDocumentStore) -> None:
    documents = [Document(content=str(number)) for number in range(30)]
    for start in (0, 10, 20):
        store.write_documents(documents[start : start + 10])
    assert store.filter_documents() == documents


def test_policies_for_an_id_that_comes_twice(store: EngineDocumentStore) -> None:
    one, other = Document(id="1", content="one"), Document(id="1", content="other")
    two = Document(id="2", content="two")
    for policy in (DuplicatePolicy.NONE, DuplicatePolicy.FAIL):
        with pytest.raises(DuplicateDocumentError):
            store.write_documents([two, one, other], policy=policy)
    assert store.filter_documents() == []
    assert store.write_documents([one, other], policy=DuplicatePolicy.SKIP) == 1
    assert store.filter_documents() == [one]
    assert store.write_documents([two, one, other], policy=DuplicatePolicy.OVERWRITE) == 3
    assert sorted(store.filter_documents(), key=lambda doc: doc.id) == [other, two]
    assert store.write_documents([], policy=DuplicatePolicy.FAIL) == 0


def test_deleting_by_an_empty_filter_deletes_all(notes: EngineDocumentStore) -> None:
    assert notes.delete_by_filter({}) == 4
    assert notes.count_documents() == 0


def test_updating_keeps_all_but_the_metadata(notes: EngineDocumentStore) -> None:
    price = {"field": "meta.price", "operator": ">=", "value": 5}
    assert notes.update_by_filter(price, {"checked": "2026-01-01"}) == 2
    checked = {"field": "meta.checked", "operator": ">", "value": "2025-12-31"}
    (apple, plum) = notes.filter_documents(checked)
    assert apple.meta == {"price": 5, "checked": "2026-01-01"}
    assert (apple.content, apple.embedding, plum.id) == ("sour apple", [0.9, 0.1], "3")
    assert ids(notes.filter_documents()) == ["1", "2", "3", "4"]
    last = {"field": "id", "operator": "==", "value": "4"}
    assert notes.update_by_filter(last, {"checked": None}) == 1
    assert ids(notes.filter_documents()) == ["1", "2", "3", "4"]


# Filters

TIMES: list[Any] = [
    *("2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"),
    *("2025-12-31T23:30:00-02:00", "2026-01-02T12:00:00.5"),
]
NUMBERS: list[Any] = [0, 1, -2, 2.5]
VALUES: list[Any] = [
    *(
        None,
        "",
        "a",
        "ab",
        "1",
        "A",
        [],
        [1],
        ["a"],
        [[1]],
        {},
        {"b": 1},
        {"b": TIMES[2]},
        {"b": [1]},
    ),
    *("2026-13-01", *TIMES, *NUMBERS),
]
FIELDS = ["meta.a", "a", "meta.a.b", "meta.c", "id", "meta", "score"]


def random_filter(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and rng.random() < 0.4:
        conditions = [random_filter(rng, depth + 1) for _ in range(rng.randint(0, 3))]
        return {"operator": rng.choice(["AND", "OR", "NOT"]), "conditions": conditions}
    operator = rng.choice(["==", "!=", ">", ">=", "<", "<=", "in", "not in"])
    value = rng.choice([None, *TIMES, *NUMBERS] if operator[0] in "<>" else VALUES)
    if operator in ("in", "not in"):
        value = rng.sample(VALUES, rng.randint(0, 4))
    # Ids have no order for the engine; to Haystack they are dates, such as "78" is of 1978.
    field = rng.choice(FIELDS[:4] if operator[0] in "<>" else FIELDS)
    return {"field": field, "operator": operator, "value": value}


def test_filters_select_what_they_select_in_memory(store: EngineDocumentStore) -> None:
    oracle = InMemoryDocumentStore()
    documents = [
        Document(id=str(number), meta={"a": one, "c": other}, score=0.5 if number % 2 else None)
        for number, (one, other) in enumerate(itertools.product(VALUES, VALUES[::5]))
    ]
    for target in (store, oracle):
        target.write_documents([*documents, Document(id="a")])
    rng, compared = random.Random(7), 0
    while compared < 600:
        filters = random_filter(rng)
        try:
            expected = oracle.filter_documents(filters)
        except (FilterError, TypeError):  # the values that it meets have no order
            continue
        compared += 1
        assert ids(store.filter_documents(filters)) == ids(expected), filters
        assert store.count_documents_by_filter(filters) == len(expected)


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({"field": "meta.a", "operator": "like", "value": 1}, "/filters/operator"),
        ({"field": "meta.a", "operator": [], "value": 1}, "/filters/operator"),
        ({"field": "content", "operator": "==", "value": "a"}, "/filters/field"),
        ({"field": "embedding", "operator": "==", "value": [1.0]}, "/filters/field"),
        ({"field": 7, "operator": "==", "value": 1}, "/filters/field"),
        ({"field": "a", "operator": ">", "value": "abc"}, "/filters/value"),
        ({"field": "a", "operator": "<", "value": {"b": 1}}, "/filters/value"),
        ({"field": "id", "operator": "<", "value": "2026-01-01"}, "/filters/value"),
        ({"field": "a", "operator": "in", "value": "abc"}, "/filters/value"),
        ({"field": "a"}, "/filters"),
        ({"operator": "XOR", "conditions": []}, "/filters/operator"),
        ({"operator": "AND", "conditions": {}}, "/filters/conditions"),
        ({"operator": "AND", "conditions": ["a"]}, "/filters/conditions/0"),
        ({"price": 3}, "/filters"),
    ],
)
def test_filters_without_an_equivalent_are_refused(
    notes: EngineDocumentStore, filters: Any, path: str
) -> None:
    for call in (notes.filter_documents, notes.delete_by_filter, notes.count_documents_by_filter):
        with pytest.raises(FilterError) as caught:
            call(filters)
        assert isinstance(caught.value, InvalidFilter)
        assert caught.value.path == path
    assert notes.count_documents() == 4


def test_filters_are_limited_in_depth_and_size(notes: EngineDocumentStore) -> None:
    condition: dict[str, Any] = {"field": "a", "operator": "==", "value": 1}
    deep = condition
    for _ in range(5_000):
        deep = {"operator": "NOT", "conditions": [deep]}
    with pytest.raises(InvalidFilter, match="64 levels"):
        notes.filter_documents(deep)
    with pytest.raises(InvalidFilter, match="1,000 conditions"):
        notes.filter_documents({"operator": "OR", "conditions": [condition] * 1_000})
    with pytest.raises(InvalidFilter) as caught:
        notes.filter_documents({"field": "a", "operator": "==", "value": "\0"})
    assert caught.value.path == "/filters/value"


# Search


def test_documents_are_retrieved_by_their_embedding(notes: EngineDocumentStore) -> None:
    first, second = notes.embedding_retrieval([1.0, 0.0], top_k=2)
    assert (first.id, second.id) == ("1", "2")
    assert (first.score, first.embedding) == (pytest.approx(1.0), None)
    dear = {"field": "meta.price", "operator": ">", "value": 3}
    (document,) = notes.embedding_retrieval(
        [1.0, 0.0], filters=dear, top_k=1, return_embedding=True
    )
    assert (document.id, document.embedding) == ("2", [0.9, 0.1])
    assert ids(notes.embedding_retrieval([1.0, 0.0], min_score=0.9)) == ["1", "2"]
    assert len(notes.embedding_retrieval([1.0, 0.0], top_k=100)) == 3


def test_words_count_with_the_text_of_the_query(notes: EngineDocumentStore) -> None:
    by_words = notes.embedding_retrieval([1.0, 0.0], query="plum", hybrid=0.0, top_k=1)
    assert ids(by_words) == ["3"]
    assert "4" not in ids(notes.embedding_retrieval([1.0, 0.0], query="juice"))


def test_scores_are_those_in_memory(notes: EngineDocumentStore) -> None:
    oracle = InMemoryDocumentStore(embedding_similarity_function="cosine")
    oracle.write_documents(NOTES)
    expected = oracle.embedding_retrieval([0.6, 0.8])
    retrieved = notes.embedding_retrieval([0.6, 0.8])
    assert ids(retrieved) == ids(expected)
    for one, other in zip(retrieved, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-6)


def test_the_retriever_runs_in_a_pipeline(notes: EngineDocumentStore) -> None:
    dear = {"field": "meta.price", "operator": ">", "value": 3}
    retriever = EngineEmbeddingRetriever(
        notes, top_k=1, filters=dear, filter_policy=FilterPolicy.MERGE, min_score=0.1
    )
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever)
    result = pipeline.run({"retriever": {"query_embedding": [1.0, 0.0], "query": "apple"}})
    assert ids(result["retriever"]["documents"]) == ["2"]
    dearer = {"field": "meta.price", "operator": ">", "value": 5}
    result = pipeline.run({"retriever": {"query_embedding": [0.5, 0.5], "filters": dearer}})
    assert ids(result["retriever"]["documents"]) == ["3"]


async def test_the_retriever_runs_in_an_event_loop(committing_engine: MastraEngine) -> None:
    store = EngineDocumentStore(index_name="notes", dimension=2, engine=committing_engine)
    await store.write_documents_async(NOTES)
    result = await EngineEmbeddingRetriever(store).run_async([1.0, 0.0], top_k=1)
    assert ids(result["documents"]) == ["1"]


# Stores


def test_the_first_documents_create_the_index(store: EngineDocumentStore) -> None:
    assert store.count_documents() == 0
    assert store.filter_documents() == []
    assert store.embedding_retrieval([1.0, 0.0]) == []
    assert store.delete_by_filter({}) == 0
    store.delete_documents(["1"])
    store.delete_all_documents()
    store.write_documents(NOTES)
    assert store.engine.vectors.describe_index(index_name="notes").dimension == 2


def test_a_pipeline_is_serialized_with_the_alias_of_its_engine(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.MockMastraEngine"},
        "other": {"BACKEND": "mastra_engine.MockMastraEngine"},
    }
    store = EngineDocumentStore(
        index_name="notes",
        dimension=2,
        namespace="ann",
        metric="dotproduct",
        engine=mastra_engine.engines["other"],
    )
    pipeline = Pipeline()
    pipeline.add_component("retriever", EngineEmbeddingRetriever(store, top_k=3))
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=["mastra_engine.*"])
    retriever = loaded.get_component("retriever")
    assert retriever.top_k == 3
    assert retriever.document_store.to_dict() == store.to_dict()
    assert retriever.document_store.engine is mastra_engine.engines["other"]
    default = EngineDocumentStore(index_name="notes", dimension=2)
    assert EngineDocumentStore.from_dict(default.to_dict()).to_dict() == default.to_dict()


def test_a_store_of_a_scoped_engine_is_not_serialized(store: EngineDocumentStore) -> None:
    store.engine = store.engine.within(namespaces=["ann"])
    with pytest.raises(EngineConfigError, match="scoped"):
        store.to_dict()


def test_a_scoped_engine_reaches_its_namespaces_only(each_engine: MastraEngine) -> None:
    place: Any = {"index_name": "notes", "dimension": 2}
    scoped = each_engine.within(namespaces=["ann"])
    ann = EngineDocumentStore(**place, namespace="ann", engine=scoped)
    bob = EngineDocumentStore(**place, namespace="bob", engine=scoped)
    ann.write_documents(NOTES)
    for forbidden in (
        lambda: bob.write_documents(NOTES),
        bob.filter_documents,
        bob.count_documents,
        bob.delete_all_documents,
        lambda: bob.embedding_retrieval([1.0, 0.0]),
    ):
        with pytest.raises(NotFound, match="bob"):
            forbidden()
    assert ann.count_documents() == 4


def test_vectors_that_others_stored_there_are_no_documents(notes: EngineDocumentStore) -> None:
    notes.engine.vectors.upsert(index_name="notes", vectors=[[1, 0]], metadata=[{"id": "x"}])
    assert notes.count_documents() == 4
    assert len(notes.filter_documents({"field": "a", "operator": "!=", "value": 1})) == 4
    assert ids(notes.embedding_retrieval([1.0, 0.0], top_k=1)) == ["1"]
    notes.delete_all_documents()
    assert notes.engine.vectors.count_vectors(index_name="notes") == 1


@pytest.mark.parametrize(
    ("document", "error", "path"),
    [
        (Document(content="a", embedding=[1.0]), InvalidVector, "/vectors/1"),
        (Document(content="a", embedding=[0.0, 0.0]), InvalidVector, "/vectors/1"),
        (Document(content="a", embedding=["a", "b"]), InvalidVector, "/vectors/1"),
        (Document(content="a\0"), InvalidInput, "/documents/1"),
        (Document(content="a", meta={"x": object()}), InvalidInput, "/metadata/1/meta/x"),
    ],
)
def test_bad_documents_are_named_and_nothing_is_written(
    store: EngineDocumentStore, document: Document, error: type[InvalidInput], path: str
) -> None:
    with pytest.raises(error) as caught:
        store.write_documents([Document(content="good"), document])
    assert caught.value.path == path
    assert store.count_documents() == 0


@pytest.mark.django_db
def test_writes_are_rolled_back_with_the_callers_transaction() -> None:
    store = EngineDocumentStore(index_name="notes", dimension=2)
    with transaction.atomic():
        store.write_documents(NOTES)
        assert store.count_documents() == 4
        transaction.set_rollback(True)
    assert store.count_documents() == 0
