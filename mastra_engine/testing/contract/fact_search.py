"""Facts that a search by meaning and by words finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mastra_engine import MastraEngine
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.exceptions import IndexNotFound, InvalidInput, InvalidVector, NotFound
from mastra_engine.testing.contract.embedders import EMBEDDERS
from mastra_engine.testing.contract.fact_sources import save_messages
from mastra_engine.testing.contract.facts import DAY, day
from mastra_engine.testing.contract.recall import BagOfWords, Broken
from mastra_engine.testing.contract.sync_runs import Held
from mastra_engine.types import Erasure, FactInput, FactMatch

PETS = [
    FactInput("Anna", "has a dog", "Bello"),
    FactInput("Anna", "has a cat", "Mia", confidence=0.5),
]


def objects(matches: Sequence[FactMatch]) -> list[str]:
    return [match.fact.object for match in matches]


def with_word(facts: Facts, word: str, **criteria: Any) -> list[str]:
    """Return the objects of the facts that have a word."""
    matches = facts.search(query=word, resource_id="user", **criteria)
    return [match.fact.object for match in matches if match.lexical]


class TestFactSearch:
    @pytest.fixture(params=EMBEDDERS)
    def facts(self, engine: MastraEngine, request: pytest.FixtureRequest) -> Facts:
        """Facts about pets, with an embedder and without one."""
        engine.vectors.embedder = EMBEDDERS[request.param]
        engine.facts.remember(resource_id="user", facts=PETS)
        return engine.facts

    def test_facts_are_found_by_their_words(self, facts: Facts) -> None:
        best, *_ = facts.search(query="Bello", resource_id="user")
        assert best == FactMatch(
            fact=best.fact, score=best.score, similarity=best.similarity, lexical=best.lexical
        )
        assert best.fact == facts.get_fact(id=best.fact.id)
        assert best.fact.object == "Bello"
        assert best.lexical > 0
        assert objects(facts.search(query="cat", resource_id="user", top_k=1)) == ["Mia"]
        assert facts.search(query="Bello", resource_id="other") == []

    def test_without_an_embedder_only_words_are_found(self, engine: MastraEngine) -> None:
        assert engine.facts.search(query="Bello", resource_id="user") == []
        engine.facts.remember(resource_id="user", facts=PETS)
        (match,) = engine.facts.search(query="Bello", resource_id="user")
        assert match.similarity is None
        assert engine.facts.search(query="hamster", resource_id="user") == []
        with pytest.raises(InvalidInput) as caught:
            engine.facts.search(query="Bello", resource_id="user", min_score=0.5)
        assert caught.value.path == "/min_score"

    def test_with_an_embedder_similar_facts_are_found(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.facts.remember(resource_id="user", facts=PETS)
        search: dict[str, Any] = {"query": "dog Bello", "resource_id": "user"}
        matches = engine.facts.search(**search)
        assert objects(matches) == ["Bello", "Mia"]
        best = matches[0].similarity
        assert best is not None
        assert objects(engine.facts.search(**search, min_score=best - 1e-6)) == ["Bello"]

    def test_the_current_facts_are_found(self, facts: Facts) -> None:
        (old,) = facts.remember(
            resource_id="user", facts=[FactInput("Anna", "lives in", "Hamburg", valid_from=day(0))]
        )
        facts.remember(
            resource_id="user", facts=[FactInput("Anna", "lives in", "Berlin", valid_from=day(5))]
        )
        assert with_word(facts, "lives") == ["Berlin"]
        assert with_word(facts, "lives", valid_at=day(1)) == ["Hamburg"]
        assert with_word(facts, "lives", known_at=old.created_at) == ["Hamburg"]
        assert with_word(facts, "lives", known_at=old.created_at - DAY) == []

    def test_a_filter_applies_to_the_parts_of_a_fact(self, facts: Facts) -> None:
        assert with_word(facts, "Anna", filter={"confidence": {"$lt": 1}}) == ["Mia"]

    def test_a_fact_is_found_by_an_alias(self, facts: Facts) -> None:
        assert with_word(facts, "Annie") == []
        fact = FactInput("Anna", "has a dog", "Bello", aliases=["Annie"])
        facts.remember(resource_id="user", facts=[fact])
        assert with_word(facts, "Annie") == ["Bello"]

    def test_a_vector_goes_with_its_fact(self, engine: MastraEngine, facts: Facts) -> None:
        (message,) = save_messages(engine, "I got a fish")
        fact = FactInput("Anna", "has a fish", "Nemo", sources=[{"message_id": message}])
        facts.remember(resource_id="user", facts=[fact])
        assert with_word(facts, "Nemo") == ["Nemo"]
        assert engine.vectors.describe_index(index_name="facts").count == 3
        engine.memory.delete_messages(ids=[message])
        assert engine.vectors.describe_index(index_name="facts").count == 2
        (bello, *_) = facts.search(query="Bello", resource_id="user")
        facts.forget(id=bello.fact.id)
        assert engine.vectors.describe_index(index_name="facts").count == 1
        assert engine.erase(namespace="user") == Erasure()
        assert engine.erase(resource_id="user").vectors >= 1
        assert engine.vectors.describe_index(index_name="facts").count == 0

    def test_facts_wait_for_an_embedder_that_fails(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = Broken()
        engine.facts.remember(resource_id="user", facts=PETS)
        with pytest.raises(ConnectionError):
            engine.facts.index_pending()
        engine.vectors.embedder = BagOfWords()
        assert engine.within(resource_ids=["other"]).facts.index_pending() == 0
        assert engine.within(resource_ids=["user"]).facts.index_pending() == 2
        assert engine.facts.index_pending() == 0

    def test_a_queue_has_workers_index_facts(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.queue = queue = Held()
        engine.facts.remember(resource_id="user", facts=PETS)
        # Within a test's transaction nothing is sent.
        assert queue.facts_indexed in (["user"], [])
        with pytest.raises(IndexNotFound):
            engine.vectors.describe_index(index_name="facts")
        assert objects(engine.facts.search(query="Bello", resource_id="user", top_k=1)) == ["Bello"]

    def test_all_facts_are_indexed_again_for_another_model(self, engine: MastraEngine) -> None:
        class Other(BagOfWords):
            dimension = 64

        engine.vectors.embedder = BagOfWords()
        engine.facts.remember(resource_id="user", facts=PETS)
        engine.facts.index_pending()  # Within a test's transaction nothing was.
        index = engine.facts.prepare_index()
        assert index is not None
        engine.vectors.embedder = Other()
        assert with_word(engine.facts, "Bello") == ["Bello"]
        with pytest.raises(InvalidVector, match=r"facts\.reindex\(\)"):
            engine.facts.prepare_index()
        assert engine.facts.reindex() == 2
        changed = engine.facts.prepare_index()
        assert changed is not None
        assert (changed.count, changed.dimension) == (2, 64)
        engine.vectors.embedder = None
        assert engine.facts.prepare_index() is None

    def test_async_variants_do_the_same(self, engine: MastraEngine) -> None:
        async def work() -> list[str]:
            (fact, _) = await engine.facts.aremember(resource_id="user", facts=PETS)
            assert list(await engine.facts.alist_facts(resource_id="user", limit=1)) == [fact]
            await engine.facts.aretract(id=fact.id)
            assert await engine.facts.ahistory(id=fact.id) == [
                await engine.facts.aget_fact(id=fact.id)
            ]
            assert await engine.facts.asources(id=fact.id) == []
            assert await engine.facts.aforget(id=fact.id) == 1
            return objects(await engine.facts.asearch(query="Anna", resource_id="user"))

        assert async_to_sync(work)() == ["Mia"]

    def test_a_search_stays_in_the_scope(self, engine: MastraEngine, facts: Facts) -> None:
        scoped = engine.within(resource_ids=["other"])
        with pytest.raises(NotFound, match='Resource "user" does not exist'):
            scoped.facts.search(query="Bello", resource_id="user")

    @pytest.mark.parametrize(
        ("argument", "value"),
        [
            ("query", 1),
            ("query", "x" * 100_001),
            ("resource_id", ""),
            ("valid_at", "now"),
            ("known_at", 1),
            ("top_k", 0),
            ("min_score", "high"),
            ("filter", 1),
        ],
    )
    def test_an_invalid_argument_is_named(
        self, engine: MastraEngine, argument: str, value: Any
    ) -> None:
        arguments = {"query": "Bello", "resource_id": "user", argument: value}
        with pytest.raises(InvalidInput) as caught:
            engine.facts.search(**arguments)
        assert caught.value.path == f"/{argument}"
