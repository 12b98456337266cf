"""The contract of searches and batches in agent state."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import (
    IndexNotFound,
    InvalidInput,
    InvalidVector,
    VersionConflict,
)
from mastra_engine.testing.contract.embedders import EMBEDDERS
from mastra_engine.testing.contract.page_sizes import text
from mastra_engine.testing.contract.recall import BagOfWords, Broken
from mastra_engine.testing.contract.state import ANN, WithState, keys
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import StateMatch

#: A value, the paths to index, and the words that are found then.
INDEXED: list[tuple[dict[str, Any], Any, str]] = [
    ({"a": "tea", "b": {"c": ["milk", 1, None, {"d": "sugar"}]}}, None, "tea milk sugar"),
    ({"a": "tea", "b": "milk"}, False, ""),
    ({"a": "tea", "b": "milk"}, [], ""),
    ({"a": "tea", "b": "milk"}, ["a"], "tea"),
    ({"a": "tea", "b": "milk"}, ["a", "b", "a"], "tea milk"),
    ({"a": "tea", "b": "milk"}, ["$"], "tea milk"),
    ({"a": {"b": "tea", "c": "milk"}}, ["a"], "tea milk"),
    ({"a": {"b": "tea", "c": "milk"}}, ["a.b"], "tea"),
    ({"a": {"b": "tea", "c": "milk"}}, ["a.*"], "tea milk"),
    ({"a": ["tea", "milk", "sugar"]}, ["a[0]"], "tea"),
    ({"a": ["tea", "milk", "sugar"]}, ["a.1"], "milk"),
    ({"a": ["tea", "milk", "sugar"]}, ["a[-1]"], "sugar"),
    ({"a": ["tea", "milk", "sugar"]}, ["a[*]"], "tea milk sugar"),
    ({"a": ["tea", "milk"]}, ["a[2]", "a[-3]", "a.b", "b", "a[0].c"], ""),
    ({"a": [{"b": "tea"}, {"b": "milk"}, "sugar"]}, ["a[*].b"], "tea milk"),
    ({"a": [{"b": "tea"}, {"b": "milk"}, "sugar"]}, ["a.b"], "tea milk"),
    ({"a": [["tea", "milk"], ["sugar"]]}, ["a[0][1]"], "milk"),
    ({"a": 1, "b": True, "c": None}, None, ""),
]
WORDS = ("tea", "milk", "sugar")


class TestStateSearch(WithState):
    @pytest.fixture(params=EMBEDDERS)
    def either(self, engine: MastraEngine, request: pytest.FixtureRequest) -> State:
        """State with an embedder, and without one."""
        engine.vectors.embedder = EMBEDDERS[request.param]
        return engine.state

    @pytest.fixture
    def embedding(self, engine: MastraEngine) -> State:
        engine.vectors.embedder = BagOfWords()
        return engine.state

    def pets(self, state: State) -> None:
        for key, texts in (("dog", "the dog is Bello"), ("cat", "the cat is Mia")):
            state.put(namespace=ANN, key=key, value={"said": texts, "key": {"is": 1}})

    def with_word(self, state: State, word: str) -> list[str]:
        """Return the keys of the items with a word in their text."""
        return keys(
            match for match in state.search(namespace_prefix=(), query=word) if match.lexical
        )

    def test_items_are_found_by_their_words(self, either: State) -> None:
        self.pets(either)
        best, *_ = either.search(namespace_prefix=("ann",), query="Bello")
        assert best == StateMatch(
            item=best.item, score=best.score, similarity=best.similarity, lexical=best.lexical
        )
        assert best.item == either.get(namespace=ANN, key="dog")
        assert best.lexical > 0
        assert best.score > 0
        assert keys(either.search(namespace_prefix=ANN, query="Mia", top_k=1)) == ["cat"]
        assert either.search(namespace_prefix=("bob",), query="Bello") == []

    def test_without_an_embedder_only_words_are_found(self, state: State) -> None:
        assert state.search(namespace_prefix=(), query="Bello") == []
        self.pets(state)
        (match,) = state.search(namespace_prefix=(), query="Bello")
        assert match.similarity is None
        assert state.search(namespace_prefix=(), query="hamster") == []
        with pytest.raises(InvalidInput) as caught:
            state.search(namespace_prefix=(), query="Bello", min_score=0.5)
        assert caught.value.path == "/min_score"

    def test_with_an_embedder_similar_items_are_found(self, embedding: State) -> None:
        self.pets(embedding)
        matches = embedding.search(namespace_prefix=ANN, query="is Bello")
        assert keys(matches) == ["dog", "cat"]
        similarities = [match.similarity or 0 for match in matches]
        assert similarities[0] > similarities[1] > 0
        above = embedding.search(namespace_prefix=ANN, query="is Bello", min_score=similarities[0])
        assert keys(above) == ["dog"]
        assert embedding.search(namespace_prefix=ANN, query="hamster", min_score=0.9) == []

    def test_without_a_query_the_latest_items_are_found(self, either: State) -> None:
        self.pets(either)
        either.put(namespace=ANN, key="dog", value={"a": 1})
        assert either.search(namespace_prefix=ANN, top_k=1) == [
            StateMatch(item=either.list_items(namespace_prefix=ANN)[1])
        ]
        assert keys(either.search(namespace_prefix=())) == ["dog", "cat"]
        for arguments in ({"min_score": 0.1}, {"top_k": 0}, {"query": 1}):
            with pytest.raises(InvalidInput) as caught:
                either.search(namespace_prefix=(), **arguments)
            assert caught.value.path == f"/{next(iter(arguments))}"

    def test_a_filter_applies_to_the_values(self, either: State) -> None:
        for number in range(5):
            either.put(namespace=ANN, key=str(number), value={"a": "tea", "b": {"n": number}})
        below: Any = {"b.n": {"$lt": 2}}
        matches = either.search(namespace_prefix=ANN, query="tea", filter=below)
        assert sorted(keys(matches)) == ["0", "1"]

    def test_a_replaced_value_is_found_no_more(self, either: State) -> None:
        self.pets(either)
        assert self.with_word(either, "Bello") == ["dog"]
        either.put(namespace=ANN, key="dog", value={"said": "the dog is Rex"})
        assert self.with_word(either, "Bello") == []
        assert self.with_word(either, "Rex") == ["dog"]
        either.put(namespace=ANN, key="dog", value={"said": "the dog is Max"}, index=False)
        assert self.with_word(either, "Rex") == self.with_word(either, "Max") == []
        either.delete(namespace=ANN, key="cat")
        assert self.with_word(either, "Mia") == []
        assert either.vectors.describe_index(index_name="state").count == 0

    @pytest.mark.parametrize(("value", "index", "expected"), INDEXED, ids=repr)
    def test_the_index_names_the_texts(
        self, either: State, value: dict[str, Any], index: Any, expected: str
    ) -> None:
        either.put(namespace=ANN, key="k", value=value, index=index)
        assert [word for word in WORDS if self.with_word(either, word)] == expected.split()

    # Indexing

    def test_items_wait_for_an_embedder_that_fails(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = Broken()
        self.pets(engine.state)
        with pytest.raises(ConnectionError):
            engine.state.index_pending()
        engine.vectors.embedder = BagOfWords()
        assert engine.within(resource_ids=["bob"]).state.index_pending() == 0
        assert engine.within(resource_ids=["ann"]).state.index_pending() == 2
        assert engine.state.index_pending() == 0
        assert keys(engine.state.search(namespace_prefix=(), query="Bello"))[0] == "dog"

    def test_a_queue_has_workers_index_items(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.queue = queue = Held()
        self.pets(engine.state)
        engine.state.put(namespace=("bob",), key="k", value={}, index=False)
        # Within a test's transaction nothing is sent.
        assert queue.state_indexed in (["ann", "ann"], [])
        with pytest.raises(IndexNotFound):
            engine.vectors.describe_index(index_name="state")
        assert keys(engine.state.search(namespace_prefix=(), query="Bello", top_k=1)) == ["dog"]

    def test_the_index_may_be_prepared(self, state: State) -> None:
        assert state.prepare_index() is None
        state.vectors.embedder = BagOfWords()
        index = state.prepare_index()
        assert index is not None
        assert (index.name, index.dimension, index.count) == ("state", 512, 0)
        assert state.prepare_index() == index
        self.pets(state)
        assert self.with_word(state, "Bello") == ["dog"]
        state.vectors.create_index(index_name="other", dimension=3)
        state.index.name = "other"
        with pytest.raises(InvalidVector, match=r"state.reindex\(\) indexes all items again"):
            state.prepare_index()

    @pytest.mark.parametrize("first", [None, BagOfWords], ids=["words only", "other model"])
    def test_an_index_of_another_model_is_searched_by_words(
        self, engine: MastraEngine, first: Any
    ) -> None:
        class Other(BagOfWords):
            dimension = 64

        engine.vectors.embedder = first and first()
        self.pets(engine.state)
        engine.state.index_pending()
        engine.vectors.embedder = Other()
        (match,) = engine.state.search(namespace_prefix=(), query="Bello")
        assert (match.item.key, match.similarity) == ("dog", None)
        assert engine.state.reindex() == 2
        matches = engine.state.search(namespace_prefix=(), query="Bello")
        assert keys(matches)[0] == "dog"
        assert matches[0].similarity is not None

    def test_items_wait_for_the_embedder_of_the_index(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.state.put(namespace=ANN, key="dog", value={"said": "Bello"})
        engine.state.index_pending()
        engine.vectors.embedder = None
        engine.state.put(namespace=ANN, key="cat", value={"said": "Mia"})
        assert self.with_word(engine.state, "Bello") == ["dog"]
        assert self.with_word(engine.state, "Mia") == []
        engine.vectors.embedder = BagOfWords()
        assert self.with_word(engine.state, "Mia") == ["cat"]

    def test_a_search_may_be_by_meaning_only(self, embedding: State) -> None:
        self.pets(embedding)
        question: dict[str, Any] = {"namespace_prefix": ANN, "query": "Bello the dog"}
        matches = embedding.search(**question, hybrid=False)
        assert keys(matches) == ["dog", "cat"]
        assert [match.score for match in matches] == [match.similarity for match in matches]
        assert embedding.search(**question)[1].score != matches[1].score
        with pytest.raises(InvalidInput) as caught:
            embedding.search(**question, hybrid=2)
        assert caught.value.path == "/hybrid"

    def test_without_an_embedder_a_search_by_meaning_goes_by_words(self, state: State) -> None:
        self.pets(state)
        best, *_ = state.search(namespace_prefix=ANN, query="Mia", hybrid=False)
        assert best.item.key == "cat"
        assert best.score > 0

    def test_async_variants_do_the_same(self, embedding: State) -> None:
        async def work() -> Any:
            await embedding.aput(namespace=ANN, key="dog", value={"said": "Bello"})
            matches = await embedding.asearch(namespace_prefix=ANN, query="Bello")
            operation = {"op": "delete", "namespace": ANN, "key": "dog"}
            return keys(matches), await embedding.abatch(operations=[operation])

        assert async_to_sync(work)() == (["dog"], [True])
        assert not asyncio.iscoroutinefunction(embedding.put)


def put(key: str, value: Mapping[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    """Return an operation that puts an item of ann's."""
    return {"op": "put", "namespace": ANN, "key": key, "value": value or {}, **arguments}


