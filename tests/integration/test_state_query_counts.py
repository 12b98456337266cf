"""How many statements each method of agent state sends, however many items there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.postgres import PostgresEngine
from tests.concurrency.memory_work import Letters
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)

Call = Callable[[State], Any]

SIZE = 40
ANN: Any = ("ann", "notes")


def put(key: Any, **arguments: Any) -> dict[str, Any]:
    return {"op": "put", "namespace": ANN, "key": str(key), "value": {"a": "tea"}, **arguments}


def of_key(name: str, key: Any, **arguments: Any) -> dict[str, Any]:
    return {"op": name, "namespace": ANN, "key": str(key), **arguments}


@pytest.fixture
def state(transactional_db: None) -> State:
    """State of words only, with many items that are indexed."""
    state = PostgresEngine().state
    state.batch(operations=[put(number) for number in range(SIZE)])
    state.index_pending()
    return state


def batch(*operations: dict[str, Any]) -> Call:
    return lambda state: state.batch(operations=operations)


def waiting(call: Call) -> Call:
    """Do it while as many items wait to be indexed."""

    def wait(state: State) -> Any:
        state.store.mark_all_unindexed()
        return call(state)

    return wait


def expired(state: State) -> Any:
    state.batch(operations=[put(number, expires_in=1e-6) for number in range(SIZE)])
    return state


# A transaction of the engine's own begins with its lock timeout.
COUNTS: list[tuple[str, str, int, Call]] = [
    ("put", "", 1, lambda state: state.put(namespace=ANN, key="1", value={})),
    ("put", "new", 1, lambda state: state.put(namespace=ANN, key="new", value={})),
    ("put", "version", 1, lambda state: state.put(namespace=ANN, key="1", value={}, if_version=1)),
    (
        "put",
        "not indexed",
        1,
        lambda state: state.put(namespace=ANN, key="1", value={}, index=False),
    ),
    ("get", "", 1, lambda state: state.get(namespace=ANN, key="1")),
    ("renew", "", 1, lambda state: state.renew(namespace=ANN, key="1")),
    # the lock timeout, the row, the index and the vector
    ("delete", "", 4, lambda state: state.delete(namespace=ANN, key="1")),
    ("delete", "none", 2, lambda state: state.delete(namespace=ANN, key="new")),
    ("list_items", "", 1, lambda state: state.list_items(namespace_prefix=())),
    ("list_namespaces", "", 1, lambda state: state.list_namespaces(suffix=["notes"])),
    ("search", "no query", 1, lambda state: state.search(namespace_prefix=())),
    # those that wait, statistics of words, the query as the index has it, the search, the items
    ("search", "words", 5, lambda state: state.search(namespace_prefix=("ann",), query="tea")),
    ("batch", "nothing", 1, batch()),
    ("batch", "gets", 2, batch(*(of_key("get", number) for number in range(100)))),
    ("batch", "renewals", 2, batch(*(of_key("renew", number) for number in range(100)))),
    ("batch", "puts", 2, batch(*(put(number) for number in range(100)))),
    ("batch", "puts of versions", 2, batch(*(put(number, if_version=1) for number in range(SIZE)))),
    ("batch", "deletes", 4, batch(*(of_key("delete", number) for number in range(100)))),
    (
        "batch",
        "of each kind",
        6,
        batch(
            *(of_key("get", number) for number in range(30)),
            *(put(number) for number in range(20, 60)),
            *(of_key("delete", number) for number in range(10)),
            {"op": "list_items", "namespace_prefix": ANN},
        ),
    ),
    # beside the first, which makes items wait: those that do, and in a transaction the lock
    # timeout, their rows and, as of any vectors, five for those
    ("index_pending", "", 9, waiting(lambda state: state.index_pending())),
    ("index_pending", "nothing", 1, lambda state: state.index_pending()),
    ("prepare_index", "no embedder", 0, lambda state: state.prepare_index()),
    ("delete_expired", "nothing", 2, lambda state: state.delete_expired()),
    # beside those of the batch: the lock timeout, the rows, the index and the vectors
    ("delete_expired", "", 6, lambda state: expired(state).delete_expired()),
]


@pytest.mark.parametrize(
    ("number", "call"),
    [(number, call) for _, _, number, call in COUNTS],
    ids=[f"{method} {case}".strip() for method, case, _, _ in COUNTS],
)
def test_a_method_sends_a_fixed_number_of_statements(state: State, number: int, call: Call) -> None:
    sent = statements(lambda: call(state))
    assert len(sent) == number, "\n".join(sql[:100] for sql in sent)


def test_every_method_of_state_is_counted() -> None:
    methods = {name for name in dir(State) if f"a{name}" in dir(State)} - {"reindex"}
    assert methods == {method for method, *_ in COUNTS}


def test_a_put_with_an_embedder_stores_the_vector_after_the_commit(transactional_db: None) -> None:
    state = PostgresEngine(embedder=Letters()).state
    state.put(namespace=ANN, key="first", value={"a": "tea"})
    # the item, those that wait, and in a transaction the lock timeout, the row and the vector
    sent = statements(lambda: state.put(namespace=ANN, key="new", value={"a": "tea"}))
    assert len(sent) == 5, "\n".join(sql[:100] for sql in sent)
