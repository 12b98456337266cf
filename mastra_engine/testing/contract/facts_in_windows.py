"""Facts in context windows and in views of memory."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import InvalidInput
from mastra_engine.testing.contract.fact_sources import save_messages
from mastra_engine.testing.contract.facts import day, remember
from mastra_engine.types import FactInput
from mastra_engine.validation.sizes import MAX_PAGE_BYTES

TOLD = "Known facts:\nAnna lives in Berlin\nAnna speaks German\nAnna likes tea"


class TestFactsInWindows:
    @pytest.fixture(autouse=True)
    def _stored(self, engine: MastraEngine) -> None:
        """Store a thread of the user and facts about the user, one of them pinned."""
        save_messages(engine, "Hello", "Where do I live?")
        remember(engine, "tea", predicate="likes")
        remember(engine, "Hamburg", valid_from=day(0), pinned=True)
        remember(engine, "Berlin", valid_from=day(5), pinned=True)
        remember(engine, "German", predicate="speaks", many=True)
        other = {"subject": "Bob", "predicate": "likes", "object": "milk"}
        engine.facts.remember(resource_id="other", facts=[other])

    def window(self, engine: MastraEngine, **arguments: Any) -> Any:
        return engine.memory.get_context_window(thread_id="t", facts=True, **arguments)

    def test_the_leading_system_message_tells_current_facts(self, engine: MastraEngine) -> None:
        window = self.window(engine)
        assert [fact.object for fact in window.facts] == ["Berlin", "German", "tea"]
        first, *others = window
        assert (first.role, first.content[0]["text"]) == ("system", TOLD)
        assert [message.content[0]["text"] for message in others] == ["Hello", "Where do I live?"]
        assert window.tokens == sum(message.tokens for message in window)

    def test_facts_follow_the_system_text(self, engine: MastraEngine) -> None:
        first, *_ = self.window(engine, system="Be brief.", format="openai")
        assert first == {"role": "system", "content": f"Be brief.\n\n{TOLD}"}
        assert (
            self.window(engine, system="Be brief.", format="anthropic").system == first["content"]
        )

    def test_facts_take_at_most_half_of_the_tokens(self, engine: MastraEngine) -> None:
        counts = set()
        for budget in range(80):
            window = self.window(engine, max_tokens=budget)
            counts.add(len(window.facts))
            if window.facts:
                assert window[0].tokens <= budget // 2
                assert window.facts[0].object == "Berlin"
            assert window.tokens <= budget
        assert counts == {0, 1, 2, 3}

    def test_facts_are_told_on_request_only(self, engine: MastraEngine) -> None:
        window = engine.memory.get_context_window(thread_id="t")
        assert (len(window), window.facts) == (2, [])
        assert engine.memory.get_memory(thread_id="t").facts == []
        for method in ("get_memory", "get_context_window"):
            with pytest.raises(InvalidInput) as caught:
                getattr(engine.memory, method)(thread_id="t", facts="yes")
            assert caught.value.path == "/facts"

    def test_a_view_has_the_current_facts(self, engine: MastraEngine) -> None:
        view = engine.within(resource_ids=["user"]).memory.get_memory(thread_id="t", facts=True)
        assert [fact.object for fact in view.facts] == ["Berlin", "German", "tea"]

    def test_at_most_a_thousand_facts_are_told(self, engine: MastraEngine) -> None:
        facts = [FactInput("Ann", "likes", f"tea {number}", many=True) for number in range(1_000)]
        engine.facts.remember(resource_id="user", facts=facts)
        told = engine.memory.get_memory(thread_id="t", facts=True).facts
        assert [fact.object for fact in told[:2]] == ["Berlin", "tea 999"]
        assert len(told) == 1_000

    def test_facts_end_with_the_one_that_fills_a_page(self, engine: MastraEngine) -> None:
        texts = [f"{number}" + "x" * 16_000 for number in range(600)]
        facts = [FactInput("Ann", "wrote", text, many=True) for text in texts]
        engine.facts.remember(resource_id="user", facts=facts)
        told = engine.memory.get_memory(thread_id="t", facts=True).facts
        sizes = [sum(map(len, (f.subject, f.predicate, f.object, *f.aliases))) for f in told]
        assert sum(sizes[:-1]) < MAX_PAGE_BYTES <= sum(sizes)

    def test_without_facts_nothing_is_told(self, engine: MastraEngine) -> None:
        save_messages(engine, "Hello", thread_id="u", resource_id="third")
        window = engine.memory.get_context_window(thread_id="u", facts=True)
        assert (len(window), window.facts) == (1, [])
