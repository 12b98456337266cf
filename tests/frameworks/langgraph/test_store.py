"""The store answers as LangGraph's own in-memory store does, and keeps items in state."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from random import Random
from typing import Annotated, Any, TypedDict

import pytest
from django.db import transaction
from langgraph.config import get_store
from langgraph.graph import START, StateGraph
from langgraph.store.base import (
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    PutOp,
    SearchOp,
)
from langgraph.store.memory import InMemoryStore
from langgraph.types import Send

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.contrib.langgraph import DjangoCheckpointer, EngineStore
from mastra_engine.contrib.langgraph.store_filters import matches, prefilter
from mastra_engine.exceptions import CalledInEventLoop, InvalidFilter, InvalidInput, NotFound
from mastra_engine.models import StateItem
from tests.frameworks.langchain.embeddings import Letters
from tests.frameworks.langgraph.agents import thread
from tests.frameworks.random_operations import OPERATIONS, seeds

LABELS = ["acme", "acme-corp", "acmeX", "a_me", "a%", "ä"]
WORDS = ["tea", "milk", "lemon", "rum", "mead", "oil"]
EVERYTHING = 1_000


class Operations:
    """Random operations of a store."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def batch(self) -> list[Any]:
        # The oracle lists namespaces that it has only looked into, so lists come before gets.
        operations = [self.operation() for _ in range(self.random.randint(1, 12))]
        return sorted(operations, key=lambda op: not isinstance(op, ListNamespacesOp))

    def operation(self) -> Any:
        kinds = [self.put, self.delete, self.get, self.search, self.list_namespaces]
        return self.random.choices(kinds, [8, 2, 6, 3, 1])[0]()

    def namespace(self, least: int = 1) -> tuple[str, ...]:
        return tuple(self.random.choices(LABELS, k=self.random.randint(least, 3)))

    def key(self) -> str:
        return self.random.choice(["k", "K", "k.2", "ключ"])

    def scalar(self) -> Any:
        return self.random.choice([None, True, False, 0, 1, 2, 9, 10, 10.5, "", "10", "red", "é"])

    def value(self) -> dict[str, Any]:
        value = {
            "score": self.random.choice([2, 9, 10, 100, -1.5]),
            "text": " ".join(self.random.choices(WORDS, k=self.random.randint(1, 4))),
        }
        for name in ("color", "a.b", "$x"):
            if self.random.random() < 0.5:
                value[name] = self.scalar()
        if self.random.random() < 0.5:
            value["nested"] = {"a": self.scalar(), "b": {"c": self.scalar()}}
        if self.random.random() < 0.3:
            value["tags"] = self.random.sample(["red", "é", 1], self.random.randint(0, 3))
        return value

    def filter(self) -> dict[str, Any] | None:
        comparison = self.random.choice(["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"])
        conditions: list[dict[str, Any]] = [
            {},
            {"color": self.scalar()},
            {"a.b": self.scalar()},
            {"color": {self.random.choice(["$eq", "$ne"]): self.scalar()}},
            {"score": {comparison: self.random.choice([2, 9, 10, 99.5])}},
            {"nested": {"a": self.scalar()}},
            {"nested": {"b": {"c": self.scalar()}, "a": self.scalar()}},
            {"tags": self.random.choice([["red"], [], ["é", 1], "red"])},
        ]
        one, other = self.random.choice(conditions), self.random.choice(conditions)
        return self.random.choice([None, one, {**one, **other}])

    def put(self) -> Any:
        return PutOp(self.namespace(), self.key(), self.value())

    def delete(self) -> Any:
        return PutOp(self.namespace(), self.key(), None)

    def get(self) -> Any:
        return GetOp(self.namespace(), self.key())

    def search(self) -> Any:
        return SearchOp(self.namespace(least=0), filter=self.filter(), limit=EVERYTHING)

    def list_namespaces(self) -> Any:
        conditions = tuple(
            MatchCondition(
                self.random.choice(["prefix", "suffix"]),
                tuple(self.random.choices([*LABELS, "*", "*"], k=self.random.randint(1, 2))),
            )
            for _ in range(self.random.randint(0, 3))
        )
        depth = self.random.choice([None, 1, 2, 3])
        limit, offset = self.random.choice([1, 5, 99]), self.random.choice([0, 1, 5])
        return ListNamespacesOp(conditions, depth, limit, offset)


