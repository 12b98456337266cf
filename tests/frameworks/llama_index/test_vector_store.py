"""LlamaIndex's vector store: what the comparison with its store in memory leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import (
    BaseNode,
    Document,
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

import mastra_engine
from mastra_engine import MastraEngine
from mastra_engine.contrib.llama_index import EngineVectorStore
from mastra_engine.exceptions import (
    EngineConfigError,
    InvalidFilter,
    InvalidInput,
    InvalidVector,
    NotFound,
)
from tests.frameworks.llama_index.embeddings import Letters


def note(id: str, text: str, embedding: list[float], source: str = "", **metadata: Any) -> TextNode:
    related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)} if source else {}
    return TextNode(
        id_=id, text=text, embedding=embedding, metadata=metadata, relationships=related
    )


NOTES = [
    note("1", "apple pie", [1.0, 0.0], "cookbook", price=3, tags=["sweet"]),
    note("2", "sour apple", [0.5, 0.25], "cookbook", price=5, tags=["sour"]),
    note("3", "plum cake", [0.0, 1.0], price=8),
]


@pytest.fixture
def store(each_engine: MastraEngine) -> EngineVectorStore:
    return EngineVectorStore(index_name="notes", dimension=2, engine=each_engine)


@pytest.fixture
def notes(store: EngineVectorStore) -> EngineVectorStore:
    store.add(NOTES)
    return store


def search(store: EngineVectorStore, **query: Any) -> list[str] | None:
    arguments = {"query_embedding": [1.0, 0.0], "similarity_top_k": 10, **query}
    return store.query(VectorStoreQuery(**arguments)).ids


def compare(key: str, operator: str, value: Any) -> MetadataFilter:
    return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)


def combine(condition: str, *filters: Any) -> MetadataFilters:
    return MetadataFilters(filters=list(filters), condition=FilterCondition(condition))


@pytest.mark.parametrize(
    "node",
    [
        TextNode(text="text", metadata={"z": 1, "a": {"list": [1.5, None, True]}}),
        TextNode(text="", start_char_idx=3, excluded_llm_metadata_keys=["z"]),
        Node(text_resource=MediaResource(text="text", mimetype="text/plain")),
        Node(image_resource=MediaResource(data=b"\x00\xff", mimetype="image/png")),
        Document(text="text", metadata={"ref_doc_id": "mine", "node": 1}),
        ImageNode(text="a picture", image="iVBORw0KGgo="),
        ImageDocument(text="a picture", image="iVBORw0KGgo="),
        IndexNode(text="text", index_id="other"),
    ],
    ids=lambda node: type(node).__name__,
)
def test_a_node_comes_back_as_it_was(store: EngineVectorStore, node: BaseNode) -> None:
    node.embedding = [0.5, 0.25]
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(
        node_id="source", metadata={"page": 1}
    )
    store.add([node])
    (returned,) = store.get_nodes([node.node_id])
    assert type(returned) is type(node)
    assert returned.model_dump() == node.model_dump()
    assert list(returned.metadata) == list(node.metadata)
    result = store.query(VectorStoreQuery(query_embedding=[1.0, 0.0]))
    assert result.nodes is not None
    assert result.nodes[0].get_content() == node.get_content()


def test_filters_may_be_nested(notes: EngineVectorStore) -> None:
    cheap, dear = compare("price", "<", 5), compare("price", ">", 5)
    sour = compare("tags", "contains", "sour")
    for filters, ids in (
        (combine("or", cheap, dear), ["1", "3"]),
        (combine("and", combine("not", cheap), combine("not", dear)), ["2"]),
        (combine("not", combine("or", cheap, sour)), ["3"]),
        (combine("or", combine("and", cheap, sour), combine("and", dear)), ["3"]),
        (combine("and", combine("and")), ["1", "2", "3"]),
    ):
        assert search(notes, filters=filters) == ids
        assert [node.node_id for node in notes.get_nodes(filters=filters)] == ids
    notes.delete_nodes(["1", "2"], combine("and", sour))
    assert search(notes) == ["1", "3"]


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        (">", None),
        ("<=", ["a"]),
        ("in", "abc"),
        ("nin", 7),
        ("any", "a"),
        ("all", 1),
        ("text_match", 5),
        ("text_match_insensitive", None),
        ("==", "\0"),
    ],
)
def test_filters_without_an_equivalent_are_refused(
    notes: EngineVectorStore, operator: str, value: Any
) -> None:
    filters = combine("not", combine("or", compare("price", operator, value)))
    for call in (
        lambda: search(notes, filters=filters),
        lambda: notes.get_nodes(filters=filters),
        lambda: notes.delete_nodes(filters=filters),
    ):
        with pytest.raises(InvalidFilter) as caught:
            call()
        assert caught.value.path == "/filters/filters/0/filters/0/value"
    assert len(notes.get_nodes()) == 3


def test_filters_are_limited_in_depth_and_size(notes: EngineVectorStore) -> None:
    filters = combine("and", compare("price", "==", 3))
    for _ in range(200):
        filters = combine("not", filters)
    with pytest.raises(InvalidFilter, match="64 levels"):
        search(notes, filters=filters)
    with pytest.raises(InvalidFilter, match="1,000 conditions"):
        search(notes, filters=combine("or", *[compare("price", "==", 3)] * 1_000))


def test_source_documents_restrict_a_query(notes: EngineVectorStore) -> None:
    assert search(notes, doc_ids=["cookbook", "other"]) == ["1", "2"]
    assert search(notes, doc_ids=["None"]) == ["3"]
    assert search(notes, doc_ids=[], node_ids=[]) == ["1", "2", "3"]


def test_no_ids_select_no_nodes(notes: EngineVectorStore) -> None:
    assert notes.get_nodes([]) == []
    notes.delete_nodes([])
    assert len(notes.get_nodes()) == 3
    notes.delete_nodes()
    assert notes.get_nodes() == []


def test_modes_by_words(notes: EngineVectorStore) -> None:
    for mode in (VectorStoreQueryMode.TEXT_SEARCH, VectorStoreQueryMode.SPARSE):
        assert search(notes, mode=mode, query_str="plum") == ["3"]
        assert search(notes, mode=mode, query_str="pear") == []
        filters = combine("and", compare("price", ">", 3))
        assert search(notes, mode=mode, query_str="apple", filters=filters) == ["2"]


def test_the_hybrid_mode_weighs_vectors_by_alpha(notes: EngineVectorStore) -> None:
    def first(**query: Any) -> str:
        ids = search(notes, mode=VectorStoreQueryMode.HYBRID, query_str="plum", **query)
        assert ids is not None
        return ids[0]

    assert first(alpha=1) == "1"
    assert first(alpha=0) == "3"
    limited = search(
        notes, mode=VectorStoreQueryMode.HYBRID, query_str="plum", alpha=0.5, hybrid_top_k=1
    )
    assert limited is not None
    assert len(limited) == 1


@pytest.mark.parametrize("mode", ["semantic_hybrid", "svm", "linear_regression"])
def test_other_modes_are_refused(notes: EngineVectorStore, mode: str) -> None:
    with pytest.raises(InvalidInput, match=f"{mode} is not supported") as caught:
        search(notes, mode=VectorStoreQueryMode(mode))
    assert caught.value.path == "/mode"


def test_all_nodes_are_returned_without_a_number(notes: EngineVectorStore) -> None:
    assert search(notes, similarity_top_k=0) == ["1", "2", "3"]
    diverse = search(notes, similarity_top_k=0, mode=VectorStoreQueryMode.MMR)
    assert sorted(diverse or []) == ["1", "2", "3"]


def test_the_first_nodes_create_the_index(store: EngineVectorStore) -> None:
    assert store.get_nodes() == []
    assert search(store) == []
    assert store.add([]) == []
    store.delete("cookbook")
    store.clear()
    store.add(NOTES)
    created = store.client.describe_index(index_name="notes")
    assert (created.dimension, created.metric, created.count) == (2, "cosine", 3)


async def test_async_variants_do_the_same(committing_engine: MastraEngine) -> None:
    store = EngineVectorStore(index_name="notes", dimension=2, engine=committing_engine)
    assert await store.async_add(NOTES) == ["1", "2", "3"]
    result = await store.aquery(VectorStoreQuery(query_embedding=[1.0, 0.0], similarity_top_k=1))
    assert result.ids == ["1"]
    assert [node.node_id for node in await store.aget_nodes(["1", "3"])] == ["1", "3"]
    await store.adelete("cookbook")
    assert [node.node_id for node in await store.aget_nodes()] == ["3"]
    await store.adelete_nodes(filters=combine("and", compare("price", "==", 8)))
    assert await store.aget_nodes() == []
    await store.async_add(NOTES)
    await store.aclear()
    assert await store.aget_nodes() == []


def test_an_index_of_llamaindex_works_on_it(each_engine: MastraEngine) -> None:
    store = EngineVectorStore(index_name="letters", dimension=10, engine=each_engine)
    index = VectorStoreIndex.from_vector_store(store, embed_model=Letters())
    for text, source in (("apple pie", "a"), ("plum cake", "b")):
        index.insert(Document(text=text, id_=source, metadata={"source": source}))
    (hit,) = index.as_retriever(similarity_top_k=1).retrieve("plum cake")
    assert (hit.text, hit.node.ref_doc_id) == ("plum cake", "b")
    filters = combine("and", compare("source", "==", "a"))
    (hit,) = index.as_retriever(filters=filters).retrieve("plum cake")
    assert hit.text == "apple pie"
    index.delete_ref_doc("b")
    (hit,) = index.as_retriever().retrieve("plum cake")
    assert hit.text == "apple pie"


def test_a_store_is_serialized_with_the_alias_of_its_engine(settings: Any) -> None:
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.MockMastraEngine"},
        "other": {"BACKEND": "mastra_engine.MockMastraEngine"},
    }
    other = mastra_engine.engines["other"]
    store = EngineVectorStore(index_name="notes", dimension=2, namespace="ann", engine=other)
    loaded = EngineVectorStore.from_dict(store.to_dict())
    assert loaded.to_dict() == store.to_dict()
    assert loaded.client is other.vectors
    scoped = EngineVectorStore(
        index_name="notes", dimension=2, engine=other.within(namespaces=["ann"])
    )
    with pytest.raises(EngineConfigError, match="scoped"):
        scoped.to_dict()


def test_a_scoped_engine_reaches_its_namespaces_only(each_engine: MastraEngine) -> None:
    place: Any = {"index_name": "notes", "dimension": 2}
    scoped = each_engine.within(namespaces=["ann"])
    ann = EngineVectorStore(**place, namespace="ann", engine=scoped)
    bob = EngineVectorStore(**place, namespace="bob", engine=scoped)
    ann.add(NOTES)
    for forbidden in (
        lambda: bob.add(NOTES),
        lambda: bob.delete("cookbook"),
        bob.clear,
        bob.get_nodes,
        lambda: search(bob),
    ):
        with pytest.raises(NotFound, match="bob"):
            forbidden()
    assert search(ann) == ["1", "2", "3"]


def test_vectors_that_others_stored_there_are_no_nodes(notes: EngineVectorStore) -> None:
    notes.client.upsert(index_name="notes", vectors=[[1, 0]], metadata=[{"price": 3}])
    assert search(notes) == ["1", "2", "3"]
    filters = combine("not", compare("price", "==", 8))
    assert [node.node_id for node in notes.get_nodes(filters=filters)] == ["1", "2"]
    notes.clear()
    assert notes.client.count_vectors(index_name="notes") == 1


@pytest.mark.parametrize(
    ("node", "error", "path"),
    [
        (note("a", "a", [1.0]), InvalidVector, "/vectors/1"),
        (note("a", "a", [0.0, 0.0]), InvalidVector, "/vectors/1"),
        (note("a", "a\0", [1.0, 0.0]), InvalidInput, "/documents/1"),
        (note("a", "a", [1.0, 0.0], x="\0"), InvalidInput, "/metadata/1/metadata/x"),
    ],
)
def test_bad_nodes_are_named_and_nothing_is_written(
    store: EngineVectorStore, node: TextNode, error: type[InvalidInput], path: str
) -> None:
    with pytest.raises(error) as caught:
        store.add([NOTES[0], node])
    assert caught.value.path == path
    assert store.get_nodes() == []


@pytest.mark.django_db
def test_writes_are_rolled_back_with_the_callers_transaction() -> None:
    store = EngineVectorStore(index_name="notes", dimension=2)
    with transaction.atomic():
        store.add(NOTES)
        assert search(store) == ["1", "2", "3"]
        transaction.set_rollback(True)
    assert store.get_nodes() == []
