"""The contract of agent state."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.state.service import State
from mastra_engine.exceptions import InvalidFilter, InvalidInput, NotFound, VersionConflict
from mastra_engine.testing.contract.page_sizes import documents, text
from mastra_engine.types import Erasure, StateItem

ANN: Any = ("ann", "prefs")
#: Elements that a pattern, or a prefix of text, would confuse with "a_b".
SIBLINGS = ["a", "a%b", "a-b", "a\\b", "a_", "a_b", "a_b\x01", "a_b c", "a_bc", "aXb", "é"]

BAD_NAMESPACES: list[tuple[Any, str]] = [
    ("ann", ""),
    (None, ""),
    ((), ""),
    ({"ann"}, ""),
    (("ann", ""), "/1"),
    (("ann", 1), "/1"),
    (("ann", "a\0b"), "/1"),
    (("ann", "\ud800"), "/1"),
    (("x" * 513,), "/0"),
    (("a",) * 17, ""),
    (("é" * 250,) * 4, ""),
]


class WithState:
    """Tests of agent state."""

    @pytest.fixture
    def state(self, engine: MastraEngine) -> State:
        return engine.state

    def fill(self, state: State, *places: tuple[Any, str], **value: Any) -> None:
        for namespace, key in places:
            state.put(namespace=namespace, key=key, value=value)


def keys(items: Any) -> list[str]:
    """Return the keys of items or of matches."""
    return [getattr(item, "item", item).key for item in items]


class TestState(WithState):
    def test_an_item_is_stored_and_read(self, state: State) -> None:
        assert state.get(namespace=ANN, key="ui") is None
        before = datetime.now(UTC) - timedelta(minutes=1)
        item = state.put(namespace=list(ANN), key="ui", value={"theme": "dark", "n": [1, 2.5]})
        assert item == StateItem(
            namespace=("ann", "prefs"),
            key="ui",
            value={"theme": "dark", "n": [1, 2.5]},
            version=1,
            created_at=item.created_at,
            updated_at=item.created_at,
            expires_at=None,
        )
        assert item.created_at > before
        assert state.get(namespace=ANN, key="ui") == item
        assert state.get(namespace=("ann",), key="ui") is None
        assert state.get(namespace=ANN, key="UI") is None

    def test_a_put_replaces_the_value_and_counts_versions(self, state: State) -> None:
        first = state.put(namespace=ANN, key="ui", value={"a": 1, "b": 2})
        second = state.put(namespace=ANN, key="ui", value={"a": 3})
        assert (second.value, second.version) == ({"a": 3}, 2)
        assert second.created_at == first.created_at
        assert second.updated_at >= first.updated_at
        assert state.get(namespace=ANN, key="ui") == second

    def test_a_deletion_says_whether_there_was_an_item(self, state: State) -> None:
        state.put(namespace=ANN, key="ui", value={})
        assert state.delete(namespace=ANN, key="ui") is True
        assert state.get(namespace=ANN, key="ui") is None
        assert state.list_items(namespace_prefix=()).items == []
        assert state.list_namespaces().items == []
        assert state.delete(namespace=ANN, key="ui") is False
        assert state.delete(namespace=ANN, key="other") is False

    def test_versions_go_on_after_a_deletion(self, state: State) -> None:
        old = state.put(namespace=ANN, key="ui", value={})
        state.delete(namespace=ANN, key="ui")
        new = state.put(namespace=ANN, key="ui", value={"new": True})
        assert new.version == old.version + 1
        assert new.created_at == new.updated_at >= old.updated_at
        with pytest.raises(VersionConflict):
            state.put(namespace=ANN, key="ui", value={}, if_version=old.version)
        with pytest.raises(VersionConflict):
            state.delete(namespace=ANN, key="ui", if_version=old.version)
        assert state.put(namespace=ANN, key="other", value={}).version == 1

    def test_a_put_may_require_a_version(self, state: State) -> None:
        def put(if_version: int) -> int:
            return state.put(namespace=ANN, key="ui", value={}, if_version=if_version).version

        with pytest.raises(VersionConflict) as caught:
            put(1)
        assert (caught.value.expected, caught.value.current) == (1, 0)
        assert put(0) == 1
        for version in (0, 2):
            with pytest.raises(VersionConflict) as caught:
                put(version)
            assert (caught.value.expected, caught.value.current) == (version, 1)
        assert put(1) == 2
        state.delete(namespace=ANN, key="ui")
        with pytest.raises(VersionConflict):
            put(2)
        assert put(0) == 3

    def test_a_deletion_may_require_a_version(self, state: State) -> None:
        assert state.delete(namespace=ANN, key="ui", if_version=0) is False
        with pytest.raises(VersionConflict):
            state.delete(namespace=ANN, key="ui", if_version=1)
        state.put(namespace=ANN, key="ui", value={})
        for version in (0, 2):
            with pytest.raises(VersionConflict):
                state.delete(namespace=ANN, key="ui", if_version=version)
        assert state.delete(namespace=ANN, key="ui", if_version=1) is True

    # Expiry

    def test_an_item_expires(self, state: State) -> None:
        item = state.put(namespace=ANN, key="ui", value={"a": "tea"}, expires_in=0.05)
        assert item.expires_at is not None
        assert item.expires_at > item.updated_at
        self.fill(state, (ANN, "stays"), a="tea")
        time.sleep(0.1)
        assert state.get(namespace=ANN, key="ui") is None
        assert keys(state.list_items(namespace_prefix=ANN)) == ["stays"]
        assert keys(state.search(namespace_prefix=ANN)) == ["stays"]
        assert keys(state.search(namespace_prefix=ANN, query="tea")) == ["stays"]
        assert state.delete(namespace=ANN, key="ui") is False
        again = state.put(namespace=ANN, key="ui", value={}, if_version=0)
        assert again.version == 2
        assert again.created_at > item.created_at

    def test_a_put_without_a_lifetime_clears_the_expiry(self, state: State) -> None:
        put = state.put(namespace=ANN, key="ui", value={}, expires_in=timedelta(hours=1))
        assert put.expires_at is not None
        assert timedelta(minutes=59) < put.expires_at - put.updated_at < timedelta(minutes=61)
        assert state.get(namespace=ANN, key="ui") == put
        assert state.put(namespace=ANN, key="ui", value={}).expires_at is None

    def test_a_renewed_item_lives_as_long_again(self, state: State) -> None:
        put = state.put(namespace=ANN, key="ui", value={"a": "tea"}, expires_in=60)
        time.sleep(0.01)
        assert state.renew(namespace=ANN, key="ui") is True
        item = state.get(namespace=ANN, key="ui")
        assert item is not None
        assert put.expires_at is not None
        assert item.expires_at is not None
        assert item == replace(put, expires_at=item.expires_at)
        assert timedelta(0) < item.expires_at - put.expires_at < timedelta(seconds=30)

    def test_items_that_do_not_expire_are_not_renewed(self, state: State) -> None:
        state.put(namespace=ANN, key="gone", value={}, expires_in=0.001)
        state.put(namespace=ANN, key="deleted", value={}, expires_in=60)
        state.put(namespace=ANN, key="stays", value={}, expires_in=60)
        state.put(namespace=ANN, key="stays", value={})
        state.delete(namespace=ANN, key="deleted")
        time.sleep(0.01)
        for key in ("gone", "deleted", "stays", "missing"):
            assert state.renew(namespace=ANN, key=key) is False
        assert keys(state.list_items(namespace_prefix=ANN)) == ["stays"]

    def test_expired_items_are_deleted_on_request(self, state: State) -> None:
        for number in range(3):
            state.put(namespace=ANN, key=str(number), value={"a": "tea"}, expires_in=0.3)
        state.put(namespace=ANN, key="later", value={"a": "tea"}, expires_in=60)
        state.index_pending()
        time.sleep(0.4)
        assert state.delete_expired() == 3
        assert state.delete_expired() == 0
        assert keys(state.list_items(namespace_prefix=())) == ["later"]
        assert state.put(namespace=ANN, key="0", value={}).version == 2
        assert state.vectors.describe_index(index_name="state").count == 1

    # Lists

    def test_items_are_listed_by_namespace_and_key(self, state: State) -> None:
        self.fill(state, (("b",), "1"), (("a", "b"), "1"), (("a",), "é"), (("a",), "B"))
        self.fill(state, (("a",), "a"), (("a", "a", "c"), "9"))
        expected = [
            (("a",), "B"),
            (("a",), "a"),
            (("a",), "é"),
            (("a", "a", "c"), "9"),
            (("a", "b"), "1"),
            (("b",), "1"),
        ]
        items = state.list_items(namespace_prefix=())
        assert [(item.namespace, item.key) for item in items] == expected
        read, cursor = [], None
        while True:
            page = state.list_items(namespace_prefix=["a"], limit=2, cursor=cursor)
            read += [(item.namespace, item.key) for item in page]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert read == expected[:5]

    @pytest.mark.parametrize("element", SIBLINGS)
    def test_a_prefix_matches_whole_elements(self, state: State, element: str) -> None:
        for sibling in SIBLINGS:
            self.fill(state, (("t", sibling), "k"), (("t", sibling, "x"), "k"), a="tea")
        under = [("t", element), ("t", element, "x")]
        prefix = ("t", element)
        items = state.list_items(namespace_prefix=prefix)
        assert [item.namespace for item in items] == under
        latest = state.search(namespace_prefix=prefix, top_k=99)
        assert sorted(match.item.namespace for match in latest) == under
        matches = state.search(namespace_prefix=prefix, query="tea", top_k=99)
        assert sorted(match.item.namespace for match in matches) == under
        assert state.list_namespaces(prefix=prefix).items == under

    def test_values_are_filtered(self, state: State) -> None:
        for number in (2, 9, 10, 100):
            self.fill(state, (ANN, str(number)), score=number, tags=["x", str(number)])
        self.fill(state, (ANN, "text"), score="10")
        above: Any = {"score": {"$gte": 10}}
        assert keys(state.list_items(namespace_prefix=ANN, filter=above)) == ["10", "100"]
        assert keys(state.search(namespace_prefix=ANN, filter=above)) == ["100", "10"]
        tagged = [{"field": "tags", "operator": "contains", "value": "9"}]
        assert keys(state.list_items(namespace_prefix=(), filter=tagged)) == ["9"]
        page = state.list_items(namespace_prefix=ANN, filter=above, limit=1)
        more = state.list_items(namespace_prefix=ANN, filter=above, cursor=page.next_cursor)
        assert keys(page) + keys(more) == ["10", "100"]
        for method in (state.list_items, state.search):
            with pytest.raises(InvalidFilter):
                method(namespace_prefix=ANN, filter={"score": {"$regex": "1"}})

    @documents
    def test_a_page_ends_with_the_item_that_fills_it(self, state: State, data: Any) -> None:
        for number in range(4):
            state.put(namespace=ANN, key=str(number), value=data, index=False)
        page = state.list_items(namespace_prefix=())
        assert keys(page) == ["0", "1", "2"]
        assert keys(state.list_items(namespace_prefix=(), cursor=page.next_cursor)) == ["3"]
        assert keys(state.search(namespace_prefix=())) == ["3", "2", "1"]

    # Namespaces

    def test_namespaces_are_listed_once_in_order(self, state: State) -> None:
        self.fill(state, (("b", "x"), "1"), (("a", "x"), "1"), (("a",), "1"), (("a", "x"), "2"))
        self.fill(state, (("c", "x"), "1"))
        state.delete(namespace=("c", "x"), key="1")
        assert state.list_namespaces().items == [("a",), ("a", "x"), ("b", "x")]
        assert state.list_namespaces(max_depth=1).items == [("a",), ("b",)]

    def test_namespaces_are_matched_by_their_beginning_and_end(self, state: State) -> None:
        spaces: list[Any] = [
            ("a", "1", "x"),
            ("a", "1", "y"),
            ("a", "2", "x"),
            ("ab", "1", "x"),
            ("b", "1"),
            ("b", "1", "x", "z"),
        ]
        self.fill(state, *[(space, "k") for space in spaces])

        def listed(**arguments: Any) -> list[tuple[str, ...]]:
            return state.list_namespaces(**arguments).items

        assert listed(prefix=("a",)) == spaces[:3]
        assert listed(prefix=("a", "1")) == spaces[:2]
        assert listed(prefix=("*", "1")) == [*spaces[:2], *spaces[3:]]
        assert listed(prefix=("*", "*", "x")) == [spaces[0], spaces[2], spaces[3], spaces[5]]
        assert listed(suffix=("x",)) == [spaces[0], spaces[2], spaces[3]]
        assert listed(suffix=("1", "*")) == [spaces[0], spaces[1], spaces[3]]
        assert listed(prefix=("a", "*"), suffix=("x",)) == [spaces[0], spaces[2]]
        assert listed(suffix=("x",), max_depth=1) == [("a",), ("ab",)]
        assert listed(prefix=("*",), max_depth=2) == [
            ("a", "1"),
            ("a", "2"),
            ("ab", "1"),
            ("b", "1"),
        ]
        assert listed(prefix=("a", "1", "x", "*")) == []

    @pytest.mark.parametrize("max_depth", [None, 1, 2, 3])
    def test_namespaces_are_paged(self, state: State, max_depth: Any) -> None:
        spaces = [
            (a, b, c)[:depth] for a in "ab" for b in "xy" for c in "12" for depth in (1, 2, 3)
        ]
        self.fill(state, *[(space, "k") for space in spaces])
        read, cursor = [], None
        while True:
            page = state.list_namespaces(max_depth=max_depth, limit=2, cursor=cursor)
            read += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        assert read == sorted({space[:max_depth] for space in spaces})

    # Arguments

    @pytest.mark.parametrize(("namespace", "place"), BAD_NAMESPACES, ids=repr)
    def test_invalid_namespaces_are_refused(self, state: State, namespace: Any, place: str) -> None:
        at: dict[str, Any] = {"namespace": namespace, "key": "k"}
        calls: list[Any] = [
            lambda: state.put(**at, value={}),
            lambda: state.get(**at),
            lambda: state.delete(**at),
        ]
        for call in calls:
            with pytest.raises(InvalidInput) as caught:
                call()
            assert caught.value.path == f"/namespace{place}"
        if namespace == ():
            return
        for method in (state.list_items, state.search):
            with pytest.raises(InvalidInput) as caught:
                method(namespace_prefix=namespace)
            assert caught.value.path == f"/namespace_prefix{place}"
        if namespace is not None:
            for argument in ("prefix", "suffix"):
                with pytest.raises(InvalidInput) as caught:
                    state.list_namespaces(**{argument: namespace})
                assert caught.value.path == f"/{argument}{place}"

    def test_the_longest_namespace_and_key_are_stored(self, state: State) -> None:
        long = tuple(text(240) for _ in range(8)), text(512)
        wide = tuple("é" * 60 for _ in range(16)), "é" * 256
        for namespace, key in (long, wide):
            state.put(namespace=namespace, key=key, value={"a": "tea"})
            assert state.get(namespace=namespace, key=key) is not None
            assert keys(state.search(namespace_prefix=namespace, query="tea")) == [key]

    @pytest.mark.parametrize(
        ("arguments", "path"),
        [
            ({"key": ""}, "/key"),
            ({"key": None}, "/key"),
            ({"key": "a\0"}, "/key"),
            ({"value": None}, "/value"),
            ({"value": [1]}, "/value"),
            ({"value": "text"}, "/value"),
            ({"value": {"a": {"b": object()}}}, "/value/a/b"),
            ({"value": {"a": "\0"}}, "/value/a"),
            ({"value": {"a": "x" * 17_000_000}}, "/value"),
            ({"if_version": -1}, "/if_version"),
            ({"if_version": True}, "/if_version"),
            ({"if_version": "1"}, "/if_version"),
            ({"expires_in": 0}, "/expires_in"),
            ({"expires_in": -1}, "/expires_in"),
            ({"expires_in": timedelta(0)}, "/expires_in"),
            ({"expires_in": float("nan")}, "/expires_in"),
            ({"expires_in": 1e12}, "/expires_in"),
            ({"expires_in": "1"}, "/expires_in"),
            ({"index": True}, "/index"),
            ({"index": "a"}, "/index"),
            ({"index": [1]}, "/index/0"),
            ({"index": ["a", ""]}, "/index/1"),
            ({"index": ["a", "b..c"]}, "/index/1"),
            ({"index": ["a["]}, "/index/0"),
            ({"index": ["a[b]"]}, "/index/0"),
            ({"index": ["a"] * 101}, "/index"),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_invalid_arguments_are_refused(
        self, state: State, arguments: dict[str, Any], path: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            state.put(**{"namespace": ANN, "key": "k", "value": {}, **arguments})
        assert caught.value.path == path
        assert state.list_items(namespace_prefix=()).items == []

    def test_a_cyclic_value_is_refused(self, state: State) -> None:
        cyclic: dict[str, Any] = {}
        cyclic["self"] = cyclic
        with pytest.raises(InvalidInput):
            state.put(namespace=ANN, key="k", value=cyclic)

    @pytest.mark.parametrize("cursor", ["", "x", "é", 1, "W10"])
    def test_a_cursor_of_another_query_is_refused(self, state: State, cursor: Any) -> None:
        self.fill(state, (("a",), "1"), (("a",), "2"))
        items = state.list_items(namespace_prefix=("a",), limit=1).next_cursor
        for wrong in (cursor, items):
            for call in (
                state.list_namespaces,
                lambda **c: state.list_items(namespace_prefix=(), **c),
            ):
                with pytest.raises(InvalidInput) as caught:
                    call(cursor=wrong)
                assert caught.value.path == "/cursor"

    # Scope and erasure

    def test_erasing_a_resource_erases_its_state(self, engine: MastraEngine) -> None:
        state = engine.state
        self.fill(state, (("ann",), "1"), (("ann", "x"), "2"), (("anna",), "3"), a="tea")
        state.put(namespace=("ann",), key="expired", value={}, expires_in=0.001)
        state.delete(namespace=("ann",), key="1")
        state.search(namespace_prefix=(), query="tea")
        time.sleep(0.01)
        expected = Erasure(state_items=2, vectors=1)
        assert engine.erase(resource_id="ann", dry_run=True) == expected
        assert engine.erase(resource_id="ann") == expected
        assert engine.erase(resource_id="ann") == Erasure()
        assert keys(state.list_items(namespace_prefix=())) == ["3"]
        assert keys(state.search(namespace_prefix=(), query="tea")) == ["3"]
        assert engine.erase(namespace="anna", dry_run=True) == Erasure()
        assert state.put(namespace=("ann",), key="1", value={}).version == 1

    def test_a_scope_hides_the_state_of_others(self, engine: MastraEngine) -> None:
        self.fill(engine.state, (("ann", "x"), "1"), (("bob",), "2"), (("eve",), "3"), a="tea")
        state = engine.within(resource_ids=["ann", "eve"]).state
        assert keys(state.list_items(namespace_prefix=())) == ["1", "3"]
        assert keys(state.search(namespace_prefix=())) == ["3", "1"]
        assert sorted(keys(state.search(namespace_prefix=(), query="tea"))) == ["1", "3"]
        assert state.list_namespaces().items == [("ann", "x"), ("eve",)]
        assert state.list_namespaces(prefix=("*",), max_depth=1).items == [("ann",), ("eve",)]
        with pytest.raises(NotFound):
            state.within(resource_ids=["bob"]).get(namespace=("ann",), key="1")
        nothing = engine.within(resource_ids=[]).state
        assert nothing.list_items(namespace_prefix=()).items == []
        assert nothing.search(namespace_prefix=(), query="tea") == []
        assert nothing.list_namespaces().items == []

    def test_the_state_of_another_resource_is_not_found(self, engine: MastraEngine) -> None:
        self.fill(engine.state, (("bob",), "k"), a="tea")
        state = engine.within(resource_ids=["ann", "bo"]).state
        bob: Any = {"namespace": ("bob",), "key": "k"}
        operations: list[dict[str, Any]] = [
            {"op": "put", "namespace": ("ann",), "key": "k", "value": {}},
            {"op": "get", **bob},
        ]
        calls: list[Any] = [
            lambda: state.put(**bob, value={}),
            lambda: state.get(**bob),
            lambda: state.delete(**bob),
            lambda: state.renew(**bob),
            lambda: state.list_items(namespace_prefix=("bob",)),
            lambda: state.search(namespace_prefix=("bob", "x"), query="tea"),
            lambda: state.list_namespaces(prefix=("bob", "*")),
            lambda: state.batch(operations=operations),
        ]
        for call in calls:
            with pytest.raises(NotFound) as caught:
                call()
            assert str(caught.value) == 'Resource "bob" does not exist'
        assert keys(engine.state.list_items(namespace_prefix=())) == ["k"]

    def test_expired_items_are_deleted_in_a_scope(self, engine: MastraEngine) -> None:
        for resource in ("ann", "bob"):
            engine.state.put(namespace=(resource,), key="k", value={}, expires_in=0.001)
        time.sleep(0.01)
        assert engine.within(resource_ids=["ann"]).state.delete_expired() == 1
        assert engine.state.delete_expired() == 1
