"""Consolidating facts: similar ones are found, and merged if a judge takes them for the same."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import InvalidInput, NotFound
from mastra_engine.testing.contract.fact_sources import save_messages
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.types import Fact, FactInput, FactSource

LIVES = FactInput("Anna", "lives in", "Berlin")
RESIDES = FactInput("Anna", "resides in", "Berlin")
LIKES = FactInput("Bob", "likes", "tea")
SIMILAR: dict[str, Any] = {"resource_id": "user", "min_score": 0.7}


def always(fact: Fact, duplicate: Fact) -> bool:
    return True


def remember(engine: MastraEngine, *facts: FactInput, resource_id: str = "user") -> list[Fact]:
    return engine.facts.remember(resource_id=resource_id, facts=facts)


def current(engine: MastraEngine) -> list[str]:
    return [fact.predicate for fact in engine.facts.list_facts(resource_id="user")]


class TestFactConsolidation:
    @pytest.fixture(autouse=True)
    def _embedding(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()

    def test_without_a_judge_similar_facts_are_reported(self, engine: MastraEngine) -> None:
        lives, _, resides = remember(engine, LIVES, LIKES, RESIDES)
        remember(engine, RESIDES, resource_id="other")
        (pair,) = engine.facts.consolidate(**SIMILAR)
        assert (pair.fact, pair.duplicate, pair.merged) == (lives, resides, False)
        assert pair.similarity == pytest.approx(0.75)
        assert engine.facts.consolidate(resource_id="user", min_score=0.8) == []
        assert current(engine) == ["lives in", "likes", "resides in"]

    def test_a_judge_merges_facts_that_state_the_same(self, engine: MastraEngine) -> None:
        first, second = save_messages(engine, "I live in Berlin", "I reside there")
        said = FactInput("Anna", "lives in", "Berlin", sources=[FactSource(first)])
        quoted = FactSource(second, quote="reside there")
        again = FactInput("Anna", "resides in", "Berlin", sources=[quoted], pinned=True)
        lives, resides = remember(engine, said, again)
        judged = []

        def judge(fact: Fact, duplicate: Fact) -> bool:
            judged.append((fact, duplicate))
            return True

        (pair,) = engine.facts.consolidate(**SIMILAR, judge=judge)
        assert judged == [(lives, resides)]
        assert pair.merged
        assert (pair.fact, pair.duplicate) == (
            engine.facts.get_fact(id=lives.id),
            engine.facts.get_fact(id=resides.id),
        )
        assert pair.fact.pinned
        assert pair.duplicate.retracted_at is not None
        assert pair.duplicate.reason == f"Duplicate of the fact {lives.id}"
        assert engine.facts.sources(id=lives.id) == [FactSource(first), quoted]
        assert current(engine) == ["lives in"]
        assert engine.facts.consolidate(**SIMILAR, judge=judge) == []
        engine.memory.delete_messages(ids=[first])
        assert current(engine) == ["lives in"]

    def test_a_judge_may_find_that_facts_differ(self, engine: MastraEngine) -> None:
        remember(engine, LIVES, RESIDES)
        (pair,) = engine.facts.consolidate(**SIMILAR, judge=lambda fact, duplicate: False)
        assert not pair.merged
        assert len(current(engine)) == 2

    def test_a_fact_without_sources_does_not_go_with_those_of_its_duplicate(
        self, engine: MastraEngine
    ) -> None:
        (message,) = save_messages(engine, "I live in Berlin")
        said = FactInput("Anna", "lives in", "Berlin", sources=[FactSource(message)])
        _, resides = remember(engine, said, RESIDES)
        (pair,) = engine.facts.consolidate(**SIMILAR, judge=always)
        assert pair.fact == resides
        engine.memory.delete_messages(ids=[message])
        assert current(engine) == ["resides in"]

    def test_several_duplicates_are_merged_into_one_fact(self, engine: MastraEngine) -> None:
        dwells = FactInput("Anna", "dwells in", "Berlin")
        remember(engine, LIVES, RESIDES, dwells)
        pairs = engine.facts.consolidate(**SIMILAR, judge=always)
        assert [pair.merged for pair in pairs] == [True, True]
        assert len(current(engine)) == 1

    def test_facts_that_changed_meanwhile_are_not_merged(self, engine: MastraEngine) -> None:
        lives, resides = remember(engine, LIVES, RESIDES)

        def judge(fact: Fact, duplicate: Fact) -> bool:
            engine.facts.retract(id=lives.id)
            return True

        (pair,) = engine.facts.consolidate(**SIMILAR, judge=judge)
        assert not pair.merged
        assert engine.facts.get_fact(id=resides.id) == resides

    def test_an_error_of_the_judge_passes_through(self, engine: MastraEngine) -> None:
        def judge(fact: Fact, duplicate: Fact) -> bool:
            raise ConnectionError

        remember(engine, LIVES, RESIDES)
        with pytest.raises(ConnectionError):
            engine.facts.consolidate(**SIMILAR, judge=judge)
        assert len(current(engine)) == 2

    def test_a_limited_number_of_facts_is_compared(self, engine: MastraEngine) -> None:
        remember(engine, LIVES, RESIDES, LIKES)
        assert engine.facts.consolidate(**SIMILAR, limit=1) == []
        assert len(engine.facts.consolidate(**SIMILAR, limit=2)) == 1

    def test_it_needs_an_embedder(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = None
        with pytest.raises(InvalidInput, match="needs an embedder"):
            engine.facts.consolidate(resource_id="user")

    @pytest.mark.parametrize(
        ("arguments", "path"),
        [
            ({"resource_id": ""}, "/resource_id"),
            ({"min_score": 1.1}, "/min_score"),
            ({"min_score": "high"}, "/min_score"),
            ({"limit": 0}, "/limit"),
            ({"limit": 1_001}, "/limit"),
            ({"judge": lambda fact, duplicate: "yes"}, "/judge"),
        ],
    )
    def test_an_invalid_argument_is_named(
        self, engine: MastraEngine, arguments: dict[str, Any], path: str
    ) -> None:
        remember(engine, LIVES, RESIDES)
        with pytest.raises(InvalidInput) as caught:
            engine.facts.consolidate(**{**SIMILAR, **arguments})
        assert caught.value.path == path

    def test_a_resource_outside_the_scope_is_not_found(self, engine: MastraEngine) -> None:
        remember(engine, LIVES, RESIDES)
        with pytest.raises(NotFound, match='Resource "user" does not exist'):
            engine.within(resource_ids=["other"]).facts.consolidate(**SIMILAR)
        assert len(engine.within(resource_ids=["user"]).facts.consolidate(**SIMILAR)) == 1
