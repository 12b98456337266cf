"""What is read by key, in order or by a rare value is found by an index, among 100,000 records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.types import Entity, Filter, QueryOptions, Sort
from tests.integration.queries import explained, nodes_of

pytestmark = pytest.mark.django_db

SIZE = 100_000
NAME = {"entity_name": "Orders", "connection_id": "shop"}
BY_ID, BY_REV = "mastra_engine_record_external_id", "mastra_engine_record_rev"
BY_DATA = "mastra_engine_record_data"


def orders() -> Iterator[dict[str, Any]]:
    for number in range(SIZE):
        yield {
            "external_id": f"{number:06}",
            "data": {
                "number": number,
                "customer": {"code": f"C{number // 5}", "city": f"City {number % 50}"},
                "status": "open" if number % 1_000 == 0 else "done",
                "note": f"{number} was ordered " * 8,
            },
        }


@pytest.fixture(scope="module")
def entity(django_db_setup: None, django_db_blocker: Any) -> Iterator[Entity]:
    """An entity with all the records, committed once for the whole module."""
    with django_db_blocker.unblock():
        engine = PostgresEngine()
        created = engine.sync_records(name="Orders", connection_id="shop", records=orders()).entity
        with connection.cursor() as cursor:
            # As autovacuum does: what the index on documents has yet to take in makes it look dear.
            cursor.execute("VACUUM (ANALYZE) mastra_engine_record, mastra_engine_entity")
    yield created
    with django_db_blocker.unblock():
        engine.delete_entity_by_id(id=created.id)


def plan(call: Callable[[], Any]) -> list[dict[str, Any]]:
    """Return the plan of the one statement in which a call reads records."""
    with explained("FROM mastra_engine_record") as plans:
        call()
    (root,) = plans
    nodes = list(nodes_of(root))
    scanned = {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}
    assert "mastra_engine_record" not in scanned
    return nodes


def index_conditions(nodes: list[dict[str, Any]]) -> dict[str, str]:
    """Return what each index is asked for."""
    return {
        node["Index Name"]: node.get("Index Cond", "") for node in nodes if "Index Name" in node
    }


def kinds(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Node Type"] for node in nodes}


def test_a_record_is_found_by_its_external_id(engine: PostgresEngine, entity: Entity) -> None:
    nodes = plan(lambda: engine.get_record(entity_id=entity.id, external_id="054321"))
    assert "external_id = '054321'" in index_conditions(nodes)[BY_ID]


def test_the_first_page_is_read_in_the_indexs_order(engine: PostgresEngine, entity: Entity) -> None:
    nodes = plan(lambda: engine.get_records(**NAME, options=QueryOptions(limit=50)))
    assert BY_ID in index_conditions(nodes)
    assert "Sort" not in kinds(nodes)


def test_a_deep_page_begins_where_the_one_before_ended(
    engine: PostgresEngine, entity: Entity
) -> None:
    half = engine.get_records(**NAME, options=QueryOptions(limit=SIZE // 2))
    options = QueryOptions(limit=50, cursor=half.next_cursor)
    nodes = plan(lambda: engine.get_records(**NAME, options=options))
    # Were it a filter, everything before the page would be read too.
    assert "external_id > '049999'" in index_conditions(nodes)[BY_ID]
    assert "Sort" not in kinds(nodes)


@pytest.mark.parametrize("after", [0, SIZE // 2, SIZE - 10])
def test_the_change_feed_is_read_in_the_indexs_order(
    engine: PostgresEngine, entity: Entity, after: int
) -> None:
    nodes = plan(lambda: engine.get_changes(entity_id=entity.id, after=after))
    assert f"rev > {after}" in index_conditions(nodes)[BY_REV]
    assert "Sort" not in kinds(nodes)


@pytest.mark.parametrize("limit", [None, 10], ids=["all", "a page"])
@pytest.mark.parametrize(
    "filters",
    [
        [Filter("customer.code", "eq", "C4242")],
        {"customer.code": "C4242"},
        {"customer.code": {"$in": ["C4242", "C17"]}, "number": {"$gte": 100}},
        [Filter("number", "eq", 4_242)],
        {"customer.0.code": "C4242"},
    ],
    ids=["list form", "mongo form", "one of several, and more", "a number", "a position"],
)
def test_a_rare_value_is_found_by_the_index_on_documents(
    engine: PostgresEngine, entity: Entity, filters: Any, limit: int | None
) -> None:
    options = QueryOptions(filters=filters, limit=limit)
    nodes = plan(lambda: engine.get_records(**NAME, options=options))
    assert BY_DATA in index_conditions(nodes)


def test_a_rare_value_is_found_by_the_index_on_documents_whatever_the_order(
    engine: PostgresEngine, entity: Entity
) -> None:
    options = QueryOptions(
        filters={"customer.code": "C4242"}, sort=[Sort("number", "desc")], limit=10
    )
    nodes = plan(lambda: engine.get_records(**NAME, options=options))
    assert BY_DATA in index_conditions(nodes)