def comparable(operation: Any, result: Any) -> Any:
    """Return a result without times; a store may list what it finds in any order."""
    if isinstance(operation, GetOp):
        return result and (result.namespace, result.key, result.value)
    if isinstance(operation, SearchOp):
        return sorted(((item.namespace, item.key, item.value) for item in result), key=repr)
    return result


def forget_empty_namespaces(memory: InMemoryStore) -> None:
    """Remove the namespaces that the oracle lists although they have no items."""
    for namespace in [name for name, items in memory._data.items() if not items]:
        del memory._data[namespace]


def batches(seed: int, count: int) -> Iterator[list[Any]]:
    operations, number = Operations(seed), 0
    while number < count:
        batch = operations.batch()
        number += len(batch)
        yield batch


@pytest.mark.parametrize("seed", seeds(OPERATIONS))
def test_random_operations_leave_no_difference(each_engine: MastraEngine, seed: int) -> None:
    ours, others = EngineStore(engine=each_engine, fields=False), InMemoryStore()
    for batch in batches(seed, OPERATIONS):
        forget_empty_namespaces(others)
        pairs = zip(batch, ours.batch(batch), others.batch(batch), strict=True)
        for operation, our_result, their_result in pairs:
            assert comparable(operation, our_result) == comparable(operation, their_result)


async def test_asynchronous_operations_leave_no_difference(
    committing_engine: MastraEngine,
) -> None:
    ours, others = EngineStore(engine=committing_engine, fields=False), InMemoryStore()
    for batch in batches(2, 1_000):
        forget_empty_namespaces(others)
        pairs = zip(batch, await ours.abatch(batch), await others.abatch(batch), strict=True)
        for operation, our_result, their_result in pairs:
            assert comparable(operation, our_result) == comparable(operation, their_result)


def semantic(engine: MastraEngine) -> tuple[EngineStore, InMemoryStore]:
    engine.vectors.embedder = Letters()
    others = InMemoryStore(index={"dims": 10, "embed": Letters(), "fields": ["text"]})
    return EngineStore(engine=engine, fields=["text"]), others


def scores(result: list[Any]) -> list[float | None]:
    return [item.score if item.score is None else round(item.score, 5) for item in result]


def test_searches_by_meaning_rank_alike(each_engine: MastraEngine) -> None:
    stores = semantic(each_engine)
    operations, random = Operations(3), Random(3)
    # The oracle keeps the vectors of replaced items, so each key is put once.
    for op in {
        (op.namespace, op.key): op for op in (operations.put() for _ in range(120))
    }.values():
        for store in stores:
            store.put(op.namespace, op.key, op.value, index=op_index(op))
    for _ in range(150):
        query = " ".join(random.choices(WORDS, k=2))
        prefix, filter = operations.namespace(least=0), operations.filter()
        options = {"query": query, "filter": filter}
        ours, others = (store.search(prefix, **options, limit=EVERYTHING) for store in stores)
        assert scores(ours) == scores(others)
        assert comparable(SearchOp(()), ours) == comparable(SearchOp(()), others)
        # The oracle repeats items without a vector on each page.
        for offset in (0, 2):
            page = stores[0].search(prefix, **options, limit=3, offset=offset)
            assert scores(page) == scores(others)[offset : offset + 3]


def op_index(op: Any) -> Any:
    return False if len(op.value["text"]) % 4 == 0 else None


async def test_asynchronous_searches_rank_alike(committing_engine: MastraEngine) -> None:
    for store in (stores := semantic(committing_engine)):
        for key, text in enumerate(WORDS):
            await store.aput(("a",), str(key), {"text": text})
    ours, others = [await store.asearch(("a",), query="milk") for store in stores]
    assert scores(ours) == scores(others)
    assert ours[0].value == {"text": "milk"}


