"""Indexing of records: the time outside of the embedder and the database."""

from __future__ import annotations

import argparse
import ast
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.database import settle
from benchmarks.harness import Target, environment, middle, progress, table, target_table

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine
    from mastra_engine.retrieval.embedding import Vectors

LIMIT = 20.0  # per cent
FILLED, CHANGED = "first fill", "10% changed"
KINDS = ("hnsw", "flat")
PACKAGES = ["django-mastra-engine", "Django", "psycopg", "pgvector", "wordllama"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """Seconds: of the whole, within the embedder, and of this process's CPU there and besides.

    What is left is the waiting for the database, and for a machine that others use.
    """

    index: str
    phase: str
    chunks: int
    wall: float
    embedder: float
    embedder_cpu: float
    ours: float

    @property
    def share(self) -> float:
        return self.ours / self.wall

    @property
    def cpu_share(self) -> float:
        """Return the engine's share of this process's CPU time, which waiting does not change."""
        return self.ours / (self.ours + self.embedder_cpu)


class Timed:
    """An embedder that measures its wall time and CPU time."""

    def __init__(self) -> None:
        from mastra_engine.embedders import WordLlamaEmbedder

        self.embedder = WordLlamaEmbedder()
        self.wall = self.cpu = 0.0
        self.chunks = 0

    def embed_documents(self, texts: list[str]) -> Vectors:
        wall, cpu = time.perf_counter(), time.process_time()
        vectors = self.embedder.embed_documents(texts)
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        self.chunks += len(texts)
        return vectors

    def embed_query(self, text: str) -> Any:
        return self.embedder.embed_query(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=int, default=5_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    texts = list(islice(cycle(docstrings()), options.records))
    took = [
        item
        for number in range(options.rounds)
        for kind in KINDS
        for item in _measure(kind, texts, number)
    ]
    targets = [
        Target(
            name=f"our share: {phase}, {kind}",
            value=middle(
                [100 * item.share for item in took if (item.index, item.phase) == (kind, phase)]
            ),
            relation="<=",
            limit=LIMIT,
            unit="%",
        )
        for phase in (FILLED, CHANGED)
        for kind in KINDS
    ]
    data = {
        "benchmark": "indexing",
        "records": options.records,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "timings": [{**asdict(item), "share": round(item.share, 4)} for item in took],
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }
    title = f"{options.records:,} docstrings as records, medians of {options.rounds} rounds"
    return "\n\n".join([title, _table(took), target_table(targets)]), data


def docstrings() -> Iterator[str]:
    """Yield the docstrings of the standard library: English text on every machine."""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node)
                if text is not None and len(text) > 100:
                    yield text


def _measure(kind: str, texts: list[str], number: int) -> Iterator[Took]:
    from mastra_engine import PostgresEngine
    from mastra_engine.registry import index_records, registry

    embedder = Timed()
    embedder.embed_query("load the model")
    engine = PostgresEngine(
        embedder=embedder, indexes={kind: {"dimension": 256, "index_type": kind}}
    )
    engine.record_search.indexes_at_once = False
    with registry.empty():
        index_records(entity="Docs", index=kind, text=lambda data: str(data["text"]))
        for phase, changed in ((FILLED, 1), (CHANGED, 10)):
            progress(f"round {number + 1}: {kind}, {phase}")
            _write(engine, texts, every=changed)
            settle()
            yield _timed(engine, kind, phase, embedder)
    engine.erase(connection_id="benchmark")
    engine.vectors.delete_index(index_name=kind)


def _write(engine: PostgresEngine, texts: list[str], *, every: int) -> None:
    records = [
        {"external_id": str(number), "data": {"text": f"{text} {every}", "number": number}}
        for number, text in enumerate(texts)
        if number % every == 0
    ]
    engine.sync_records(name="Docs", connection_id="benchmark", records=records)


def _timed(engine: PostgresEngine, kind: str, phase: str, embedder: Timed) -> Took:
    before = embedder.wall, embedder.cpu, embedder.chunks
    wall, cpu = time.perf_counter(), time.process_time()
    engine.index_pending()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    embedder_cpu = embedder.cpu - before[1]
    return Took(
        index=kind,
        phase=phase,
        chunks=embedder.chunks - before[2],
        wall=wall,
        embedder=embedder.wall - before[0],
        embedder_cpu=embedder_cpu,
        ours=cpu - embedder_cpu,
    )


def _table(took: list[Took]) -> str:
    rows = []
    for kind in KINDS:
        for phase in (FILLED, CHANGED):
            of = [item for item in took if (item.index, item.phase) == (kind, phase)]
            shares: list[Callable[[Took], float]] = [
                lambda item: item.embedder / item.wall,
                lambda item: 1 - (item.embedder + item.ours) / item.wall,
                lambda item: item.share,
                lambda item: item.cpu_share,
            ]
            speed = middle([item.chunks / item.wall for item in of]) or 0
            medians = [middle([share(item) for item in of]) or 0 for share in shares]
            rows.append((f"{kind}, {phase}", f"{speed:,.0f}", *(f"{item:.0%}" for item in medians)))
    headers = ["", "chunks/s", "embedder", "database", "ours", "ours of the CPU"]
    return table("Shares of the time", headers, rows)
