"""Vectors: the language reference is embedded in chunks, and real questions are searched."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from example_project.demo import progress, title
from example_project.sources import CHAPTERS, reference
from mastra_engine import engine
from mastra_engine.retrieval.chunking import chunk
from mastra_engine.types import Match

INDEX = "reference"
TOP_K = 3

#: The methods of searching, with their options.
METHODS: dict[str, dict[str, Any]] = {
    "by vectors": {},
    "by words": {"hybrid": 0.0},
    "hybrid": {"hybrid": True},
}

#: Questions, and the topics of the reference that answer them.
QUESTIONS = {
    "catch two different exception types with the same handler": {"try"},
    "how do I log an error and then let it propagate unchanged?": {"raise"},
    "increment a counter that lives in the outer function": {"nonlocal", "naming", "execmodel"},
    "is a += b the same as a = a + b?": {"augassign", "assignment"},
    "turn off assert statements in production": {"assert"},
    "jump to the next round of a loop": {"continue", "for", "while"},
    "from package import *: how do I decide what it exports": {"import"},
    "my own class that takes a lock and always gives it back": {"context-managers", "with"},
    "difference between *args and **kwargs": {"function", "calls"},
    "can a lambda contain several statements": {"lambda", "function"},
    "support len() and [] in my own collection": {"sequence-types"},
    "which operators bind tighter than others": {"operator-summary"},
}


class RetrievalDemo:
    """Steps that each use one feature of vectors and print the result."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def run(self) -> None:
        title(
            self.console,
            "Cut the language reference into chunks and embed them",
            "vectors.upsert() embeds documents with a small model that needs no network.",
        )
        self.load()
        title(
            self.console,
            "Search it for questions",
            "vectors.query() searches by vectors, by words (BM25), or by both (hybrid). A check "
            "mark says that the first hit is of a topic that answers the question.",
        )
        self.ask()

    def load(self) -> None:
        """Embed all topics. Ids consist of topic and chunk, so a second run replaces the first."""
        vectors = engine.vectors
        vectors.create_index(index_name=INDEX, dimension=256)
        topics = [topic for topic in reference() if topic.data["title"] not in CHAPTERS]
        for topic in progress(self.console, "Topics", topics):
            chunks = chunk(topic.data["body"])
            vectors.upsert(
                index_name=INDEX,
                documents=[f"{topic.data['title']}\n\n{part.text}" for part in chunks],
                ids=[f"{topic.external_id}/{part.index}" for part in chunks],
                metadata=[{"topic": topic.external_id, "start": part.start} for part in chunks],
            )
        removed_topics = {"topic": {"$nin": [topic.external_id for topic in topics]}}
        vectors.delete_vectors(index_name=INDEX, filter=removed_topics)
        index = vectors.describe_index(index_name=INDEX)
        self.console.print(
            f"{index.count} chunks, {index.dimension} dimensions, "
            f"{index.size_bytes / 1e6:.1f} MB with their {index.index_type} index"
        )

    def ask(self) -> None:
        """Search with each method, and print its ranking and how many questions it answers."""
        table = Table("question", *METHODS)
        ranks: dict[str, list[int | None]] = {name: [] for name in METHODS}
        seconds: dict[str, list[float]] = {name: [] for name in METHODS}
        for question, topics in QUESTIONS.items():
            cells = []
            for name, options in METHODS.items():
                started = time.perf_counter()
                matches = self.search(question, **options)
                seconds[name].append(time.perf_counter() - started)
                ranks[name].append(rank(matches, topics))
                cells.append(cell(matches[0], topics))
            table.add_row(question, *cells)
        self.console.print(table)
        self.console.print(summary(ranks, seconds))
        self.console.print(
            "[dim]The questions avoid the words of the reference, which favours vectors; names are "
            f"found by words. {len(QUESTIONS)} questions are too few to compare the methods: "
            "python -m benchmarks retrieval measures them with more.[/dim]"
        )

    def search(self, question: str, **options: Any) -> list[Match]:
        return engine.vectors.query(index_name=INDEX, query_text=question, top_k=TOP_K, **options)


def summary(ranks: dict[str, list[int | None]], seconds: dict[str, list[float]]) -> Table:
    """Return how many questions each method answers, and how long a search takes."""
    of = f"of {len(QUESTIONS)}"
    table = Table("method", f"answered by the first hit, {of}", f"by the first {TOP_K}, {of}", "ms")
    for name, numbers in ranks.items():
        answers = [number for number in numbers if number is not None]
        first = sum(number == 1 for number in answers)
        milliseconds = 1000 * median(seconds[name])
        table.add_row(name, str(first), str(len(answers)), f"{milliseconds:.1f}")
    return table


def rank(matches: list[Match], topics: set[str]) -> int | None:
    """Return the rank of the first match that answers a question, or None."""
    for number, match in enumerate(matches, start=1):
        if match.metadata["topic"] in topics:
            return number
    return None


def cell(match: Match, topics: set[str]) -> str:
    topic = match.metadata["topic"]
    return f"{'[green]✓ ' if topic in topics else '  '}{topic} {match.score:.2f}"
