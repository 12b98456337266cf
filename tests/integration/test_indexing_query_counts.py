"""How many statements indexing and searching records take, however many records there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.registry import index_records, registry
from mastra_engine.testing.contract.recall import BagOfWords
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)

NAME = {"name": "Notes", "connection_id": "crm"}
FIND: dict[str, Any] = {"query": "note 1", "connection_id": "crm", "hybrid": False}


def notes(size: int, text: str = "note") -> list[dict[str, Any]]:
    return [
        {"external_id": f"{n:06}", "data": {"text": f"{text} {n}", "n": n}} for n in range(size)
    ]


@pytest.fixture
def engine(transactional_db: None) -> Iterator[PostgresEngine]:
    """An engine that indexes when told to, with 100 notes that it has indexed."""
    engine = PostgresEngine(embedder=BagOfWords())
    engine.record_search.indexes_at_once = False
    with registry.empty():
        index_records(entity="Notes", index="notes", text=lambda data: data["text"])
        engine.sync_records(**NAME, records=notes(100))
        engine.index_pending()
        yield engine


# What is behind, of all entities of a declared index, is one statement. Then, per page of changes:
# the index, the progress and what changed (two); per batch: the claim, the lock timeout, the
# progress's move, the old chunks and the new ones; at the end a look at what changed meanwhile.
COUNTS: list[tuple[str, str, int, int, dict[str, Any]]] = [
    ("index_pending", "nothing", 0, 1, {}),
    ("index_pending", "a batch", 100, 13, {}),
    ("index_pending", "two batches", 300, 21, {}),
    ("index_pending", "anew", 0, 19, {"rebuild": True}),
    # the entity, its index_progress, the index, the cost of the search and the search, the records;
    # and the query's words, and the search by words
    ("search_records", "", 0, 6, FIND),
    ("search_records", "hybrid", 0, 7, {**FIND, "hybrid": True}),
    ("search_records", "filtered", 0, 6, {**FIND, "filter": {"n": {"$lt": 50}}}),
    ("list_indexings", "", 0, 1, {}),
    ("prepare_indexes", "", 0, 4, {}),
]


@pytest.mark.parametrize(
    ("method", "changed", "number", "options"),
    [(method, *rest) for method, _, *rest in COUNTS],
    ids=[f"{method} {case}".strip() for method, case, *_ in COUNTS],
)
def test_a_method_sends_a_fixed_number_of_statements(
    engine: PostgresEngine, method: str, changed: int, number: int, options: dict[str, Any]
) -> None:
    engine.sync_records(**NAME, records=notes(changed, "another"))
    sent = statements(lambda: getattr(engine, method)(**options))
    assert len(sent) == number, "\n".join(sql[:150] for sql in sent)
