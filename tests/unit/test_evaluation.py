"""The metrics of a search, on rankings that can be checked by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import log2
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine.exceptions import InvalidInput
from mastra_engine.retrieval.evaluation import bootstrap, compare, evaluate
from mastra_engine.types import Case, Evaluation

RANKINGS = {"one": ["a", "b", "c"], "two": ["x", "b", "a"], "three": ["x", "y", "z"]}
CASES = [
    Case(query="one", expected_ids=["a", "c"]),
    Case(query="two", expected_ids=["a"]),
    Case(query="three", expected_ids=["a", "b"]),
]


def search(query: str, *, top_k: int) -> list[str]:
    return RANKINGS[query][:top_k]


def values(evaluation: Evaluation) -> dict[str, float]:
    return {name: estimate.value for name, estimate in evaluation.metrics.items()}


def test_metrics_are_means_over_the_cases() -> None:
    evaluation = evaluate(CASES, search=search, k=(1, 3))
    gain = (1 + 1 / log2(4)) / (1 + 1 / log2(3))
    assert values(evaluation) == pytest.approx(
        {
            "recall@1": (1 / 2 + 0 + 0) / 3,
            "recall@3": (1 + 1 + 0) / 3,
            "mrr": (1 + 1 / 3 + 0) / 3,
            "ndcg@1": 1 / 3,
            "ndcg@3": (gain + 1 / log2(4) + 0) / 3,
        },
        abs=1e-12,
    )
    assert [result.ranks for result in evaluation.cases] == [
        {"a": 1, "c": 3},
        {"a": 3},
        {"a": None, "b": None},
    ]


def test_intervals_hold_the_mean_and_are_repeatable() -> None:
    one, again = (evaluate(CASES, search=search) for _ in range(2))
    assert one == again
    for estimate in one.metrics.values():
        assert estimate.low <= estimate.value <= estimate.high


def test_intervals_shrink_with_more_cases() -> None:
    few = bootstrap({"m": [0.0, 1.0] * 8})["m"]
    many = bootstrap({"m": [0.0, 1.0] * 128})["m"]
    assert (few.value, many.value) == (0.5, 0.5)
    # 1.96 standard errors of a fair coin
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.5 / 16, abs=0.03)
    assert few.high - few.low > 3 * (many.high - many.low)


@given(
    st.lists(st.sampled_from("abcdefgh"), unique=True),
    st.sets(st.sampled_from("abcdefgh"), min_size=1),
)
def test_a_perfect_ranking_is_one_and_others_are_less(
    ranking: list[str], expected: set[str]
) -> None:
    cases = [Case(query="q", expected_ids=sorted(expected))]
    best = sorted(expected) + [id for id in ranking if id not in expected]
    perfect = values(evaluate(cases, search=lambda query, top_k: best, k=[8]))
    other = values(evaluate(cases, search=lambda query, top_k: ranking, k=[8]))
    assert set(perfect.values()) == {1.0}
    assert all(0 <= other[name] <= 1 for name in other)


def test_an_id_counts_at_its_best_place() -> None:
    evaluation = evaluate(CASES[1:2], search=lambda query, top_k: ["x", "x", "a", "a"], k=[2])
    assert evaluation.cases[0].ranks == {"a": 2}


def test_matches_count_by_their_ids() -> None:
    message = SimpleNamespace(id="a")
    record = SimpleNamespace(id="other", record=SimpleNamespace(external_id="c"))
    evaluation = evaluate(CASES[:1], search=lambda query, top_k: [message, record], k=[2])
    assert evaluation.cases[0].ranks == {"a": 1, "c": 2}


def test_the_options_of_a_case_are_passed_on() -> None:
    calls: list[dict[str, Any]] = []

    def record(query: str, **options: Any) -> Sequence[str]:
        calls.append(options)
        return []

    cases: list[dict[str, Any]] = [
        {"query": "q", "expected_ids": ["a"], "filter": {"n": 1}, "resource_id": "r"},
        {"query": "q", "expected_ids": ["a"], "connection_id": "c"},
    ]
    evaluate(cases, search=record, k=[3, 7])
    assert calls == [
        {"top_k": 7, "filter": {"n": 1}, "resource_id": "r"},
        {"top_k": 7, "connection_id": "c"},
    ]


def test_cases_are_read_from_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text(
        '{"query": "one", "expected_ids": ["a"]}\n\n'
        + json.dumps({"query": "two", "expected_ids": ["b"]})
    )
    assert values(evaluate(path, search=search, k=[2])) == values(
        evaluate(str(path), search=search, k=[2])
    )
    assert len(evaluate(path, search=search).cases) == 2


GOOD: dict[str, Any] = {"query": "q", "expected_ids": ["a"]}


@pytest.mark.parametrize(
    ("cases", "path"),
    [
        ([], "/cases"),
        (
            [{"query": "q", "expected_ids": ["a"]}, {"query": "q", "expected_ids": []}],
            "/cases/1/expected_ids",
        ),
        ([{"query": "q"}], "/cases/0/expected_ids"),
        ([{"query": "q", "expected_ids": "a"}], "/cases/0/expected_ids"),
        ([{"expected_ids": ["a"]}], "/cases/0/query"),
        ([{**GOOD, "expected": 1}], "/cases/0"),
        (["q"], "/cases/0"),
        ("missing.jsonl", "/cases"),
    ],
)
def test_bad_cases_are_refused_before_any_search(cases: Any, path: str) -> None:
    def never(query: str, **options: Any) -> list[str]:
        raise AssertionError(query)

    with pytest.raises(InvalidInput) as caught:
        evaluate(cases, search=never)
    assert caught.value.path == path


@pytest.mark.parametrize(("k", "path"), [([], "/k"), ([1, 0], "/k/1"), (["5"], "/k/0")])
def test_bad_cutoffs_are_refused(k: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluate(CASES, search=search, k=k)
    assert caught.value.path == path


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_text('{"query": "one", "expected_ids": ["a"]}\n{"query": ')
    with pytest.raises(InvalidInput, match="line 2 is not JSON"):
        evaluate(path, search=search)


def test_a_comparison_is_paired() -> None:
    cases = [Case(query=str(i), expected_ids=["a"]) for i in range(40)]
    # Each search finds half of the cases, the better one ten more: unpaired intervals overlap.
    worse = evaluate(cases, search=lambda query, top_k: ["a"] * (int(query) % 2), k=[1])
    better = evaluate(
        cases, search=lambda query, top_k: ["a"] * (int(query) % 4 < 2 or int(query) % 2), k=[1]
    )
    difference = compare(better, worse)["recall@1"]
    assert difference.value == pytest.approx(0.25)
    assert difference.low > 0
    assert worse.metrics["recall@1"].high > better.metrics["recall@1"].low


def test_a_comparison_needs_the_same_cases_and_cutoffs() -> None:
    evaluation = evaluate(CASES, search=search)
    with pytest.raises(InvalidInput, match="same cases"):
        compare(evaluation, evaluate(CASES[:2], search=search))
    with pytest.raises(InvalidInput, match="same k"):
        compare(evaluation, evaluate(CASES, search=search, k=[3]))
