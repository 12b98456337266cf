"""Agent state: the mock and the PostgreSQL engine store and find the same."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.property.pair import QUIET, Pair
from tests.property.strategies import DOCUMENTS, METADATA_FILTERS

ELEMENTS = st.sampled_from(["a", "a_b", "aXb", "a%", "a\\", "a\x01", "é"])
NAMESPACE = st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple)
PREFIX = st.lists(ELEMENTS, max_size=2).map(tuple)
PATTERN = st.none() | st.lists(ELEMENTS | st.just("*"), max_size=3)
KEY = st.sampled_from(["k", "K", "é", "a b"])
VERSION = st.none() | st.integers(0, 3)
#: A lifetime that has ended before the next call, or one that does not end.
LIFETIME = st.sampled_from([None, 1e-6, 1e6])
INDEX = st.none() | st.just(False) | st.just(["a", "b[*]"])
WORDS = st.sampled_from(["tea", "milk", "sugar"])
VALUE = st.one_of(DOCUMENTS, st.lists(WORDS, max_size=3).map(lambda words: {"a": " ".join(words)}))
SCOPE = st.none() | st.sets(ELEMENTS, max_size=3)
LIMIT = st.integers(1, 3)

PUT = st.fixed_dictionaries(
    {
        "op": st.just("put"),
        "namespace": NAMESPACE,
        "key": KEY,
        "value": VALUE,
        "if_version": VERSION,
        "expires_in": LIFETIME,
        "index": INDEX,
    }
)
PLACE = {"namespace": NAMESPACE, "key": KEY}
OPERATIONS = st.lists(
    st.one_of(
        PUT,
        st.fixed_dictionaries({"op": st.just("get"), **PLACE}),
        st.fixed_dictionaries({"op": st.just("renew"), **PLACE}),
        st.fixed_dictionaries({"op": st.just("delete"), **PLACE, "if_version": VERSION}),
        st.fixed_dictionaries({"op": st.just("list_items"), "namespace_prefix": PREFIX}),
        st.fixed_dictionaries({"op": st.just("list_namespaces"), "prefix": PATTERN}),
        st.fixed_dictionaries(
            {"op": st.just("search"), "namespace_prefix": PREFIX, "query": st.none()}
        ),
    ),
    max_size=4,
)


def comparable(result: Any) -> Any:
    """Return a result without the times of items; equal times differ between the engines."""
    if isinstance(result, list):
        return [comparable(item) for item in result]
    if hasattr(result, "item"):
        return comparable(result.item)
    if hasattr(result, "items"):
        return [comparable(item) for item in result.items], result.next_cursor is None
    if hasattr(result, "namespace"):
        expires = result.expires_at is None
        return result.namespace, result.key, result.value, result.version, expires
    return result


class Items(RuleBasedStateMachine):
    """Items in namespaces that differ by little."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.pair = Pair()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def state(self, engine: Any, scope: Any) -> Any:
        return engine.state if scope is None else engine.within(resource_ids=scope).state

    @rule(operation=PUT, scope=SCOPE)
    def put(self, operation: dict[str, Any], scope: Any) -> None:
        arguments = {name: value for name, value in operation.items() if name != "op"}
        self.pair.call(lambda e: comparable(self.state(e, scope).put(**arguments)))

    @rule(namespace=NAMESPACE, key=KEY, version=VERSION)
    def delete(self, namespace: Any, key: str, version: int | None) -> None:
        place = {"namespace": namespace, "key": key, "if_version": version}
        self.pair.call(lambda e: e.state.delete(**place))

    @rule(namespace=NAMESPACE, key=KEY, scope=SCOPE)
    def renew(self, namespace: Any, key: str, scope: Any) -> None:
        self.pair.call(lambda e: self.state(e, scope).renew(namespace=namespace, key=key))

    @rule(namespace=NAMESPACE, key=KEY, scope=SCOPE)
    def get(self, namespace: Any, key: str, scope: Any) -> None:
        self.pair.read(lambda e: comparable(self.state(e, scope).get(namespace=namespace, key=key)))

    @rule(operations=OPERATIONS, scope=SCOPE)
    def batch(self, operations: list[Any], scope: Any) -> None:
        self.pair.call(lambda e: comparable(self.state(e, scope).batch(operations=operations)))

    @rule(prefix=PREFIX, where=METADATA_FILTERS, limit=LIMIT, scope=SCOPE)
    def list_items(self, prefix: Any, where: Any, limit: int, scope: Any) -> None:
        def read(engine: Any) -> Any:
            query = {"namespace_prefix": prefix, "filter": where, "limit": limit}
            first = self.state(engine, scope).list_items(**query)
            cursor = first.next_cursor
            if cursor is None:
                return comparable(first)
            return comparable([first, self.state(engine, scope).list_items(**query, cursor=cursor)])

        self.pair.read(read)

    @rule(prefix=PATTERN, suffix=PATTERN, depth=st.none() | st.integers(1, 3), scope=SCOPE)
    def list_namespaces(self, prefix: Any, suffix: Any, depth: Any, scope: Any) -> None:
        def read(engine: Any) -> Any:
            query = {"prefix": prefix, "suffix": suffix, "max_depth": depth, "limit": 2}
            pages, cursor = [], None
            while True:
                pages.append(self.state(engine, scope).list_namespaces(**query, cursor=cursor))
                cursor = pages[-1].next_cursor
                if cursor is None:
                    return [page.items for page in pages]

        self.pair.read(read)

    @rule(prefix=PREFIX, query=st.none() | WORDS, where=METADATA_FILTERS, scope=SCOPE)
    def search(self, prefix: Any, query: Any, where: Any, scope: Any) -> None:
        """Words weigh differently in the engines, and equal scores are ordered by random ids."""

        def read(engine: Any) -> Any:
            matches = self.state(engine, scope).search(
                namespace_prefix=prefix, query=query, filter=where, top_k=99
            )
            return comparable(matches) if query is None else sorted(map(repr, comparable(matches)))

        self.pair.call(read)

    @rule(scope=SCOPE)
    def delete_expired(self, scope: Any) -> None:
        self.pair.call(lambda e: self.state(e, scope).delete_expired())

    @rule()
    def index(self) -> None:
        self.pair.call(lambda e: e.state.index_pending())

    @rule()
    def reindex(self) -> None:
        self.pair.call(lambda e: (e.state.reindex(), e.state.prepare_index()))

    @rule(resource=ELEMENTS)
    def erase(self, resource: str) -> None:
        def erase(engine: Any) -> Any:
            engine.state.index_pending()
            return engine.erase(resource_id=resource)

        self.pair.call(erase)

    @invariant()
    def all_items_agree(self) -> None:
        self.pair.read(lambda e: comparable(e.state.list_items(namespace_prefix=())))


@pytest.mark.django_db
def test_both_engines_keep_the_same_state() -> None:
    run_state_machine_as_test(
        Items, settings=settings(max_examples=60, stateful_step_count=25, **QUIET)
    )
