"""Fusing several rankings into one, and diversifying a ranking."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Match

#: The constant from the paper, which found that it works for different collections.
RRF_K = 60
#: Multiplications that maximal marginal relevance may take in Python: about five seconds.
_MAX_PRODUCTS = 50_000_000


def fused_scores(
    similarities: Sequence[float | None], lexical: Sequence[float], *, weight: float
) -> list[float]:
    """Return a score from 0 to 1 for each candidate of a hybrid search.

    Similarities and BM25 scores have different scales, which depend on the embedder and the query.
    So both are standardized over the candidates: how many standard deviations they are above the
    mean. The score is the logistic function of the sum, in which similarities have `weight` and
    BM25 scores 1 - `weight`. Without similarities BM25 scores alone count. J. A. Shaw and E. A.
    Fox, "Combination of Multiple Searches", TREC-2, 1994, introduced the sum of scores.
    """
    by_words = _standardized(lexical)
    if None in similarities:
        weight, by_vectors = 0.0, [0.0] * len(by_words)
    else:
        by_vectors = _standardized([score for score in similarities if score is not None])
    return [
        1 / (1 + math.exp(-(weight * vector + (1 - weight) * word)))
        for vector, word in zip(by_vectors, by_words, strict=True)
    ]


def _standardized(scores: Sequence[float]) -> list[float]:
    if not scores:
        return []
    mean = math.fsum(scores) / len(scores)
    distances = [score - mean for score in scores]
    deviation = math.sqrt(math.fsum(distance * distance for distance in distances) / len(scores))
    # Scores that are all alike differ by rounding errors, which must not decide.
    if deviation <= 1e-9 * max(map(abs, scores)):
        return [0.0] * len(scores)
    return [distance / deviation for distance in distances]


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
    if not matches:
        return []
    cosines = _cosines_to([match.vector or () for match in matches], selected=top_k)
    candidates = list(range(len(matches)))
    # -1 is the lowest similarity, so the score alone decides which match is selected first.
    similarity = [-1.0] * len(matches)
    selected: list[Match] = []
    while candidates and len(selected) < top_k:
        best = max(
            candidates,
            key=lambda i: (relevance * matches[i].score - (1 - relevance) * similarity[i], -i),
        )
        candidates.remove(best)
        selected.append(matches[best])
        similarity = list(map(max, similarity, cosines(best)))
    return selected


def _cosines_to(
    vectors: Sequence[Sequence[float]], *, selected: int
) -> Callable[[int], Sequence[float]]:
    """Return a function of one vector's index that returns its similarities to all vectors.

    Raises InvalidInput if NumPy is not installed and Python alone would take too long for that
    many selected vectors.
    """
    try:
        import numpy as np
    except ImportError:
        products = len(vectors) * min(selected, len(vectors)) * len(vectors[0])
        if products > _MAX_PRODUCTS:
            message = (
                f"is too expensive without NumPy for {len(vectors)} candidates; install numpy, "
                "or request fewer results"
            )
            raise InvalidInput(message, path="/mmr") from None
        return lambda i: [cosine(vectors[i], other) for other in vectors]
    rows = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return lambda i: (unit @ unit[i]).tolist()


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors, 0 where one of them is zero."""
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / norms if norms else 0.0
