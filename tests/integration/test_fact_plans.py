"""Statements of facts read indexes, however many facts others have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from mastra_engine.backends.base.facts.claims import name_key
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.types import FactInput
from tests.integration.queries import counted_reads, explained, nodes_of

pytestmark = pytest.mark.django_db

OWNERS, EACH = 1_000, 20
TABLE = "mastra_engine_fact"
USER: dict[str, Any] = {"resource_id": "user 7"}
THEN = datetime(2025, 1, 1, tzinfo=UTC)

TEA, COFFEE = FactInput("Anna", "likes", "tea"), FactInput("Bob", "likes", "coffee")

_FILL = f"""
INSERT INTO {TABLE}
    (id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key, aliases,
     alias_keys, valid_from, ends, ends_known_at, created_at, confidence, pinned, many, is_indexed)
SELECT gen_random_uuid(), 'user ' || owner, 'Anna', 'likes', 'tea ' || i, md5('a' || owner)::uuid,
       md5('b')::uuid, md5(i::text)::uuid, '{{Annie}}', ARRAY[md5(owner || '.' || i)::uuid],
       '2020-01-01', '{{}}', '{{}}', '2020-01-01', 1, false, true, true
FROM generate_series(1, %s) AS owner, generate_series(1, %s) AS i
"""


@pytest.fixture
def facts(db: None) -> Facts:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLE} CASCADE")  # indexes without dead rows of other tests
        cursor.execute(_FILL, [OWNERS, EACH])
        cursor.execute(f"ANALYZE {TABLE}")
    return PostgresEngine().facts


CALLS: dict[str, Callable[[Facts], Any]] = {
    "current": lambda facts: facts.list_facts(**USER),
    "known then": lambda facts: facts.list_facts(**USER, known_at=THEN),
    "true then": lambda facts: facts.list_facts(**USER, valid_at=THEN),
    "all versions": lambda facts: facts.list_facts(**USER, include_superseded=True),
    "of a subject": lambda facts: facts.list_facts(**USER, subject="Anna"),
    "alias": lambda facts: facts.store.resolve("user 7", [name_key("user 7", "Annie")]),
    "remember": lambda facts: facts.remember(**USER, facts=[TEA, COFFEE]),
    "pending": lambda facts: facts.store.list_unindexed(None, limit=10),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_statement_scans_no_table(facts: Facts, call: Callable[[Facts], Any]) -> None:
    with explained(TABLE) as plans:
        call(facts)
    nodes = [node for plan in plans for node in nodes_of(plan)]
    assert any(node.get("Index Name", "").startswith(TABLE) for node in nodes)
    scanned = [node for node in nodes if node["Node Type"] == "Seq Scan"]
    assert [node["Relation Name"] for node in scanned if node["Relation Name"] == TABLE] == []


@pytest.mark.parametrize("when_planned", ["full", "empty"])
@pytest.mark.parametrize("new", [[TEA], [TEA, COFFEE]], ids=["alone", "together"])
def test_remembering_does_not_read_the_other_facts_of_a_resource(
    db: None, when_planned: str, new: list[FactInput]
) -> None:
    """The plans may have been made when the table was empty, and are kept until it is analyzed."""
    facts = PostgresEngine().facts
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {TABLE} CASCADE")
        cursor.execute(f"ANALYZE {TABLE}")
        if when_planned == "empty":
            for _ in range(10):
                facts.remember(resource_id="another", facts=new)
        cursor.execute(_FILL, [1, 3_000])
        if when_planned == "full":
            cursor.execute(f"ANALYZE {TABLE}")
    with counted_reads(TABLE) as reads:
        facts.remember(resource_id="user 1", facts=new)
        facts.remember(resource_id="user 1", facts=[replace(fact, object="water") for fact in new])
    assert reads() <= 10 * len(new)
