"""Retrieval quality: how often each search method finds the texts that answer a question."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from benchmarks.harness import environment, progress, table
from benchmarks.retrieval_data import (
    Half,
    LabelledSet,
    conversations,
    half_of,
    identifiers,
    locomo,
    reference,
    tickets,
)
from benchmarks.retrieval_searches import HYBRID, OUTSIDE, RERANKED, VECTORS, Search, searches

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine
    from mastra_engine.types import Estimate, Evaluation

CUTOFFS = (5, 10)
METRICS = ("recall@5", "recall@10", "mrr")
#: Pairs of a method and the one that it is compared to.
COMPARISONS = (
    (HYBRID, VECTORS),
    (HYBRID, OUTSIDE),
    (RERANKED.format(VECTORS), VECTORS),
    (RERANKED.format(HYBRID), HYBRID),
)
PACKAGES = [
    "django-mastra-engine",
    "Django",
    "pgvector",
    "wordllama",
    "semantic-text-splitter",
    "bm25s",
    "PyStemmer",
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--half",
        choices=get_args(Half),
        default="test",
        help="the half of the questions: weights are chosen on dev and reported on test",
    )
    parser.add_argument(
        "--chunk-size", type=int, default=1000, metavar="N", help="characters of a chunk"
    )
    parser.add_argument(
        "--locomo",
        type=Path,
        default=os.environ.get("LOCOMO"),
        metavar="FILE",
        help="a file of LoCoMo to measure on as well, by default the one in $LOCOMO",
    )


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from mastra_engine import PostgresEngine
    from mastra_engine.embedders import WordLlamaEmbedder
    from mastra_engine.registry import registry

    engine = PostgresEngine(
        embedder=WordLlamaEmbedder(), indexes={"tickets": {"dimension": 256, "index_type": "flat"}}
    )
    reports, figures = [], {}
    with registry.empty():
        for labelled in labelled_sets(options.chunk_size, options.locomo):
            evaluations = _evaluate(engine, labelled, options.half)
            reports += tables(labelled, options.half, evaluations)
            figures[labelled.name] = _figures(labelled, evaluations)
    data = {
        "benchmark": "retrieval",
        "half": options.half,
        "chunk_size": options.chunk_size,
        "environment": environment(PACKAGES),
        "sets": figures,
    }
    return "\n\n".join(reports), data


def labelled_sets(chunk_size: int, locomo_file: Path | None) -> list[LabelledSet]:
    """Return the sets of the project and, if there is a file of it, LoCoMo."""
    own = [reference(chunk_size), tickets(), conversations(), identifiers()]
    return own if locomo_file is None else [*own, locomo(Path(locomo_file))]


# Measuring


def _evaluate(engine: PostgresEngine, labelled: LabelledSet, half: Half) -> dict[str, Evaluation]:
    cases = list(chain.from_iterable(labelled.half(half).values()))
    methods = searches(engine, labelled)
    return {
        name: _measure(engine, labelled.name, name, cases, search)
        for name, search in methods.items()
    }


def _measure(
    engine: PostgresEngine, of: str, name: str, cases: Sequence[Any], search: Search
) -> Evaluation:
    progress(f"{of}: {len(cases)} questions, {name}")
    return engine.evaluate(cases, search=search, k=CUTOFFS)


def differences(evaluations: Mapping[str, Evaluation]) -> dict[str, dict[str, Estimate]]:
    """Return the paired differences between the methods that were both measured."""
    from mastra_engine.retrieval.evaluation import compare

    return {
        f"{one} - {other}": compare(evaluations[one], evaluations[other])
        for one, other in COMPARISONS
        if one in evaluations and other in evaluations
    }


def by_kind(labelled: LabelledSet, evaluation: Evaluation) -> dict[str, dict[str, Estimate]]:
    """Return the metrics of each kind of question, if there are several kinds."""
    from mastra_engine.retrieval.evaluation import summarize

    queries = {kind: {case.query for case in cases} for kind, cases in labelled.cases.items()}
    of_kind = {
        kind: [result for result in evaluation.cases if result.case.query in queries[kind]]
        for kind in (queries if len(queries) > 1 else ())
    }
    return {
        kind: summarize(results, CUTOFFS).metrics for kind, results in of_kind.items() if results
    }


# Reporting


def tables(labelled: LabelledSet, half: Half, evaluations: Mapping[str, Evaluation]) -> list[str]:
    """Return the metrics, the paired differences and the kinds of question as tables."""
    total = sum(map(len, labelled.half(half).values()))
    title = f"{labelled.name}: {len(labelled.texts)} texts, {total} questions of the half {half!r}"
    metrics = {name: evaluation.metrics for name, evaluation in evaluations.items()}
    listed = [_estimates(title, metrics)]
    if paired := differences(evaluations):
        listed.append(_estimates("differences", paired, sign="+"))
    kinds = {name: by_kind(labelled, evaluation) for name, evaluation in evaluations.items()}
    headers = list(next(iter(kinds.values())))
    if headers:
        rows = [
            (name, *(_text(figures[kind]["recall@10"]) for kind in headers))
            for name, figures in kinds.items()
        ]
        listed.append(table("recall@10 by kind of question", ["", *headers], rows))
    return listed


def _estimates(title: str, figures: Mapping[str, Mapping[str, Estimate]], sign: str = "") -> str:
    rows = [
        (name, *(_text(metrics[metric], sign) for metric in METRICS))
        for name, metrics in figures.items()
    ]
    return table(title, ["", "recall@5", "recall@10", "MRR@10"], rows)


def _text(estimate: Estimate, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _figures(labelled: LabelledSet, evaluations: Mapping[str, Evaluation]) -> dict[str, Any]:
    first = next(iter(evaluations.values()))
    return {
        "texts": len(labelled.texts),
        "methods": {name: _plain(item.metrics) for name, item in evaluations.items()},
        "differences": {name: _plain(item) for name, item in differences(evaluations).items()},
        "kinds": {
            name: {kind: _plain(metrics) for kind, metrics in by_kind(labelled, item).items()}
            for name, item in evaluations.items()
        },
        "questions": [
            {
                "query": result.case.query,
                "half": half_of(result.case.query),
                "ranks": {name: item.cases[i].ranks for name, item in evaluations.items()},
            }
            for i, result in enumerate(first.cases)
        ],
    }


def _plain(metrics: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: asdict(estimate) for name, estimate in metrics.items()}
