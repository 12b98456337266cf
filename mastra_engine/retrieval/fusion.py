"""Fusing several rankings into one, and diversifying a ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mastra_engine.types import Match

#: The constant from the paper, which found that it works for different collections.
RRF_K = 60


def reciprocal_rank_fusion(*rankings: Sequence[Match]) -> list[Match]:
    """Merge rankings; the score of a match is the sum of 1 / (60 + its rank), ranks from 1.

    The sum is divided by its maximum, so that a match that is first in every ranking scores 1. Ties
    are ordered by id, then namespace. Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion
    outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
    """
    scores: dict[tuple[str, str], float] = {}
    matches: dict[tuple[str, str], Match] = {}
    for ranking in rankings:
        for rank, match in enumerate(ranking, start=1):
            key = (match.id, match.namespace)
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + rank)
            matches.setdefault(key, match)
    best = len(rankings) / (RRF_K + 1)
    ordered = sorted(scores, key=lambda key: (-scores[key], key))
    return [replace(matches[key], score=scores[key] / best) for key in ordered]


def maximal_marginal_relevance(
    matches: Sequence[Match], *, top_k: int, relevance: float
) -> list[Match]:
    """Select `top_k` matches that have high scores and differ from those selected before.

    Each step takes the match with the largest relevance * score - (1 - relevance) * similarity,
    where similarity is the largest cosine similarity to a selected match; `relevance` is 0 to 1.
    The matches must have their vectors. Carbonell and Goldstein, "The Use of MMR, Diversity-Based
    Reranking", SIGIR 1998.
    """
    left = list(matches)
    likeness = [-1.0] * len(left)  # the least there is: the first is chosen by its score alone
    chosen: list[Match] = []
    while left and len(chosen) < top_k:
        gains = [
            relevance * match.score - (1 - relevance) * alike
            for match, alike in zip(left, likeness, strict=True)
        ]
        best = gains.index(max(gains))
        match = left.pop(best)
        del likeness[best]
        likeness = [
            max(alike, cosine(match.vector or (), other.vector or ()))
            for alike, other in zip(likeness, left, strict=True)
        ]
        chosen.append(match)
    return chosen


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors, 0 where one of them is zero."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / norms if norms else 0.0
