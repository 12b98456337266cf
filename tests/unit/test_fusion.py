"""Fusing and diversifying rankings, with NumPy and without."""

from __future__ import annotations

import random
import sys
from unittest.mock import Mock

import pytest

from mastra_engine.exceptions import InvalidInput
from mastra_engine.retrieval import fusion, rerankers
from mastra_engine.retrieval.fusion import maximal_marginal_relevance
from mastra_engine.types import Match


def matches(number: int, dimension: int) -> list[Match]:
    numbers = random.Random(7)
    return [
        Match(
            id=str(i),
            namespace="",
            document=None,
            metadata={},
            score=1 - i / number,
            vector=[numbers.gauss(0, 1) for _ in range(dimension)],
        )
        for i in range(number)
    ]


@pytest.mark.parametrize("relevance", [0.0, 0.3, 1.0])
def test_numpy_and_python_select_the_same(
    monkeypatch: pytest.MonkeyPatch, relevance: float
) -> None:
    candidates = matches(60, 8)
    by_numpy = maximal_marginal_relevance(candidates, top_k=20, relevance=relevance)
    monkeypatch.setitem(sys.modules, "numpy", None)
    by_python = maximal_marginal_relevance(candidates, top_k=20, relevance=relevance)
    assert [match.id for match in by_numpy] == [match.id for match in by_python]
    assert len({match.id for match in by_numpy}) == 20


def test_without_numpy_too_much_work_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(InvalidInput, match="install numpy") as caught:
        maximal_marginal_relevance(matches(1_000, 256), top_k=250, relevance=0.5)
    assert caught.value.path == "/mmr"


def test_with_numpy_many_long_vectors_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(fusion, "cosine")  # which would take minutes for all of them
    candidates = matches(1_000, 1_536)
    assert len(maximal_marginal_relevance(candidates, top_k=250, relevance=0.5)) == 250


def test_each_text_is_split_into_words_once(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Mock(wraps=rerankers._words)
    monkeypatch.setattr(rerankers, "_words", split)
    query = " ".join(f"w{i}" for i in range(20_000))
    texts = [f"w{i} " * 1_000 for i in range(1_000)]
    scores = rerankers.lexical_score(query, texts)
    assert split.call_count == 1 + len(texts)
    assert scores == pytest.approx([1 / 20_000] * 1_000, rel=0.2)
