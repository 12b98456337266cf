"""The metrics of the retrieval benchmark, on rankings one can check by hand."""

from __future__ import annotations

import pytest

from benchmarks.retrieval import (
    COLLECTIONS,
    corpus,
    distinct,
    first_rank,
    found,
    margin,
    reciprocal,
)


def test_a_topic_counts_once_where_its_first_passage_stood() -> None:
    assert distinct(["try", "raise", "try", "with", "raise"]) == ["try", "raise", "with"]


@pytest.mark.parametrize(
    ("ranking", "wanted", "rank"),
    [
        (["try", "raise", "with"], ["try"], 1),
        (["try", "raise", "with"], ["with", "raise"], 2),
        (["try", "raise"], ["lambda"], None),
        ([], ["try"], None),
    ],
)
def test_the_first_right_topic_gives_the_rank(
    ranking: list[str], wanted: list[str], rank: int | None
) -> None:
    assert first_rank(ranking, wanted) == rank


@pytest.mark.parametrize(("rank", "value"), [(1, 1), (5, 1), (6, 0), (None, 0)])
def test_found_is_all_or_nothing(rank: int | None, value: float) -> None:
    assert found(rank, at=5) == value


@pytest.mark.parametrize(("rank", "value"), [(1, 1), (4, 0.25), (10, 0.1), (11, 0), (None, 0)])
def test_the_reciprocal_rank_ends_at_the_limit(rank: int | None, value: float) -> None:
    assert reciprocal(rank, at=10) == value


def test_the_margin_shrinks_with_more_questions() -> None:
    assert margin([0, 1] * 8) == pytest.approx(0.253, abs=0.001)
    assert margin([0, 1] * 32) == pytest.approx(0.123, abs=0.001)


def test_topics_that_join_others_are_not_searched() -> None:
    assert COLLECTIONS.isdisjoint(corpus())
    assert "try" in corpus()
