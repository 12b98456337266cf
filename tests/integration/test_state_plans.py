"""Statements of agent state read indexes, however many items others have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.state.store import StateSelection
from mastra_engine.backends.postgres import PostgresEngine
from tests.integration.queries import Plan, explained, nodes_of

pytestmark = pytest.mark.django_db

OWNERS, EACH = 400, 100
TABLE = "mastra_engine_stateitem"
#: Pages of 8 KiB that a call may read for each item, of several indexes.
PAGES = 30
USER: Any = ("user 7",)
ITEM: Any = {"namespace": ("user 7", "notes"), "key": "key 7"}

_FILL = f"""
INSERT INTO {TABLE} (id, namespace, key, value, version, is_pending, expires_at)
SELECT gen_random_uuid(), ARRAY['user ' || owner, CASE WHEN i < 50 THEN 'notes' ELSE 'prefs' END],
       'key ' || i, jsonb_build_object('n', i, 'text', repeat('word ', 20)), 1,
       owner = 7 AND i = 1, CASE WHEN i = 99 THEN now() + owner * interval '1 hour' END
FROM generate_series(1, %s) AS owner, generate_series(0, %s - 1) AS i
"""


def fill(owners: int) -> None:
    """Store the items of some resources alone. One item of them waits to be indexed."""
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLE}")  # indexes without the dead rows of other calls
        cursor.execute(_FILL, [owners, EACH])
        cursor.execute("SET LOCAL default_statistics_target = 1000")  # all rows, not a sample
        cursor.execute(f"ANALYZE {TABLE}")


@pytest.fixture
def state(db: None) -> State:
    """The state of many resources."""
    fill(OWNERS)
    return PostgresEngine().state


def batch(name: str, **arguments: Any) -> Callable[[State], Any]:
    places = [{**ITEM, "key": f"key {i}"} for i in range(50)]
    return lambda state: state.batch(operations=[{"op": name, **at, **arguments} for at in places])


#: Calls, with the number of items that each concerns at most.
CALLS: dict[str, tuple[int, Callable[[State], Any]]] = {
    "get": (1, lambda state: state.get(**ITEM)),
    "put": (1, lambda state: state.put(**ITEM, value={})),
    "put with a version": (1, lambda state: state.put(**ITEM, value={}, if_version=1)),
    "delete": (1, lambda state: state.delete(**ITEM)),
    "list of a resource": (100, lambda state: state.list_items(namespace_prefix=USER)),
    "list of a namespace": (50, lambda state: state.list_items(namespace_prefix=ITEM["namespace"])),
    "list of everything": (10, lambda state: state.list_items(namespace_prefix=(), limit=10)),
    "list of two resources": (
        200,
        lambda state: state.within(resource_ids=["user 7", "user 8"]).list_items(
            namespace_prefix=()
        ),
    ),
    "latest of a resource": (100, lambda state: state.search(namespace_prefix=USER)),
    "namespaces": (5, lambda state: state.list_namespaces(limit=5)),
    "namespaces of a resource": (2, lambda state: state.list_namespaces(prefix=USER)),
    "first elements": (5, lambda state: state.list_namespaces(max_depth=1, limit=5)),
    "expired": (1, lambda state: state.delete_expired()),
    "pending": (1, lambda state: state.store.list_unindexed(StateSelection(prefix=()), limit=10)),
    "gets": (50, batch("get")),
    "puts": (50, batch("put", value={})),
}


def pages_of(plan: Plan) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize(("items", "call"), CALLS.values(), ids=CALLS)
def test_a_call_reads_indexes(state: State, items: int, call: Callable[[State], Any]) -> None:
    with explained(TABLE) as plans:
        call(state)
    assert plans
    for plan in plans:
        scans = [node for node in nodes_of(plan) if node.get("Relation Name") == TABLE]
        assert {node["Node Type"] for node in scans} <= {
            *("Index Scan", "Index Only Scan", "Bitmap Heap Scan", "ModifyTable", "Tid Scan"),
        }, plan
        assert pages_of(plan) <= PAGES * items, plan


def pages_of_calls() -> dict[str, int]:
    """Return how many pages each of the calls reads. They change nothing."""
    state, pages = PostgresEngine().state, {}
    for name, (_, call) in CALLS.items():
        with transaction.atomic(), explained(TABLE) as plans:
            call(state)
            transaction.set_rollback(True)
        pages[name] = sum(map(pages_of, plans))
    return pages


def test_a_call_reads_as_many_pages_among_many_items_as_among_few(db: None) -> None:
    """More items add a level to an index, and one page for each item that is not beside others."""
    fill(OWNERS // 40)
    among_few = pages_of_calls()
    fill(OWNERS)
    among_many = pages_of_calls()
    for name, (items, _) in CALLS.items():
        assert among_many[name] <= 2 * among_few[name] + items, (name, among_few, among_many)