def op(name: str, **arguments: Any) -> dict[str, Any]:
    """Return another operation."""
    return {"op": name, **arguments}


class TestStateBatches(WithState):
    def test_reads_see_the_state_before_the_batch(self, state: State) -> None:
        self.fill(state, (ANN, "old"), said="tea")
        old, at = state.get(namespace=ANN, key="old"), {"namespace": ANN, "key": "old"}
        results = state.batch(
            operations=[
                put("new", {"said": "tea"}),
                op("delete", **at),
                op("get", **at),
                op("get", namespace=ANN, key="new"),
                op("list_items", namespace_prefix=ANN),
                op("search", namespace_prefix=(), query="tea"),
                op("search", namespace_prefix=()),
                op("list_namespaces"),
            ]
        )
        new = state.get(namespace=ANN, key="new")
        assert results[:4] == [new, True, old, None]
        assert [keys(results[4]), keys(results[5]), keys(results[6])] == [["old"]] * 3
        assert results[7].items == [ANN]
        assert keys(state.list_items(namespace_prefix=())) == ["new"]

    def test_the_last_write_of_a_key_counts(self, state: State) -> None:
        self.fill(state, (ANN, "b"))
        results = state.batch(
            operations=[
                put("a", {"n": 1}),
                put("a", {"n": 2}, if_version=0),
                put("b", {"n": 1}),
                op("delete", namespace=ANN, key="b"),
                op("delete", namespace=ANN, key="c"),
                put("c", {"n": 3}),
            ]
        )
        a, c = (state.get(namespace=ANN, key=key) for key in "ac")
        assert results == [a, a, None, True, False, c]
        assert a is not None
        assert (a.value, a.version) == ({"n": 2}, 1)
        assert state.get(namespace=ANN, key="b") is None

    def test_renewals_are_about_the_state_before_the_batch(self, state: State) -> None:
        before = [state.put(namespace=ANN, key=key, value={}, expires_in=60) for key in "ab"]
        time.sleep(0.01)
        operations = [op("renew", namespace=ANN, key=key) for key in "abc"]
        results = state.batch(operations=[put("b"), put("c", expires_in=9), *operations])
        assert results[2:] == [True, True, False]
        renewed, replaced = (state.get(namespace=ANN, key=key) for key in "ab")
        assert renewed is not None
        assert renewed.expires_at is not None
        assert before[0].expires_at is not None
        assert renewed.expires_at > before[0].expires_at
        assert replaced is not None
        assert replaced.expires_at is None

    @pytest.mark.parametrize(
        "last",
        [
            put("b", if_version=2),
            put("b", if_version=0),
            put("c", if_version=1),
            op("delete", namespace=ANN, key="b", if_version=2),
            op("delete", namespace=ANN, key="c", if_version=1),
        ],
        ids=repr,
    )
    def test_a_conflict_undoes_the_batch(self, state: State, last: Any) -> None:
        self.fill(state, (ANN, "b"), n=1)
        with pytest.raises(VersionConflict):
            state.batch(operations=[put("a"), last, put("d", if_version=0)])
        assert keys(state.list_items(namespace_prefix=())) == ["b"]
        assert state.list_items(namespace_prefix=())[0].value == {"n": 1}

    def test_versions_are_required_in_a_batch(self, state: State) -> None:
        self.fill(state, (ANN, "b"), (ANN, "d"))
        results = state.batch(
            operations=[
                put("a", if_version=0),
                put("b", if_version=1),
                op("delete", namespace=ANN, key="c", if_version=0),
                op("delete", namespace=ANN, key="d", if_version=1),
            ]
        )
        assert [results[0].version, results[1].version, *results[2:]] == [1, 2, False, True]

    def test_a_large_batch(self, state: State) -> None:
        writes = [put(str(number), {"n": number}) for number in range(300)]
        items = state.batch(operations=iter(writes))
        assert [item.value["n"] for item in items] == list(range(300))
        reads = [op("get", namespace=ANN, key=str(number)) for number in range(300)]
        assert state.batch(operations=reads) == items
        assert state.batch(operations=[]) == []

    @pytest.mark.parametrize(
        ("operation", "path"),
        [
            ("put", ""),
            ({}, "/op"),
            ({"op": "upsert"}, "/op"),
            (put("k", priority=1), "/priority"),
            (op("put", namespace=ANN, key="k"), "/value"),
            (op("get", namespace=ANN), "/key"),
            (op("get", namespace=(), key="k"), "/namespace"),
            (put("k", if_version=-1), "/if_version"),
            (put("k", {"a": ["\0"]}), "/value/a/0"),
            (put("k", index=["."]), "/index/0"),
            (put("k", expires_in=0), "/expires_in"),
            (op("delete", namespace=ANN, key=1), "/key"),
            (op("delete", namespace=ANN, key="k", value={}), "/value"),
            (op("search"), "/namespace_prefix"),
            (op("search", namespace_prefix=(), filter={"$where": 1}), "/filter/$where"),
            (op("search", namespace_prefix=(), query=""), None),
            (op("list_items", namespace_prefix=(), limit=-1), "/limit"),
            (op("list_namespaces", max_depth=0), "/max_depth"),
            (op("list_namespaces", prefix=[""]), "/prefix/0"),
        ],
        ids=repr,
    )
    def test_an_invalid_operation_is_named(self, state: State, operation: Any, path: Any) -> None:
        operations = [put("a"), operation]
        if path is None:
            assert state.batch(operations=operations)[1] == []
            return
        with pytest.raises(InvalidInput) as caught:
            state.batch(operations=operations)
        assert caught.value.path == f"/operations/1{path}"
        assert state.list_items(namespace_prefix=()).items == []

    @pytest.mark.parametrize("operations", [None, "put", {"op": "get"}, 1])
    def test_operations_are_a_list(self, state: State, operations: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            state.batch(operations=operations)
        assert caught.value.path == "/operations"

    def test_a_batch_has_a_largest_size(self, state: State) -> None:
        with pytest.raises(InvalidInput, match="10,000 operations"):
            state.batch(operations=(op("get", namespace=ANN, key="k") for _ in range(10_001)))
        for number in range(3):
            state.put(namespace=ANN, key=str(number), value={"a": text(5_000_000)}, index=False)
        gets = [op("get", namespace=ANN, key=str(number)) for number in range(3)]
        with pytest.raises(InvalidInput, match="items of fewer bytes in one batch"):
            state.batch(operations=[*gets, put("a")])
        assert len(state.batch(operations=gets[:2])) == 2
        state.batch(operations=[{**get, "op": "delete"} for get in gets])
        with pytest.raises(InvalidInput, match="67,108,864 bytes"):
            state.batch(operations=(put(str(n), {"a": "x" * 16_000_000}) for n in range(5)))
        assert state.list_items(namespace_prefix=()).items == []
