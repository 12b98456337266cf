"""Vectors: the language reference as chunks, asked real questions."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from example_project.demo import progress, title
from example_project.sources import CHAPTERS, reference
from mastra_engine import Reranker, engine
from mastra_engine.retrieval.chunking import chunk
from mastra_engine.types import Match

INDEX = "reference"

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
    """Each step does one thing and prints what came of it."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def run(self) -> None:
        title(self.console, "Cut the language reference into chunks and embed them")
        self.load()
        title(self.console, "Ask it questions")
        self.ask()

    def load(self) -> None:
        """Ids name topic and place, so that running it again replaces what is there."""
        vectors = engine.vectors
        vectors.create_index(index_name=INDEX, dimension=256)
        topics = [topic for topic in reference() if topic.data["title"] not in CHAPTERS]
        for topic in progress(self.console, "Topics", topics):
            chunks = chunk(topic.data["body"])
            vectors.upsert(
                index_name=INDEX,
                documents=[f"{topic.data['title']}\n\n{piece.text}" for piece in chunks],
                ids=[f"{topic.external_id}/{piece.index}" for piece in chunks],
                metadata=[{"topic": topic.external_id, "start": piece.start} for piece in chunks],
            )
        gone = {"topic": {"$nin": [topic.external_id for topic in topics]}}
        vectors.delete_vectors(index_name=INDEX, filter=gone)
        index = vectors.describe_index(index_name=INDEX)
        self.console.print(
            f"{index.count} chunks, {index.dimension} dimensions, "
            f"{index.size_bytes / 1e6:.1f} MB with their {index.index_type} index"
        )

    def ask(self) -> None:
        table = Table("question", "by vector", "hybrid", "hybrid, reranked")
        first = {"by vector": 0, "hybrid": 0, "hybrid, reranked": 0}
        for question, topics in QUESTIONS.items():
            rankings = {
                "by vector": self.search(question),
                "hybrid": self.search(question, hybrid=True),
                "hybrid, reranked": self.search(question, hybrid=True, reranker=Reranker()),
            }
            for name, matches in rankings.items():
                first[name] += matches[0].metadata["topic"] in topics
            table.add_row(question, *(cell(each[0], topics) for each in rankings.values()))
        self.console.print(table)
        for name, number in first.items():
            self.console.print(f"{name}: {number} of {len(QUESTIONS)} answered by the first hit")

    def search(self, question: str, **options: object) -> list[Match]:
        return engine.vectors.query(index_name=INDEX, query_text=question, top_k=3, **options)  # type: ignore[arg-type]


def cell(match: Match, topics: set[str]) -> str:
    found = match.metadata["topic"]
    return f"{'[green]✓ ' if found in topics else '  '}{found} {match.score:.2f}"
