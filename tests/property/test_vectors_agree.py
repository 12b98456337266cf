"""Vectors: the mock and the PostgreSQL engine store and find the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mastra_engine import MastraEngine
from tests.property.pair import QUIET, Pair
from tests.property.strategies import DOCUMENTS, IDS, METADATA_FILTERS

#: The indexes, and the storage of each.
STORAGES = {"plain": "vector", "half": "halfvec", "bits": "bit", "terms": "sparsevec"}
NAMES = tuple(STORAGES)
INDEX = st.sampled_from(NAMES)
NAMESPACE = st.sampled_from(["", "ann"])
VECTOR = st.tuples(*[st.sampled_from([-1.0, 0.0, 0.5, 2.0])] * 2).map(list)
METRIC = st.sampled_from(["cosine", "euclidean", "dotproduct"])
ROWS = st.dictionaries(IDS, st.tuples(VECTOR, DOCUMENTS), min_size=1, max_size=4)
DECLARED = {"declared": {"dimension": 2, "index_type": "flat"}}


class Indexes(RuleBasedStateMachine):
    """Indexes of each storage with vectors in two namespaces."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.pair = Pair()
        for engine in (self.pair.mock, self.pair.postgres):
            engine.vectors.declared = DECLARED
        self.pair.call(lambda e: _shown(e.vectors.create_index(index_name="plain", dimension=2)))

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    @rule(name=INDEX, metric=METRIC, kind=st.sampled_from(["hnsw", "flat"]))
    def create_index(self, name: str, metric: Any, kind: Any) -> None:
        storage: Any = STORAGES[name]
        self.pair.call(
            lambda e: _shown(
                e.vectors.create_index(
                    index_name=name, dimension=2, metric=metric, index_type=kind, storage=storage
                )
            )
        )

    @rule()
    def create_declared_indexes(self) -> None:
        self.pair.call(lambda e: [_shown(i) for i in e.vectors.create_declared_indexes()])

    @rule(name=INDEX)
    def build_index(self, name: str) -> None:
        self.pair.call(lambda e: _shown(e.vectors.build_index(index_name=name)))

    @rule(name=INDEX)
    def delete_index(self, name: str) -> None:
        self.pair.call(lambda e: e.vectors.delete_index(index_name=name))

    @rule(name=INDEX, scope=st.none() | st.sets(NAMESPACE))
    def truncate_index(self, name: str, scope: Any) -> None:
        self.pair.call(lambda e: e.within(namespaces=scope).vectors.truncate_index(index_name=name))

    @rule(name=INDEX, rows=ROWS, namespace=NAMESPACE, bulk=st.booleans())
    def upsert(self, name: str, rows: dict[str, Any], namespace: str, bulk: bool) -> None:
        def upsert(engine: MastraEngine) -> Any:
            call = {
                "index_name": name,
                "vectors": [vector for vector, _ in rows.values()],
                "ids": list(rows),
                "metadata": [metadata for _, metadata in rows.values()],
                "namespace": namespace,
            }
            if not bulk:
                return engine.vectors.upsert(**call)
            with engine.vectors.bulk_load(index_name=name):
                return engine.vectors.upsert(**call)

        self.pair.call(upsert)

    @rule(
        name=INDEX,
        id=IDS,
        namespace=NAMESPACE,
        changes=st.fixed_dictionaries({}, optional={"vector": VECTOR, "metadata": DOCUMENTS}),
    )
    def update_vector(self, name: str, id: str, namespace: str, changes: Any) -> None:
        def update(engine: MastraEngine) -> Any:
            stored = engine.vectors.update_vector(
                index_name=name, id=id, namespace=namespace, **changes
            )
            return stored.id, stored.vector, stored.metadata

        self.pair.call(update)

    @rule(name=INDEX, ids=st.lists(IDS, max_size=3), namespace=NAMESPACE)
    def delete_by_id(self, name: str, ids: list[str], namespace: str) -> None:
        self.pair.call(
            lambda e: e.vectors.delete_vectors(index_name=name, ids=ids, namespace=namespace)
        )

    @rule(name=INDEX, where=METADATA_FILTERS, namespace=st.none() | NAMESPACE)
    def delete_by_filter(self, name: str, where: Any, namespace: str | None) -> None:
        self.pair.call(
            lambda e: e.vectors.delete_vectors(index_name=name, filter=where, namespace=namespace)
        )

    @rule(name=INDEX, near=VECTOR, where=METADATA_FILTERS, namespace=st.none() | NAMESPACE)
    def query(self, name: str, near: list[float], where: Any, namespace: str | None) -> None:
        """Compare all matches: the order of equally close ones depends on their last bit."""

        def query(engine: MastraEngine) -> Any:
            matches = engine.vectors.query(
                index_name=name, query_vector=near, filter=where, namespace=namespace, top_k=100
            )
            return sorted((m.namespace, m.id, round(m.score, 4)) for m in matches)

        self.pair.call(query)

    @rule(
        name=INDEX,
        where=METADATA_FILTERS,
        namespace=st.none() | NAMESPACE,
        scope=st.none() | st.sets(NAMESPACE),
        limit=st.integers(0, 4),
    )
    def list_and_count(
        self, name: str, where: Any, namespace: str | None, scope: Any, limit: int
    ) -> None:
        selection: Any = {"index_name": name, "filter": where, "namespace": namespace}

        def pages(engine: MastraEngine) -> Any:
            vectors = engine.within(namespaces=scope).vectors
            first = vectors.list_vectors(**selection, limit=limit)
            rest = vectors.list_vectors(**selection, cursor=first.next_cursor)
            return vectors.count_vectors(**selection), [
                [(row.namespace, row.id, row.vector, row.metadata) for row in page]
                for page in (first, rest)
            ]

        self.pair.call(pages)

    @invariant()
    def all_is_equal(self) -> None:
        self.pair.call(lambda e: [_shown(index) for index in e.vectors.list_indexes()])
        for name in NAMES:
            for namespace in ("", "ann"):
                self.pair.call(
                    lambda e, name=name, namespace=namespace: [
                        (stored.id, stored.vector, stored.metadata)
                        for stored in e.vectors.get_vectors(
                            index_name=name,
                            ids=["1", "2", "10", "a", "B", "é", "z "],
                            namespace=namespace,
                        )
                    ]
                )


def _shown(index: Any) -> Any:
    """Return what both engines report alike; sizes and search structures differ."""
    return index.name, index.dimension, index.metric, index.index_type, index.storage, index.count


@pytest.mark.django_db
def test_vectors_agree_for_a_while() -> None:
    run_state_machine_as_test(
        Indexes, settings=settings(max_examples=25, stateful_step_count=20, **QUIET)
    )
