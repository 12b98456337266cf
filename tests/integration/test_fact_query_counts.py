"""How many statements each method of facts sends, however many facts there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.testing.contract.fact_extraction import Scripted
from mastra_engine.types import Fact, FactChange, FactInput, FactSource, Retraction
from tests.integration.queries import statements

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 40
USER: dict[str, Any] = {"resource_id": "user"}
MANY = [FactInput("Anna", "likes", f"tea {number}", many=True) for number in range(SIZE)]
OTHER, ALIAS = FactInput("Carl", "is", "old"), FactInput("Charly", "is", "old")
OTHERS = [replace(fact, subject="Bob") for fact in MANY]

KNOWN = FactInput("Carl", "is", "young", aliases=["Charly"])

# A transaction of the engine's own begins with its lock timeout.
COUNTS: list[tuple[str, str, int, Callable[[Facts, Fact], Any]]] = [
    ("remember", "", 1, lambda f, _: f.remember(**USER, facts=[FactInput("Bob", "is", "old")])),
    ("remember", "superseding", 1, lambda f, _: f.remember(**USER, facts=[OTHER])),
    # the refusal of an alias, the lock of the resource, aliases, versions, the write
    ("remember", "an alias", 6, lambda f, _: f.remember(**USER, facts=[ALIAS])),
    ("remember", "many", 5, lambda f, _: f.remember(**USER, facts=OTHERS)),
    ("remember", "known ones", 4, lambda f, _: f.remember(**USER, facts=MANY)),
    (
        "remember",
        "a source",
        1,
        lambda f, _: f.remember(
            **USER, facts=[FactInput("Bob", "is", "old", sources=[FactSource("m")])]
        ),
    ),
    ("list_facts", "", 1, lambda f, _: f.list_facts(**USER)),
    ("list_facts", "known", 1, lambda f, fact: f.list_facts(**USER, known_at=fact.created_at)),
    ("list_facts", "subject", 2, lambda f, _: f.list_facts(**USER, subject="Anna")),
    ("get_fact", "", 1, lambda f, fact: f.get_fact(id=fact.id)),
    ("history", "", 2, lambda f, fact: f.history(id=fact.id)),
    ("sources", "", 2, lambda f, fact: f.sources(id=fact.id)),
    # the new reading, its messages, the known facts, the claim; the locks of the resource and of
    # the messages, the move of the reading; the reading again, without messages, and its thread
    ("extract", "nothing", 12, lambda f, _: extract(f)),
    # besides it: the sources, aliases, versions, the write
    ("extract", "a fact", 16, lambda f, _: extract(f, FactInput("Bob", "is", "old"))),
    ("extract", "many", 16, lambda f, _: extract(f, *OTHERS)),
    # besides it: aliases, versions, the write
    ("extract", "a retraction", 15, lambda f, _: extract(f, Retraction("Anna", "likes"))),
    # the fact, the lock of the resource and of the version, the write
    ("retract", "", 5, lambda f, fact: f.retract(id=fact.id)),
    # the fact, the lock, the fact again and its versions, the deletion
    ("forget", "", 6, lambda f, fact: f.forget(id=fact.id)),
]


def extract(facts: Facts, *answer: FactInput | Retraction) -> list[FactChange]:
    facts.extraction.extractor = Scripted(lambda _: list(answer))
    return facts.extract(thread_id="t")


@pytest.mark.parametrize(
    ("method", "case", "count", "call"), COUNTS, ids=[f"{row[0]} {row[1]}" for row in COUNTS]
)
def test_a_method_sends_a_fixed_number_of_statements(
    method: str, case: str, count: int, call: Callable[[Facts, Fact], Any]
) -> None:
    engine = PostgresEngine()
    message = {"id": "m", "role": "user", "content": "x"}
    engine.memory.save_memory(thread_id="t", resource_id="user", messages=[message])
    fact, *_ = engine.facts.remember(**USER, facts=[*MANY, KNOWN])
    sent = statements(lambda: call(engine.facts, fact))
    assert len(sent) == count, sent


def test_an_export_reads_a_page_of_facts_with_their_sources() -> None:
    engine = PostgresEngine()
    message = {"id": "m", "role": "user", "content": "x"}
    engine.memory.save_memory(thread_id="t", resource_id="user", messages=[message])
    facts = [replace(fact, sources=[FactSource("m")]) for fact in MANY]

    def read() -> set[str]:
        return set(engine.export_resource(resource_id="user"))

    engine.facts.remember(**USER, facts=facts[:1])
    of_one = statements(read)
    engine.facts.remember(**USER, facts=facts)
    assert len(statements(read)) == len(of_one)
    assert sum('"sources":[{"message_id":"m"' in line for line in read()) == SIZE
