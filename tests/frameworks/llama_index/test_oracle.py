"""Random operations have the results that LlamaIndex's store in memory has."""

from __future__ import annotations

import random
from typing import Any

import pytest
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.simple import SimpleVectorStore
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)

from mastra_engine import MastraEngine
from mastra_engine.contrib.llama_index import EngineVectorStore
from tests.frameworks.random_operations import seeds

#: Random operations in one index. They are few, since within one transaction PostgreSQL keeps
#: deleted rows, which the next statements skip one by one.
OPERATIONS = 400
#: Single precision rounds similarities.
ROUNDING = 1e-5

ORDER = [">", "<", ">=", "<="]
TEXTS = ["", "a", "A", "ab", "Ab", "b", "b%", "_", "a.b", "bc"]
NUMBERS = [-1, 0, 1, 2, 2.5, 10]
SOURCES = ["s1", "s2", "s3", "None"]
#: For each kind of value the operators that it has in memory without raising errors.
OPERATORS = {
    "text": [
        *("==", "!=", "in", "nin", "any", "all", "contains", "is_empty", *ORDER),
        *("text_match", "text_match_insensitive"),
    ],
    "number": ["==", "!=", "in", "nin", "is_empty", *ORDER],
    "texts": ["==", "!=", "any", "all", "contains", "is_empty"],
    "a.b": ["==", "!=", "in", "nin", "contains", "is_empty"],
    "doc_id": ["==", "!=", "in", "nin"],
    "ref_doc_id": ["==", "!=", "in", "nin", "text_match"],
    "_node_type": ["==", "!="],
}
LISTS = ("in", "nin", "any", "all")


class Random:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def vector(self) -> list[float]:
        return [self.rng.gauss(0, 1) for _ in range(4)]

    def id(self) -> str:
        return f"n{self.rng.randrange(40)}"

    def some(self, values: list[Any], most: int = 3) -> list[Any]:
        return self.rng.sample(values, self.rng.randint(0, most))

    def metadata(self) -> dict[str, Any]:
        values: dict[str, Any] = {
            "text": self.rng.choice([*TEXTS, None]),
            "number": self.rng.choice([*NUMBERS, None]),
            "texts": self.rng.choice([self.some(TEXTS), None]),
            "a.b": self.rng.choice(TEXTS),
            "doc_id": "mine",
        }
        return {key: value for key, value in values.items() if self.rng.random() < 0.8}

    def node(self) -> TextNode:
        source = self.rng.choice(SOURCES)
        related = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)}
        return TextNode(
            id_=self.id(),
            text="text",
            metadata=self.metadata(),
            embedding=self.vector(),
            relationships={} if source == "None" else related,
        )

    def filter(self) -> MetadataFilter:
        key = self.rng.choice(list(OPERATORS))
        operator = self.rng.choice(OPERATORS[key])
        values = {"number": NUMBERS, "doc_id": SOURCES, "ref_doc_id": SOURCES}.get(key, TEXTS)
        value: Any = self.rng.choice(values)
        if operator in LISTS or (key == "texts" and operator in ("==", "!=")):
            value = self.some(values)
        return MetadataFilter(key=key, operator=FilterOperator(operator), value=value)

    def filters(self) -> MetadataFilters | None:
        if self.rng.random() < 0.3:
            return None
        listed = [self.filter() for _ in range(self.rng.randint(0, 3))]
        return MetadataFilters(filters=listed, condition=self.rng.choice(list(FilterCondition)))

    def ids(self) -> list[str] | None:
        return [self.id() for _ in range(10)] if self.rng.random() < 0.3 else None

    def query(self, mode: VectorStoreQueryMode) -> VectorStoreQuery:
        return VectorStoreQuery(
            query_embedding=self.vector(),
            similarity_top_k=self.rng.choice([1, 2, 5, 100]),
            node_ids=self.ids(),
            filters=self.filters(),
            mode=mode,
        )


def agree(result: VectorStoreQueryResult, expected: VectorStoreQueryResult) -> None:
    """Check for the same nodes and similarities; only equally close nodes may change places."""
    assert result.similarities == pytest.approx(expected.similarities, abs=ROUNDING)
    assert [node.node_id for node in result.nodes or []] == result.ids
    assert expected.ids is not None
    similarities = dict(zip(expected.ids, expected.similarities or [], strict=True))
    for id, similarity in zip(result.ids or [], result.similarities or [], strict=True):
        assert similarities.get(id, expected.similarities[-1]) == pytest.approx(
            similarity, abs=ROUNDING
        )


class Pair:
    """A store and the oracle, for which the same operations are performed and compared."""

    def __init__(self, engine: MastraEngine, seed: int) -> None:
        self.store = EngineVectorStore(index_name="round", dimension=4, engine=engine)
        self.oracle = SimpleVectorStore()
        self.random = Random(seed)

    def query(self) -> None:
        query = self.random.query(VectorStoreQueryMode.DEFAULT)
        agree(self.store.query(query), self.oracle.query(query))

    def diverse(self) -> None:
        query = self.random.query(VectorStoreQueryMode.MMR)
        threshold = self.random.rng.choice([None, 0.3, 1.0])
        result = self.store.query(query, mmr_threshold=threshold)
        expected = self.oracle.query(query, mmr_threshold=threshold)
        assert result.ids == expected.ids
        assert result.similarities == pytest.approx(expected.similarities, abs=ROUNDING)

    def add(self) -> None:
        nodes = [self.random.node() for _ in range(self.random.rng.randint(1, 3))]
        assert self.store.add(nodes) == self.oracle.add(nodes)

    def delete(self) -> None:
        source = self.random.rng.choice(SOURCES)
        for target in (self.store, self.oracle):
            target.delete(source)

    def delete_nodes(self) -> None:
        node_ids, filters = self.random.ids(), self.random.filters()
        for target in (self.store, self.oracle):
            target.delete_nodes(node_ids, filters)

    def clear(self) -> None:
        for target in (self.store, self.oracle):
            target.clear()

    def get(self) -> None:
        assert {node.node_id for node in self.store.get_nodes()} == {
            *self.oracle.data.embedding_dict
        }


#: The operations, and how often each is performed.
WEIGHTS = {
    Pair.query: 40,
    Pair.diverse: 10,
    Pair.add: 38,
    Pair.delete: 4,
    Pair.delete_nodes: 4,
    Pair.get: 4,
    Pair.clear: 0.5,
}


@pytest.mark.parametrize("seed", seeds(OPERATIONS))
def test_random_operations_have_the_results_that_they_have_in_memory(
    each_engine: MastraEngine, seed: int
) -> None:
    pair = Pair(each_engine, seed)
    for operation in pair.random.rng.choices([*WEIGHTS], [*WEIGHTS.values()], k=OPERATIONS):
        operation(pair)
