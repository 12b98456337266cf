"""How every engine measures its searches."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import InvalidInput
from mastra_engine.testing.contract.recall import BagOfWords
from mastra_engine.types import Case, Estimate, Match

DOCUMENTS = {"a": "red apple", "b": "green pear", "c": "yellow banana"}


class TestEvaluation:
    @pytest.fixture(autouse=True)
    def _documents(self, engine: MastraEngine) -> None:
        engine.vectors.embedder = BagOfWords()
        engine.vectors.create_index(index_name="docs", dimension=BagOfWords.dimension)
        engine.vectors.upsert(
            index_name="docs",
            ids=list(DOCUMENTS),
            documents=list(DOCUMENTS.values()),
            metadata=[{"length": len(text)} for text in DOCUMENTS.values()],
        )

    def search(self, engine: MastraEngine, query: str, **options: Any) -> list[Match]:
        return engine.vectors.query(index_name="docs", query_text=query, **options)

    def test_a_search_that_finds_each_document_first_is_perfect(self, engine: MastraEngine) -> None:
        cases = [Case(query=text, expected_ids=[id]) for id, text in DOCUMENTS.items()]
        evaluation = engine.evaluate(cases, search=lambda q, **o: self.search(engine, q, **o))
        perfect = Estimate(value=1.0, low=1.0, high=1.0)
        assert set(evaluation.metrics.values()) == {perfect}
        assert [result.ranks for result in evaluation.cases] == [{"a": 1}, {"b": 1}, {"c": 1}]

    def test_a_case_can_have_a_filter(self, engine: MastraEngine) -> None:
        cases = [{"query": "red apple", "expected_ids": ["a", "c"], "filter": {"length": 13}}]
        evaluation = engine.evaluate(cases, search=lambda q, **o: self.search(engine, q, **o))
        assert evaluation.cases[0].ranks == {"a": None, "c": 1}
        assert evaluation.metrics["recall@1"].value == 0.5

    def test_messages_and_records_count_by_their_ids(self, engine: MastraEngine) -> None:
        (message, _) = engine.memory.save_memory(
            thread_id="chat",
            resource_id="ann",
            messages=[
                {"role": "user", "content": "red apple"},
                {"role": "user", "content": "green pear"},
            ],
        )
        cases = [Case(query="red apple", expected_ids=[message.id], resource_id="ann")]
        evaluation = engine.evaluate(
            cases,
            search=lambda q, **o: engine.memory.recall(query=q, message_range=(0, 0), **o),
            k=[1],
        )
        assert evaluation.metrics["recall@1"].value == 1.0

    def test_cases_without_expected_ids_are_refused(self, engine: MastraEngine) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.evaluate([{"query": "q", "expected_ids": []}], search=lambda q, top_k: [])
        assert caught.value.path == "/cases/0/expected_ids"

    @pytest.mark.parametrize("cases", [7, None, b"cases.jsonl", {"query": "q"}])
    def test_cases_that_are_not_a_list_are_refused(self, engine: MastraEngine, cases: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.evaluate(cases, search=lambda q, top_k: [])
        assert caught.value.path == "/cases"
