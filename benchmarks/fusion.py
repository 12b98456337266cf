"""Fusion of vectors and BM25 outside of the engine: which weights hold for all kinds of text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from benchmarks import retrieval
from benchmarks.harness import progress, table
from benchmarks.retrieval_data import Half, LabelledSet, Text
from benchmarks.retrieval_searches import BagOfWords

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

POOL = 100
WEIGHTS = (0.3, 0.4, 0.5, 0.6, 0.7)
#: The share of its neighbours' scores that a message gets, by words and by vectors.
NEIGHBOURS = ((0.3, 0.0), (0.4, 0.0), (0.5, 0.0), (0.4, 0.2), (0.4, 0.4))
METRICS = ("recall@5", "recall@10", "mrr")
#: Takes the vectors' and the lexical scores of the candidates and returns the fused ones.
Fusion = Callable[["Scores", "Scores"], "Scores"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    retrieval.add_arguments(parser)
    parser.set_defaults(half="dev")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    sets = retrieval.labelled_sets(options.chunk_size, options.locomo)
    figures = {labelled.name: _measure(labelled, options.half) for labelled in sets}
    methods = dict.fromkeys(name for of_set in figures.values() for name in of_set)
    rows = [
        (name, *(_text(of_set.get(name) or {}) for of_set in figures.values())) for name in methods
    ]
    title = f"{', '.join(METRICS)} of the half {options.half!r}"
    return table(title, ["", *figures], rows), {"benchmark": "fusion", "sets": figures}


def _text(metrics: dict[str, float]) -> str:
    return " ".join(f"{metrics[metric]:.3f}" for metric in METRICS) if metrics else "-"


# Measuring


def _measure(labelled: LabelledSet, half: Half) -> dict[str, dict[str, float]]:
    from mastra_engine.retrieval.evaluation import evaluate

    progress(f"fusion: {labelled.name}")
    groups = {
        owner: Candidates(list(texts))
        for owner, texts in groupby(labelled.texts, key=lambda text: text.resource_id)
    }
    cases = [case for of_kind in labelled.half(half).values() for case in of_kind]
    figures = {}
    for name, (fusion, words, vectors) in methods(threaded=None not in groups).items():

        def search(
            query: str,
            *,
            top_k: int,
            resource_id: str | None = None,
            method: Any = (fusion, words, vectors),
        ) -> Sequence[str]:
            return groups[resource_id].search(query, *method)

        evaluation = evaluate(cases, search=search, k=retrieval.CUTOFFS)
        figures[name] = {metric: evaluation.metrics[metric].value for metric in METRICS}
    return figures


def methods(*, threaded: bool) -> dict[str, tuple[Fusion, float, float]]:
    """Return fusions by name, with the shares of the neighbours' lexical and vector scores."""
    listed: dict[str, tuple[Fusion, float, float]] = {
        "vectors": (lambda vectors, words: vectors, 0, 0),
        "BM25": (lambda vectors, words: words, 0, 0),
        "reciprocal ranks": (reciprocal_ranks, 0, 0),
    }
    for norm in (z_scores, min_max, share_of_best):
        for weight in WEIGHTS:
            listed[f"{norm.__name__} {weight}"] = convex(norm, weight), 0, 0
    for weight in WEIGHTS if threaded else ():
        for words, vectors in NEIGHBOURS:
            name = f"z_scores {weight}, neighbours {words} and {vectors}"
            listed[name] = convex(z_scores, weight), words, vectors
    return listed


class Candidates:
    """The texts among which a search takes place, with their vectors and words."""

    def __init__(self, texts: Sequence[Text]) -> None:
        import numpy as np

        from mastra_engine.embedders import WordLlamaEmbedder

        self._embedder = WordLlamaEmbedder()
        self._ids = [text.id for text in texts]
        self._vectors = np.asarray(self._embedder.embed_documents([text.text for text in texts]))
        self._words = BagOfWords([text.text for text in texts])
        self._adjacent = [
            i for i, (one, next) in enumerate(pairwise(texts)) if one.thread_id == next.thread_id
        ]

    def search(
        self, query: str, fusion: Fusion, words_share: float, vectors_share: float
    ) -> Sequence[str]:
        """Return the ids of the candidates in the order of their fused scores."""
        import numpy as np

        vectors = self._vectors @ np.asarray(self._embedder.embed_query(query), dtype=np.float64)
        vectors = self._with_neighbours(vectors, vectors_share)
        words = self._with_neighbours(self._words.scores(query), words_share)
        pool = np.array(sorted({*_best(vectors), *(i for i in _best(words) if words[i] > 0)}))
        order = np.argsort(-fusion(vectors[pool], words[pool]), kind="stable")
        return [self._ids[i] for i in pool[order]]

    def _with_neighbours(self, scores: Scores, share: float) -> Scores:
        """Add a share of the scores of the messages before and after each message."""
        total = scores.copy()
        for i in self._adjacent if share else ():
            total[i] += share * scores[i + 1]
            total[i + 1] += share * scores[i]
        return total


def _best(scores: Scores) -> Iterator[int]:
    return iter((-scores).argsort(kind="stable")[:POOL].tolist())


# Fusions


def convex(norm: Callable[[Scores], Scores], weight: float) -> Fusion:
    """Return the sum of normalized scores, in which the vectors have the weight."""
    return lambda vectors, words: weight * norm(vectors) + (1 - weight) * norm(words)


def z_scores(scores: Scores) -> Scores:
    """Return how many standard deviations each score is above the mean."""
    normalized: Scores = (scores - scores.mean()) / (scores.std() or 1)
    return normalized


def min_max(scores: Scores) -> Scores:
    """Return where each score is between the least, 0, and the greatest, 1."""
    normalized: Scores = (scores - scores.min()) / ((scores.max() - scores.min()) or 1)
    return normalized


def share_of_best(scores: Scores) -> Scores:
    """Return each score as a share of the greatest, negative ones as 0."""
    return scores.clip(min=0) / (max(float(scores.max()), 0) or 1)


def reciprocal_ranks(vectors: Scores, words: Scores) -> Scores:
    """Return the sum of 1 / (60 + rank) in both rankings, without texts that share no word."""
    vector_ranks = (-vectors).argsort(kind="stable").argsort() + 1
    word_ranks = (-words).argsort(kind="stable").argsort() + 1
    return 1 / (60 + vector_ranks) + (words > 0) / (60 + word_ranks)
