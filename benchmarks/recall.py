"""Recall within one resource among many messages: hybrid beside vectors alone, in one run."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Target, environment, progress, table, target_table

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "pgvector", "wordllama"]
DIMENSION, PASSES, RESOURCES = 256, 3, 20
#: Messages of each resource, all in one thread.
MESSAGES = 1_000
#: Distinct texts; the resources share them in different orders.
TEXTS = 50_000
METHODS: dict[str, dict[str, Any]] = {"vectors": {"hybrid": False}, "hybrid": {"hybrid": True}}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--messages", type=int, default=500_000, metavar="N")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from benchmarks.hybrid import chunks, questions
    from benchmarks.vectors import give_memory_to_builds
    from mastra_engine import PostgresEngine
    from mastra_engine.embedders import WordLlamaEmbedder

    give_memory_to_builds()
    engine = PostgresEngine(embedder=WordLlamaEmbedder(DIMENSION))
    texts = chunks(TEXTS)
    progress(f"{options.messages:,} messages: loading")
    load(engine, texts, resources=options.messages // MESSAGES)
    times = measure(engine, questions(texts)[:RESOURCES])
    ratio = times["hybrid"] / times["vectors"]
    targets = [Target(name="hybrid beside vectors", value=ratio, relation="<=", limit=1.5)]
    rows = [(name, f"{1000 * seconds:.1f} ms") for name, seconds in times.items()]
    title = f"recall() in {MESSAGES:,} messages of {options.messages:,}"
    return "\n\n".join([table(title, ["", "p50"], rows), target_table(targets)]), {
        "benchmark": "recall",
        "messages": options.messages,
        "environment": environment(PACKAGES),
        "milliseconds": {name: 1000 * seconds for name, seconds in times.items()},
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


def load(engine: PostgresEngine, texts: Sequence[str], *, resources: int) -> None:
    """Save the messages and embed them, then build the search structure once."""
    from django.db import connection

    from mastra_engine import PostgresEngine

    silent = PostgresEngine()  # without an embedder, the messages wait for their vectors
    for number in range(resources):
        first = number * MESSAGES * 7919
        silent.memory.save_memory(
            thread_id=f"thread {number}",
            resource_id=f"resource {number}",
            messages=[
                {"role": "user", "content": texts[(first + 31 * i) % len(texts)]}
                for i in range(MESSAGES)
            ],
        )
    engine.memory.prepare_index()
    index_name = engine.vectors.list_indexes()[0].name
    with engine.vectors.bulk_load(index_name=index_name):
        engine.memory.embed_pending()
        progress("building the search structure")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def measure(engine: PostgresEngine, queries: Sequence[str]) -> dict[str, float]:
    """Return the median seconds of each method, of the best of some passes; methods take turns."""
    best: dict[str, dict[str, float]] = {name: {} for name in METHODS}
    for number in range(PASSES + 1):  # the first one warms up
        progress(f"pass {number} of {PASSES}")
        for resource, query in enumerate(queries):
            for name, options in METHODS.items():
                begun = time.perf_counter()
                engine.memory.recall(query=query, resource_id=f"resource {resource}", **options)
                elapsed = time.perf_counter() - begun
                if number:
                    best[name][query] = min(best[name].get(query, elapsed), elapsed)
    return {name: median(values.values()) for name, values in best.items()}