def test_paths_select_the_indexed_texts(each_engine: MastraEngine) -> None:
    store, _ = semantic(each_engine)
    value = {"notes": [{"text": "oil"}, {"text": "rum"}], "text": "milk"}
    for key, path in (("first", "notes[0].text"), ("each", "notes[*].text"), ("last", "notes[-1]")):
        store.put(("a",), key, value, index=[path])
    best, *_ = store.search(("a",), query="oil")
    assert best.key == "first"
    best, *_ = store.search(("a",), query="rum")
    assert best.key == "last"


def test_without_an_embedder_searches_go_by_words(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    for text in WORDS:
        store.put(("a",), text, {"text": f"some {text}"})
    best, *others = store.search(("a",), query="lemon")
    assert best.key == "lemon"
    assert best.score > 0
    assert {item.score for item in others} == {None}


# Filters


def test_numbers_are_compared_as_numbers(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    for score in (2, 9, 10, 100, None, [11], "high", "2026"):
        store.put(("a",), repr(score), {"score": score})
    matches = store.search(("a",), filter={"score": {"$gte": 10}})
    assert {item.value["score"] for item in matches} == {10, 100, "2026"}
    matches = store.search(("a",), filter={"score": {"$gt": "a"}})
    assert {item.value["score"] for item in matches} == {"high"}


def test_the_filter_of_the_engine_excludes_no_match() -> None:
    operations = Operations(4)
    engine = MockFilter()
    for _ in range(3_000):
        value, filter = operations.value(), operations.filter() or {}
        if matches(value, filter):
            assert engine.accepts(value, prefilter(filter)), (value, filter)


class MockFilter:
    def accepts(self, value: dict[str, Any], where: dict[str, Any] | None) -> bool:
        from mastra_engine.backends.mock.match import matches as mock_matches
        from mastra_engine.filters.parsing import parse_optional_filter

        return bool(mock_matches(parse_optional_filter(where), value))


@pytest.mark.parametrize(
    ("filter", "path"),
    [
        ({"a": {"$regex": "x"}}, "/ops/0/filter/a/$regex"),
        ({"a": {"b": {"$in": [1]}}}, "/ops/0/filter/a/b/$in"),
        ({1: 2}, "/ops/0/filter"),
        ("a", "/ops/0/filter"),
    ],
)
def test_a_malformed_filter_names_the_place(
    each_engine: MastraEngine, filter: Any, path: str
) -> None:
    with pytest.raises(InvalidFilter) as refusal:
        EngineStore(engine=each_engine).search((), filter=filter)
    assert refusal.value.path == path


# Namespaces


def test_a_prefix_finds_no_sibling(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    for label in ("acme", "acme-corp", "acmeX", "a_me", "a%", "a\\"):
        store.put(("tenant", label), "k", {"of": label})
    for label in ("acme", "a_me", "a%", "a\\"):
        assert [item.value["of"] for item in store.search(("tenant", label))] == [label]
        assert store.list_namespaces(prefix=("tenant", label)) == [("tenant", label)]


def test_a_scope_hides_the_items_of_others(each_engine: MastraEngine) -> None:
    EngineStore(engine=each_engine).put(("bob",), "k", {"a": 1})
    store = EngineStore(engine=each_engine.within(resource_ids=["ann"]))
    store.put(("ann",), "k", {"a": 1})
    assert [item.namespace for item in store.search(())] == [("ann",)]
    assert store.list_namespaces() == [("ann",)]
    for call in (store.get, lambda *place: store.put(*place, {}), store.delete):
        with pytest.raises(NotFound):
            call(("bob",), "k")


def test_bad_input_is_refused_whole(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    cyclic: dict[str, Any] = {}
    cyclic["again"] = cyclic
    for value in ({"a": object()}, {"a": "\0"}, {"a": float("nan")}, cyclic):
        with pytest.raises(InvalidInput):
            store.batch([PutOp(("a",), "good", {}), PutOp(("a",), "bad", value)])
    with pytest.raises(InvalidInput):
        store.put(("a",), "k", {}, ttl=-1)
    with pytest.raises(InvalidInput, match="/ops/1"):
        store.batch([PutOp(("a",), "good", {}), "nothing"])
    for options in ({"limit": -1}, {"offset": -1}):
        with pytest.raises(InvalidInput):
            store.search(("a",), **options)
        with pytest.raises(InvalidInput):
            store.list_namespaces(**options)
    with pytest.raises(InvalidNamespaceError):
        store.put((), "k", {})
    assert store.search(()) == []


# Lifetimes


def expiry(engine: MastraEngine, key: str = "k") -> Any:
    return engine.state.get(namespace=("a",), key=key).expires_at


def test_reads_let_items_live_as_long_again(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    assert store.supports_ttl
    store.put(("a",), "k", {"text": "tea"}, ttl=10)
    store.put(("a",), "stays", {})
    before = expiry(each_engine)
    item = each_engine.state.get(namespace=("a",), key="k")
    assert (item.expires_at - item.updated_at).total_seconds() == pytest.approx(600, abs=1)
    for read in (
        lambda refresh: store.get(("a",), "k", refresh_ttl=refresh),
        lambda refresh: store.search(("a",), refresh_ttl=refresh),
        lambda refresh: store.search(("a",), query="tea", refresh_ttl=refresh),
    ):
        read(False)
        assert expiry(each_engine) == before
        read(None)
        assert expiry(each_engine) > before
        before = expiry(each_engine)
    assert expiry(each_engine, "stays") is None
    assert each_engine.state.get(namespace=("a",), key="k").version == 1


def test_the_defaults_of_lifetimes(each_engine: MastraEngine) -> None:
    ttl = {"default_ttl": 5, "refresh_on_read": False}
    store = EngineStore(engine=each_engine, ttl=ttl)
    store.put(("a",), "k", {})
    store.put(("a",), "stays", {}, ttl=None)
    before = expiry(each_engine)
    store.get(("a",), "k")
    assert expiry(each_engine) == before
    store.get(("a",), "k", refresh_ttl=True)
    assert expiry(each_engine) > before
    assert expiry(each_engine, "stays") is None


def test_expired_items_are_not_found(each_engine: MastraEngine) -> None:
    store = EngineStore(engine=each_engine)
    store.put(("a",), "k", {"text": "tea"}, ttl=1e-7)
    assert store.get(("a",), "k") is None
    assert store.search(()) == store.search((), query="tea") == store.list_namespaces() == []


# In a graph, and in transactions


@pytest.mark.django_db(transaction=True)
def test_tasks_that_run_in_parallel_join_the_transaction(postgres_engine: PostgresEngine) -> None:
    class State(TypedDict):
        done: Annotated[list[int], add]

    def remember(state: Any) -> dict[str, Any]:
        get_store().put(("ann",), str(state["number"]), {"number": state["number"]})
        return {"done": [state["number"]]}

    builder = StateGraph(State)
    builder.add_node("remember", remember)
    builder.add_conditional_edges(
        START, lambda _: [Send("remember", {"number": n}) for n in range(8)]
    )
    store = EngineStore(engine=postgres_engine)
    graph = builder.compile(checkpointer=DjangoCheckpointer(), store=store)
    with transaction.atomic():
        graph.invoke({"done": []}, thread("a"))
        assert len(store.search(("ann",))) == 8
        transaction.set_rollback(True)
    assert not StateItem.objects.exists()
    graph.invoke({"done": []}, thread("a"))
    assert len(store.search(("ann",))) == 8


def test_the_default_engine_is_used(db: None) -> None:
    EngineStore().put(("ann",), "k", {"a": 1})
    assert StateItem.objects.get().namespace == ["ann"]


async def test_synchronous_methods_are_refused_in_a_coroutine(mock_engine: MastraEngine) -> None:
    with pytest.raises(CalledInEventLoop, match=r"abatch\(\)"):
        EngineStore(engine=mock_engine).get(("a",), "k")
