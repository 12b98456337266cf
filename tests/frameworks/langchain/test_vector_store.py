"""LangChain's vector store: its published suites, and what they leave out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStoreRetriever
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)

import mastra_engine
from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.contrib.langchain import EngineVectorStore
from mastra_engine.exceptions import (
    IndexNotFound,
    InvalidFilter,
    InvalidInput,
    InvalidVector,
    NotFound,
)
from tests.frameworks.langchain.embeddings import AsyncOnly, Letters, Opposite

FAKE = DeterministicFakeEmbedding(size=6)
FRUITS = [
    Document("apple pie", metadata={"price": 3, "tags": ["sweet"]}, id="1"),
    Document("sour apple", metadata={"price": 5, "tags": ["sour"]}, id="2"),
    Document("plum cake", metadata={"price": 8}, id="3"),
]


@pytest.fixture
def store(committing_engine: MastraEngine) -> EngineVectorStore:
    return EngineVectorStore(Letters(), index_name="fruits", engine=committing_engine)


@pytest.fixture
def fruits(store: EngineVectorStore) -> EngineVectorStore:
    store.add_documents(FRUITS)
    return store


def texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


class TestSuite(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, committing_engine: MastraEngine) -> EngineVectorStore:
        return EngineVectorStore(
            self.get_embeddings(), index_name="suite", engine=committing_engine
        )


class TestRetrieverSuite(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def filled(self, fruits: EngineVectorStore) -> None:
        self.store = fruits

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return retriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "apple"


def retriever(vectorstore: EngineVectorStore, k: int = 4) -> VectorStoreRetriever:
    return vectorstore.as_retriever(search_kwargs={"k": k})


def test_the_first_documents_create_the_index(store: EngineVectorStore) -> None:
    with pytest.raises(IndexNotFound):
        store.engine.vectors.describe_index(index_name="fruits")
    assert store.get_by_ids(["1"]) == []
    assert store.delete(["1"])
    assert store.add_texts([]) == []
    store.add_documents(FRUITS)
    created = store.engine.vectors.describe_index(index_name="fruits")
    assert (created.dimension, created.metric, created.count) == (10, "cosine", 3)


def test_an_existing_index_is_used_whatever_its_definition(store: EngineVectorStore) -> None:
    store.engine.vectors.create_index(
        index_name="fruits", dimension=10, metric="euclidean", index_type="flat"
    )
    store.add_documents(FRUITS)
    ((document, score),) = store.similarity_search_with_score("plum cake", k=1)
    assert (document, score) == (FRUITS[2], 1.0)


def test_scores_and_order_are_those_of_the_store_in_memory(fruits: EngineVectorStore) -> None:
    oracle = InMemoryVectorStore(Letters())
    oracle.add_documents(FRUITS)
    expected = oracle.similarity_search_with_score("apple", k=3)
    scored = fruits.similarity_search_with_score("apple", k=3)
    assert [document for document, _ in scored] == [document for document, _ in expected]
    for (_, score), (_, other) in zip(scored, expected, strict=True):
        assert score == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("lambda_mult", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("fetch_k", [2, 3, 20])
def test_diverse_results_are_those_of_the_store_in_memory(
    fruits: EngineVectorStore, lambda_mult: float, fetch_k: int
) -> None:
    oracle = InMemoryVectorStore(Letters())
    oracle.add_documents(FRUITS)
    arguments = {"k": 2, "fetch_k": fetch_k, "lambda_mult": lambda_mult}
    expected = oracle.max_marginal_relevance_search("apple", **arguments)
    assert fruits.max_marginal_relevance_search("apple", **arguments) == expected


@pytest.mark.parametrize(
    ("filter", "ids"),
    [
        ({"price": {"$gte": 5}}, {"2", "3"}),
        ({"tags": "sweet"}, {"1"}),
        ({"$or": [{"price": 8}, {"tags": {"$in": ["sour"]}}]}, {"2", "3"}),
        ([{"field": "tags", "operator": "exists", "value": False}], {"3"}),
        (None, {"1", "2", "3"}),
    ],
)
def test_filters_are_those_of_the_engine(
    fruits: EngineVectorStore, filter: Any, ids: set[str]
) -> None:
    assert {document.id for document in fruits.similarity_search("apple", filter=filter)} == ids


def test_options_are_those_of_the_engine(fruits: EngineVectorStore) -> None:
    assert texts(fruits.similarity_search("plum", k=1, hybrid=0.0)) == ["plum cake"]
    assert texts(fruits.similarity_search("plum cake", min_score=0.9999)) == ["plum cake"]
    with pytest.raises(TypeError, match="where"):
        fruits.similarity_search("plum", where={})


def test_the_relevance_is_from_0_to_1(store: EngineVectorStore) -> None:
    store.add_documents(FRUITS)
    ((document, relevance),) = store.similarity_search_with_relevance_scores("plum cake", k=1)
    assert (document.id, relevance) == ("3", pytest.approx(1.0))
    assert 0 <= relevance <= 1
    store.embedding = Opposite()
    scored = store.similarity_search_with_relevance_scores("plum cake")
    assert [relevance for _, relevance in scored] == [0.0] * 3


def test_a_retriever_takes_every_kind_of_search(fruits: EngineVectorStore) -> None:
    for search_type, arguments in {
        "similarity": {"k": 1, "filter": {"price": 8}},
        "similarity_score_threshold": {"k": 1, "score_threshold": 0.999},
        "mmr": {"k": 1, "fetch_k": 3},
    }.items():
        retriever = fruits.as_retriever(search_type=search_type, search_kwargs=arguments)
        assert retriever.invoke("plum cake") == [FRUITS[2]]


async def test_async_variants_await_the_model(store: EngineVectorStore) -> None:
    store.embedding = AsyncOnly()
    await store.aadd_documents(FRUITS)
    assert await store.aget_by_ids(["3", "?", "1"]) == [FRUITS[2], FRUITS[0]]
    assert await store.asimilarity_search("plum cake", k=1) == [FRUITS[2]]
    ((_, score),) = await store.asimilarity_search_with_score("plum cake", k=1)
    ((_, relevance),) = await store.asimilarity_search_with_relevance_scores("plum cake", k=1)
    assert score == pytest.approx(1.0)
    assert relevance == pytest.approx(1.0)
    vector = Letters().embed_query("plum cake")
    assert await store.asimilarity_search_by_vector(vector, k=1) == [FRUITS[2]]
    assert await store.amax_marginal_relevance_search("plum cake", k=1) == [FRUITS[2]]
    retriever = store.as_retriever(search_kwargs={"k": 1})
    assert await retriever.ainvoke("plum cake") == [FRUITS[2]]
    await store.adelete(filter={"price": {"$lt": 8}})
    assert await store.asimilarity_search("apple") == [FRUITS[2]]
    await store.adelete()
    assert await store.asimilarity_search("apple") == []
    created = await EngineVectorStore.afrom_documents(
        FRUITS, AsyncOnly(), index_name="fruits", engine=store.engine
    )
    assert len(await created.asimilarity_search("apple")) == 3


def test_documents_are_deleted_by_id_by_filter_and_all_of_a_namespace(
    fruits: EngineVectorStore,
) -> None:
    other = EngineVectorStore.from_texts(
        ["pear"], Letters(), index_name="fruits", namespace="other", engine=fruits.engine
    )
    fruits.delete([])
    fruits.delete(["1", "?"])
    assert {document.id for document in fruits.similarity_search("apple")} == {"2", "3"}
    fruits.delete(filter={"price": 8})
    assert texts(fruits.similarity_search("apple")) == ["sour apple"]
    fruits.delete()
    assert fruits.similarity_search("apple") == []
    assert texts(other.similarity_search("apple")) == ["pear"]


def test_some_documents_may_have_an_id(store: EngineVectorStore) -> None:
    ids = store.add_documents([Document("a"), Document("b", id="b"), Document("c")])
    assert ids[1] == "b"
    assert texts(store.get_by_ids(ids)) == ["a", "b", "c"]
    assert len(set(ids)) == 3


def test_indexing_of_langchain_deletes_outdated_documents(store: EngineVectorStore) -> None:
    records = InMemoryRecordManager("fruits")
    records.create_schema()
    arguments = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    sources = [Document(name, metadata={"source": name}) for name in ("apple", "plum")]
    first = index(sources, records, store, **arguments)
    second = index(sources[:1], records, store, **arguments)
    assert (first["num_added"], second["num_skipped"], second["num_deleted"]) == (2, 1, 1)
    assert texts(store.similarity_search("apple")) == ["apple"]


def test_a_scoped_engine_reaches_its_namespaces_only(committing_engine: MastraEngine) -> None:
    scoped = committing_engine.within(namespaces=["ann"])
    ann = EngineVectorStore(Letters(), index_name="fruits", namespace="ann", engine=scoped)
    bob = EngineVectorStore(Letters(), index_name="fruits", namespace="bob", engine=scoped)
    ann.add_documents(FRUITS)
    assert len(ann.similarity_search("apple")) == 3
    for forbidden in (
        lambda: bob.add_documents(FRUITS),
        lambda: bob.similarity_search("apple"),
        lambda: bob.get_by_ids(["1"]),
        lambda: bob.delete(["1"]),
    ):
        with pytest.raises(NotFound, match="bob"):
            forbidden()
    bob.delete()
    assert len(ann.similarity_search("apple")) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "path"),
    [
        ({"texts": ["a"], "metadatas": [{"@x": 1}]}, InvalidInput, "/metadata/0/@x"),
        ({"texts": ["a"], "metadatas": [{"x": object()}]}, InvalidInput, "/metadata/0/x"),
        ({"texts": ["a", "b"], "ids": ["1"]}, InvalidInput, "/ids"),
        ({"texts": ["a"], "metadatas": [{}, {}]}, InvalidInput, "/metadata"),
        ({"texts": ["a\0"]}, InvalidInput, "/documents/0"),
        ({"texts": ["a", "z" * 300_000]}, InvalidInput, "/documents/1"),
    ],
)
def test_bad_input_is_named_and_writes_nothing(
    fruits: EngineVectorStore, arguments: Any, error: type[InvalidInput], path: str
) -> None:
    with pytest.raises(error) as caught:
        fruits.add_texts(**arguments)
    assert caught.value.path == path
    assert len(fruits.similarity_search("apple")) == 3


def test_a_filter_of_another_language_is_refused(fruits: EngineVectorStore) -> None:
    with pytest.raises(InvalidFilter) as caught:
        fruits.similarity_search("apple", filter={"price": {"$between": [1, 2]}})
    assert caught.value.path == "/filter/price/$between"
    with pytest.raises(InvalidFilter):
        fruits.delete(filter=lambda document: True)
    assert len(fruits.similarity_search("apple")) == 3


def test_vectors_of_another_model_are_refused(fruits: EngineVectorStore) -> None:
    other = EngineVectorStore(FAKE, index_name="fruits", engine=fruits.engine)
    with pytest.raises(InvalidVector, match="6 dimensions"):
        other.add_texts(["a"])
    with pytest.raises(InvalidVector, match="6 dimensions"):
        other.similarity_search("a")


@pytest.mark.django_db
def test_writes_are_rolled_back_with_the_callers_transaction() -> None:
    store = EngineVectorStore(Letters(), index_name="fruits", engine=PostgresEngine())
    with transaction.atomic():
        store.add_documents(FRUITS)
        assert len(store.similarity_search("apple")) == 3
        transaction.set_rollback(True)
    assert store.similarity_search("apple") == []


@pytest.mark.django_db
def test_the_default_engine_is_used_without_another() -> None:
    store = EngineVectorStore(Letters(), index_name="fruits")
    store.add_documents(FRUITS)
    stored = mastra_engine.engine.vectors.get_vectors(index_name="fruits", ids=["1"])
    assert [row.document for row in stored] == ["apple pie"]
