"""Retrieval quality: how often each search method finds the topic that answers a question."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from pydoc_data.topics import topics as REFERENCE
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.harness import environment, progress, table

if TYPE_CHECKING:
    from mastra_engine.types import Match

INDEX = "topics"
DIMENSION = 256
RECALL_AT, MRR_AT = 5, 10
PACKAGES = ["django-mastra-engine", "Django", "pgvector", "wordllama", "semantic-text-splitter"]
QUESTIONS = Path(__file__).with_name("questions.json")
#: Left out: they join other topics, so any of their many passages would pass for an answer.
COLLECTIONS = {"compound", "specialnames"}

#: Takes a question and gives the topics found, best first.
Search = Callable[[str], list[str]]
#: Where the first right topic stood, from 1; None if it was not found.
Rank = int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuery:
    """A question and the topics that answer it; any one of them is correct."""

    question: str
    topics: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The ranks of a search method, in the order of the questions."""

    method: str
    ranks: list[Rank]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--size", type=int, default=1000, metavar="N", help="characters a passage")
    parser.add_argument("--top-k", type=int, default=50, metavar="N", help="passages asked for")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    asked, topics = questions(), corpus()
    passages = _load(topics, options.size)
    results = [_ask(asked, *method) for method in _methods(options.top_k).items()]
    data = {
        "benchmark": "retrieval",
        "topics": len(topics),
        "passages": passages,
        "passage_size": options.size,
        "top_k": options.top_k,
        "environment": environment(PACKAGES),
        "methods": [_figures(result) for result in results],
        "questions": [
            {**asdict(question), "ranks": {result.method: result.ranks[i] for result in results}}
            for i, question in enumerate(asked)
        ],
    }
    return "\n\n".join([_method_table(data), _missed(data["questions"])]), data


def questions() -> list[VectorQuery]:
    """Return the questions."""
    return [VectorQuery(**item) for item in json.loads(QUESTIONS.read_text(encoding="utf-8"))]


def corpus() -> dict[str, str]:
    """Return the text of every topic that is searched."""
    return {name: text for name, text in sorted(REFERENCE.items()) if name not in COLLECTIONS}


# Metrics


def first_rank(ranking: Sequence[str], expected: Iterable[str]) -> Rank:
    """Return the rank of the first correct topic, from 1, or None."""
    expected = set(expected)
    return next((rank for rank, topic in enumerate(ranking, start=1) if topic in expected), None)


def found(rank: Rank, *, at: int) -> float:
    """Return 1 if one of the answers is among the first `at`: the topics are alternatives."""
    return float(rank is not None and rank <= at)


def reciprocal(rank: Rank, *, at: int) -> float:
    """Return 1 / rank, or 0 beyond the first `at`."""
    return 1 / rank if rank is not None and rank <= at else 0.0


def margin(values: Sequence[float]) -> float:
    """Return the half-width of the 95 % confidence interval of the mean."""
    return 1.96 * stdev(values) / sqrt(len(values))


def distinct(topics: Iterable[str]) -> list[str]:
    """Return each topic once, at its first rank: chunks of a topic count as the topic."""
    return list(dict.fromkeys(topics))


# Measuring


def _load(topics: dict[str, str], size: int) -> int:
    """Fill the index and return the number of chunks."""
    from mastra_engine import engine
    from mastra_engine.embedders import WordLlamaEmbedder
    from mastra_engine.retrieval.chunking import chunk

    passages = [(name, part) for name, text in topics.items() for part in chunk(text, size=size)]
    documents = [part.text for _, part in passages]
    engine.vectors.create_index(index_name=INDEX, dimension=DIMENSION)
    engine.vectors.upsert(
        index_name=INDEX,
        vectors=WordLlamaEmbedder().embed_documents(documents),
        ids=[str(number) for number in range(len(passages))],
        documents=documents,
        metadata=[{"topic": name} for name, _ in passages],
    )
    return len(passages)


def _methods(top_k: int) -> dict[str, Search]:
    from mastra_engine import Reranker, engine
    from mastra_engine.embedders import WordLlamaEmbedder

    embedder, reranker = WordLlamaEmbedder(), Reranker()

    def query(question: str, **options: Any) -> list[str]:
        matches: list[Match] = engine.vectors.query(
            index_name=INDEX,
            query_vector=embedder.embed_query(question),
            query_text=question,
            top_k=top_k,
            **options,
        )
        return [match.metadata["topic"] for match in matches]

    return {
        "vector": query,
        "text": partial(_full_text, top_k=top_k),
        "hybrid": partial(query, hybrid=True),
        "vector, reranked": partial(query, reranker=reranker),
        "hybrid, reranked": partial(query, hybrid=True, reranker=reranker),
    }


def _full_text(question: str, *, top_k: int) -> list[str]:
    """Search by words alone: the lexical part of hybrid search."""
    from django.db import connection

    from mastra_engine.models import VectorIndex
    from mastra_engine.postgres.partitions import Partition
    from mastra_engine.postgres.search import full_text

    partition = Partition(connection, VectorIndex.objects.get(name=INDEX).to_definition())
    rows = full_text(partition, question, ("TRUE", []), top_k)
    return [json.loads(metadata)["topic"] for _, _, _, metadata, _ in rows]


def _ask(asked: Sequence[VectorQuery], method: str, search: Search) -> Result:
    progress(f"{len(asked)} questions: {method}")
    ranks = [first_rank(distinct(search(item.question)), item.topics) for item in asked]
    return Result(method=method, ranks=ranks)


def _figures(result: Result) -> dict[str, Any]:
    recalls = [found(rank, at=RECALL_AT) for rank in result.ranks]
    reciprocals = [reciprocal(rank, at=MRR_AT) for rank in result.ranks]
    return {
        "method": result.method,
        f"recall@{RECALL_AT}": fmean(recalls),
        f"recall@{RECALL_AT} margin": margin(recalls),
        f"mrr@{MRR_AT}": fmean(reciprocals),
        f"mrr@{MRR_AT} margin": margin(reciprocals),
    }


# Reporting


def _method_table(data: dict[str, Any]) -> str:
    title = (
        f"{len(data['questions'])} questions, {data['topics']} topics of the Python "
        f"{data['environment']['python']} reference in {data['passages']:,} passages"
    )
    rows = [
        (
            figures["method"],
            *(
                f"{figures[name]:.2f} ± {figures[f'{name} margin']:.2f}"
                for name in (f"recall@{RECALL_AT}", f"mrr@{MRR_AT}")
            ),
        )
        for figures in data["methods"]
    ]
    return table(title, ["", f"recall@{RECALL_AT}", f"MRR@{MRR_AT}"], rows)


def _missed(asked: Sequence[dict[str, Any]]) -> str:
    missed = [
        (item["question"], ", ".join(item["topics"]))
        for item in asked
        if not any(found(rank, at=RECALL_AT) for rank in item["ranks"].values())
    ]
    title = f"{len(missed)} that no method answers among the first {RECALL_AT}"
    return table(title, ["question", "answered by"], missed)
