"""The retrieval benchmark's own arithmetic, on texts and rankings one can check by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.fusion import convex, min_max, reciprocal_ranks, share_of_best, z_scores
from benchmarks.retrieval import by_kind, differences
from benchmarks.retrieval_data import LabelledSet, Text
from benchmarks.retrieval_searches import HYBRID, OUTSIDE, VECTORS, OutsideSearch
from mastra_engine.retrieval.evaluation import evaluate
from mastra_engine.types import Case, Evaluation

CASES = [Case(query="one", expected_ids=("1",)), Case(query="two", expected_ids=("2",))]
TEXTS = [Text(id="1", text="the first"), Text(id="2", text="the second")]


def ranking(*ids: str) -> Evaluation:
    def search(query: str, *, top_k: int) -> Sequence[str]:
        return ids

    return evaluate(CASES, search=search, k=(5, 10))


def test_only_methods_that_were_measured_are_compared() -> None:
    measured = {VECTORS: ranking("2"), HYBRID: ranking("2", "1")}

    compared = differences(measured)

    assert list(compared) == [f"{HYBRID} - {VECTORS}"]
    assert compared[f"{HYBRID} - {VECTORS}"]["recall@5"].value == 0.5
    assert not differences({OUTSIDE: ranking("1")})


def test_kinds_of_questions_have_their_own_metrics() -> None:
    labelled = LabelledSet(name="two kinds", texts=TEXTS, cases={"a": CASES[:1], "b": CASES[1:]})

    metrics = by_kind(labelled, ranking("2"))

    assert {kind: of_kind["recall@5"].value for kind, of_kind in metrics.items()} == {
        "a": 0,
        "b": 1,
    }


def test_one_kind_is_not_reported_twice() -> None:
    labelled = LabelledSet(name="one kind", texts=TEXTS, cases={"questions": CASES})

    assert by_kind(labelled, ranking("2")) == {}


def test_bm25_outside_the_engine_searches_one_conversation_by_stems() -> None:
    texts = [
        Text(id="1", text="Bees live in the garden.", resource_id="a", thread_id="a1"),
        Text(id="2", text="The pension is paid in July.", resource_id="a", thread_id="a1"),
        Text(id="3", text="A bee stung me.", resource_id="b", thread_id="b1"),
    ]
    search = OutsideSearch(texts)

    assert search("What about the bee?", top_k=5, resource_id="a") == ["1"]
    assert search("pensions", top_k=5, resource_id="b") == []
    assert search("what is the", top_k=5, resource_id="a") == []


VECTOR_SCORES, WORD_SCORES = np.array([0.2, 0.6, -0.2]), np.array([4.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("norm", "normalized"),
    [
        (min_max, [0.5, 1, 0]),
        (share_of_best, [1 / 3, 1, 0]),
        (z_scores, [0, 1.5**0.5, -(1.5**0.5)]),
    ],
)
def test_scores_are_normalized(norm: object, normalized: list[float]) -> None:
    assert callable(norm)
    assert norm(VECTOR_SCORES) == pytest.approx(normalized)
    assert norm(np.zeros(3)) == pytest.approx([0, 0, 0])


def test_a_convex_fusion_weights_the_vectors() -> None:
    assert convex(min_max, 0.25)(VECTOR_SCORES, WORD_SCORES) == pytest.approx([0.875, 0.25, 0])


def test_reciprocal_ranks_ignore_texts_without_a_common_word() -> None:
    fused = reciprocal_ranks(VECTOR_SCORES, WORD_SCORES)

    assert fused == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 63])
