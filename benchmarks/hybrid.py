"""Hybrid search beside search by vectors in one run: time, agreement of BM25, loading, size."""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, quantiles
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.harness import Target, environment, progress, table, target_table

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "pgvector", "wordllama"]
INDEX, DIMENSION, BATCH = "benchmark", 256, 5_000
CHARACTERS, QUERIES, PASSES = 400, 100, 3
#: A part of 1 % of the chunks.
FILTER = {"part": 7}
#: The beginning of a sentence of up to twelve words, as a query.
_SENTENCE = re.compile(r"(?:^|[.] )([A-Z][a-z]+(?: [a-z]+){4,11})[.]")
_SIZES = "SELECT pg_relation_size(%s), pg_relation_size(%s), pg_relation_size(%s)"

Times = dict[str, list[float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=50_000, metavar="N")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from mastra_engine import PostgresEngine
    from mastra_engine.embedders import WordLlamaEmbedder

    engine = PostgresEngine(embedder=WordLlamaEmbedder(DIMENSION))
    texts = chunks(options.rows)
    queries = questions(texts)
    progress(f"{len(texts):,} chunks: loading")
    rates = {name: load(engine, texts, name) for name in LOADS}
    times = measure(engine, queries)
    overlap = agreement(engine, queries)
    sizes = index_sizes(engine)
    targets = list(_targets(times, overlap, rates))
    report = [_table(times), _notes(sizes, rates, len(texts)), target_table(targets)]
    return "\n\n".join(report), {
        "benchmark": "hybrid",
        "rows": len(texts),
        "environment": environment(PACKAGES),
        "milliseconds": {name: _percentiles(values) for name, values in times.items()},
        "overlap": overlap,
        "rows_per_second": rates,
        "bytes": sizes,
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


#: Loads of vectors alone, of documents with PostgreSQL's plain full-text index, and with words.
LOADS = ("vectors alone", "plain full text", "with words")
_PLAIN = """
ALTER TABLE {table} DISABLE TRIGGER USER; DROP INDEX {table}_words;
CREATE INDEX ON {table} USING gin (to_tsvector('english'::regconfig, document))
"""


def chunks(number: int) -> list[str]:
    """Return distinct chunks of the documentation and code that is installed with Python."""
    values_by_key: dict[str, None] = {}
    for path in sorted(Path(folder) for folder in set(sys.path) if Path(folder).is_dir()):
        for file in sorted(path.rglob("*")):
            if file.suffix in (".py", ".md", ".rst", ".txt") and file.is_file():
                text = file.read_text(errors="ignore").replace("\0", "")
                for start in range(0, len(text) - CHARACTERS // 4, CHARACTERS):
                    values_by_key[text[start : start + CHARACTERS]] = None
            if len(values_by_key) >= 2 * number:
                break
    texts = list(values_by_key)
    random.Random(0).shuffle(texts)
    return texts[:number]


def questions(texts: Sequence[str]) -> list[str]:
    """Return sentences of the texts."""
    result = (match[1] for text in texts if (match := _SENTENCE.search(text)))
    return list(dict.fromkeys(result))[:QUERIES]


def load(engine: PostgresEngine, texts: Sequence[str], kind: str) -> float:
    """Store the chunks in the way of one of LOADS; return how many a second were stored."""
    from django.db import connection

    from benchmarks.vectors_loads import partition_of

    embedder, vectors = engine.vectors.embedder, engine.vectors
    assert embedder is not None
    if any(index.name == INDEX for index in vectors.list_indexes()):
        vectors.delete_index(index_name=INDEX)
    vectors.create_index(index_name=INDEX, dimension=DIMENSION)
    if kind == "plain full text":
        with connection.cursor() as cursor:
            cursor.execute(_PLAIN.format(table=partition_of(INDEX).table))
    seconds = 0.0
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        embedded = embedder.embed_documents(list(batch))
        begun = time.perf_counter()
        vectors.upsert(
            index_name=INDEX,
            vectors=embedded,
            ids=[str(start + i) for i in range(len(batch))],
            documents=None if kind == "vectors alone" else list(batch),
            metadata=[{"part": (start + i) % 100} for i in range(len(batch))],
        )
        seconds += time.perf_counter() - begun
    _settle(engine)
    return len(texts) / seconds


def measure(engine: PostgresEngine, queries: Sequence[str]) -> Times:
    """Time every query with every method, the best of some passes; methods take turns."""
    embedder = engine.vectors.embedder
    assert embedder is not None
    targets = {query: embedder.embed_query(query) for query in queries}
    methods: Mapping[str, Mapping[str, Any]] = {
        "vectors": {},
        "hybrid": {"hybrid": True},
        "vectors, filter": {"filter": FILTER},
        "hybrid, filter": {"hybrid": True, "filter": FILTER},
    }
    best: dict[str, dict[str, float]] = {name: {} for name in methods}
    for number in range(PASSES + 1):  # the first one warms up
        progress(f"pass {number} of {PASSES}")
        for query in queries:
            for name, options in methods.items():
                text = query if "hybrid" in options else None
                begun = time.perf_counter()
                engine.vectors.query(
                    index_name=INDEX, query_vector=targets[query], query_text=text, **options
                )
                elapsed = time.perf_counter() - begun
                if number:
                    best[name][query] = min(best[name].get(query, elapsed), elapsed)
    return {name: list(values.values()) for name, values in best.items()}


def agreement(engine: PostgresEngine, queries: Sequence[str]) -> float:
    """Return how many of the first ten by words are those of a search of all candidates."""
    from mastra_engine.postgres import lexical

    def every(words: Sequence[lexical.Word], documents: float) -> lexical.Candidates:
        return lexical.Candidates(lexical.either(words), frozenset(w.lexeme for w in words))

    pruned = {query: _by_words(engine, query) for query in queries}
    with patch.object(lexical, "rarest", every), patch.object(lexical, "_MOST_CANDIDATES", 2**30):
        complete = {query: _by_words(engine, query) for query in queries}
    return mean(
        len(complete[query] & pruned[query]) / len(complete[query])
        for query in queries
        if complete[query]
    )


def index_sizes(engine: PostgresEngine) -> dict[str, int]:
    """Return the bytes of the table, its search structure and its index of words."""
    from django.db import connection

    from benchmarks.vectors_loads import partition_of

    name = partition_of(INDEX).table
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [name, f"{name}_nearest", f"{name}_words"])
        return dict(zip(("table", "vectors", "words"), cursor.fetchone(), strict=True))


def _by_words(engine: PostgresEngine, query: str) -> frozenset[str]:
    matches = engine.vectors.query(index_name=INDEX, query_text=query, hybrid=0.0, top_k=10)
    return frozenset(match.id for match in matches if match.lexical)


def _settle(engine: PostgresEngine) -> None:
    """Give the planner its statistics, as autovacuum does some time after a load."""
    from django.db import connection

    from benchmarks.vectors_loads import partition_of

    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {partition_of(INDEX).table}")


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(seconds, n=20)
    return {"p50": 1000 * cuts[9], "p95": 1000 * cuts[18]}


def _targets(times: Times, overlap: float, rates: Mapping[str, float]) -> Iterator[Target]:
    figures = {name: _percentiles(values) for name, values in times.items()}
    for name, share, limit in (("", "p50", 4.0), ("", "p95", 8.0), (", filter", "p50", 5.0)):
        ratio = figures[f"hybrid{name}"][share] / figures[f"vectors{name}"][share]
        title = f"hybrid{name}: {share} beside vectors"
        yield Target(name=title, value=ratio, relation="<=", limit=limit)
    yield Target(
        name="first ten by words, beside all candidates",
        value=overlap,
        relation=">=",
        limit=0.95,
    )
    rate = rates["with words"] / rates["plain full text"]
    yield Target(name="loading beside plain full text", value=rate, relation=">=", limit=0.8)


def _table(times: Times) -> str:
    rows = [
        (name, *(f"{value:.1f} ms" for value in _percentiles(values).values()))
        for name, values in times.items()
    ]
    return table("Searches", ["", "p50", "p95"], rows)


def _notes(sizes: Mapping[str, int], rates: Mapping[str, float], number: int) -> str:
    lines = [
        f"{number:,} chunks: "
        + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes.items()),
        ", ".join(f"{name}: {rate:,.0f} chunks/s" for name, rate in rates.items()),
    ]
    return "\n".join(lines)
