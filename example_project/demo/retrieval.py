"""Vectors: the language reference is embedded in chunks, and real questions are searched."""

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
    """Steps that each use one feature of vectors and print the result."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def run(self) -> None:
        title(self.console, "Cut the language reference into chunks and embed them")
        self.load()
        title(self.console, "Search it for questions")
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
        table = Table("question", "by vector", "hybrid", "hybrid, reranked")
        hits = {"by vector": 0, "hybrid": 0, "hybrid, reranked": 0}
        for question, topics in QUESTIONS.items():
            rankings = {
                "by vector": self.search(question),
                "hybrid": self.search(question, hybrid=True),
                "hybrid, reranked": self.search(question, hybrid=True, reranker=Reranker()),
            }
            for name, matches in rankings.items():
                hits[name] += matches[0].metadata["topic"] in topics
            table.add_row(question, *(cell(matches[0], topics) for matches in rankings.values()))
        self.console.print(table)
        for name, number in hits.items():
            self.console.print(f"{name}: {number} of {len(QUESTIONS)} answered by the first hit")

    def search(self, question: str, **options: object) -> list[Match]:
        return engine.vectors.query(index_name=INDEX, query_text=question, top_k=3, **options)  # type: ignore[arg-type]


def cell(match: Match, topics: set[str]) -> str:
    topic = match.metadata["topic"]
    return f"{'[green]✓ ' if topic in topics else '  '}{topic} {match.score:.2f}"
