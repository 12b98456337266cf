"""Storages of vector indexes: size of the search structure, recall and time, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Target, environment, progress, table, target_table
from mastra_engine.types import Storage

if TYPE_CHECKING:
    from benchmarks.vectors_data import Dataset
    from benchmarks.vectors_searches import Found

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "pgvector", "numpy"]
DENSE: tuple[Storage, ...] = ("vector", "halfvec", "bit")
QUERIES = 200
_SIZE = "SELECT pg_relation_size(%s)"


@dataclass(frozen=True, slots=True)
class Stored:
    """The results of one storage; `bytes` is the size of the search structure."""

    bytes: int
    found: Found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=20_000, metavar="N")
    parser.add_argument("--dim", type=int, default=1_024, metavar="N")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from benchmarks.vectors import give_memory_to_builds
    from benchmarks.vectors_data import Dataset
    from benchmarks.vectors_harder import embedded_text

    give_memory_to_builds()
    clustered = Dataset.of(options.rows, options.dim, queries=QUERIES)
    kinds = {
        f"clustered, {options.rows:,} x {options.dim}": clustered,
        "text, by WordLlamaEmbedder": embedded_text(),
    }
    results = {kind: _measure(kind, data) for kind, data in kinds.items()}
    targets = list(_targets(results))
    parts = [*(_table(kind, stored) for kind, stored in results.items()), target_table(targets)]
    return "\n\n".join(parts), {
        "benchmark": "storages",
        "environment": environment(PACKAGES),
        "storages": {
            kind: {name: asdict(one) for name, one in stored.items()}
            for kind, stored in results.items()
        },
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


def _measure(kind: str, data: Dataset) -> dict[str, Stored]:
    """Search indexes of all storages in alternation."""
    from django.db import connection

    from benchmarks.database import settle
    from benchmarks.vectors_loads import partition_of
    from benchmarks.vectors_searches import Find, by_engine, compare
    from mastra_engine import engine

    sizes: dict[str, int] = {}
    for storage in DENSE:
        progress(f"{kind}: {storage}")
        dimension = data.vectors.shape[1]
        engine.vectors.create_index(index_name=storage, dimension=dimension, storage=storage)
        with engine.vectors.bulk_load(index_name=storage):
            ids = [str(i) for i in range(len(data.vectors))]
            engine.vectors.upsert(index_name=storage, vectors=data.vectors, ids=ids)
        with connection.cursor() as cursor:
            cursor.execute(_SIZE, [partition_of(storage).structure])
            (sizes[storage],) = cursor.fetchone()
    settle()
    ways: dict[str, Find] = {storage: by_engine(storage) for storage in DENSE}
    compare(ways, data.queries[:20], [{""}] * 20)  # reads the structures into memory
    results = compare(ways, data.queries, [data.nearest(query) for query in data.queries])
    for storage in DENSE:
        engine.vectors.delete_index(index_name=storage)
    return {storage: Stored(sizes[storage], results[storage]) for storage in DENSE}


def _targets(results: dict[str, dict[str, Stored]]) -> Iterator[Target]:
    clustered, _ = results
    size = results[clustered]["bit"].bytes / results[clustered]["vector"].bytes
    yield Target(name=f"bit: size / vector, {clustered}", value=size, relation="<=", limit=0.1)
    for kind, stored in results.items():
        recall, ratio = stored["bit"].found.recall, _ratio(stored, "bit")
        yield Target(
            name=f"bit: recall@10, {kind}", value=recall, relation=">=", limit=0.95, unit=" "
        )
        yield Target(name=f"bit: p50 / vector, {kind}", value=ratio, relation="<=", limit=1.3)


def _ratio(stored: dict[str, Stored], storage: str) -> float:
    return stored[storage].found.milliseconds / stored["vector"].found.milliseconds


def _table(kind: str, stored: dict[str, Stored]) -> str:
    rows = [
        (
            storage,
            f"{one.bytes / 2**20:.1f}",
            f"{one.bytes / stored['vector'].bytes:.2f}x",
            f"{one.found.recall:.3f}",
            f"{one.found.milliseconds:.2f}",
            f"{_ratio(stored, storage):.2f}x",
        )
        for storage, one in stored.items()
    ]
    return table(kind, ["", "MiB", "size", "recall@10", "p50 ms", "p50"], rows)
