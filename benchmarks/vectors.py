"""Vectors: bulk loads, searches, filters and many indexes, beside raw SQL and brute force."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.harness import (
    Target,
    Timings,
    environment,
    middle,
    progress,
    spread,
    table,
    target_table,
)

if TYPE_CHECKING:
    from benchmarks.vectors_data import Dataset
    from benchmarks.vectors_searches import Found

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "pgvector", "numpy"]
INDEXES = 400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--rows", type=int, default=100_000, metavar="N")
    parser.add_argument("--dim", type=int, default=384, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of the bulk loads")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from benchmarks import vectors_harder, vectors_loads, vectors_searches
    from benchmarks.vectors_data import Dataset

    give_memory_to_builds()
    data = Dataset.of(options.rows, options.dim)
    loads = vectors_loads.measure(
        data.vectors,
        rounds=options.rounds,
        rows=min(20_000, options.rows),
        rows_into_hnsw=min(5_000, options.rows),
    )
    progress(f"{INDEXES} indexes")
    many = vectors_searches.many_indexes(data, INDEXES)
    progress(f"building an index of {options.rows:,} vectors")
    _load(data)
    progress("searching")
    searches = vectors_searches.unfiltered(data)
    pooled = vectors_searches.unprepared(lambda: vectors_searches.unfiltered(data))
    filtered = vectors_searches.filtered(data)
    harder = vectors_harder.measure(options.rows, options.dim)
    targets = [*_load_targets(loads), *_search_targets(searches, filtered, many)]
    parts = [
        _title(options, len(data.queries)),
        _load_table(loads),
        _search_table("Searches", searches),
        _search_table("Searches, nothing prepared, as behind a pooler", pooled),
        _filter_table(data, filtered),
        _harder_table(harder),
        _many_table(many),
        target_table(targets),
    ]
    return "\n\n".join(parts), {
        "benchmark": "vectors",
        "rows": options.rows,
        "dimension": options.dim,
        "environment": environment(PACKAGES),
        "loads": {" ".join(item): loads.of(*item) for item in loads},
        "searches": _plain(searches),
        "pooled": _plain(pooled),
        "filters": {key: _plain(matches) for key, matches in filtered.items()},
        "harder": _plain(harder),
        "many_indexes": many,
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }


def _title(options: argparse.Namespace, queries: int) -> str:
    return (
        f"{options.rows:,} x {options.dim}, clustered; "
        f"medians of {options.rounds} rounds and {queries} queries"
    )


def give_memory_to_builds() -> None:
    """Raise `maintenance_work_mem`: a larger HNSW takes several times as long to build."""
    from django.db import connection

    from benchmarks.database import connect

    with connect() as admin:
        admin.execute(f"ALTER DATABASE \"{admin.info.dbname}\" SET maintenance_work_mem = '1GB'")
    connection.close()


def _load(data: Dataset) -> None:
    from benchmarks.database import settle
    from benchmarks.vectors_searches import INDEX
    from mastra_engine import engine

    ids = [str(i) for i in range(len(data.vectors))]
    engine.vectors.create_index(index_name=INDEX, dimension=data.vectors.shape[1])
    with engine.vectors.bulk_load(index_name=INDEX):
        engine.vectors.upsert(
            index_name=INDEX, vectors=data.vectors, ids=ids, metadata=data.metadata
        )
    settle()


def _load_targets(loads: Timings) -> Iterator[Target]:
    from benchmarks.vectors_loads import BUILT, FILLED, FLAT, GIVEN_IDS, LISTS, NEW_IDS

    for method, phase, least in (
        (NEW_IDS, FLAT, 0.7),
        (GIVEN_IDS, FLAT, 0.7),
        (LISTS, FLAT, 0.5),
        (NEW_IDS, FILLED, 0.95),
        (NEW_IDS, BUILT, 0.9),
    ):
        rate = middle(_rates(loads, method, phase))
        name = f"{method}, {phase}: rate / raw"
        yield Target(name=name, value=rate, relation=">=", limit=least)


def _search_targets(
    searches: dict[str, dict[str, Found]],
    filtered: dict[str, dict[str, dict[str, Found]]],
    many: dict[str, float],
) -> Iterator[Target]:
    ratio = _ratio(searches["100"], "ours", "raw")
    yield Target(name="search: p50 / raw", value=ratio, relation="<=", limit=1.2)
    recall = searches["100"]["ours"].recall
    yield Target(name="recall@10 by default", value=recall, relation=">=", limit=0.95, unit=" ")
    for key, least in (("p1", 0.99), ("p10", 0.95)):
        recall = filtered[key]["ours"]["filtered"].recall
        yield Target(name=f"{key}: recall@10", value=recall, relation=">=", limit=least, unit=" ")
    ratio = _ratio(filtered["p1"]["ours"], "filtered", "unfiltered")
    yield Target(name="p1: p50 / unfiltered", value=ratio, relation="<=", limit=2)
    fewest = min(matches["ours"]["filtered"].fewest for matches in filtered.values())
    yield Target(name="filters: fewest rows of 10", value=fewest, relation=">=", limit=10, unit="")
    for what, ratio in many.items():
        name = f"{what} among {INDEXES} indexes / one"
        yield Target(name=name, value=ratio, relation="<=", limit=1.2)


def _rates(loads: Timings, method: str, phase: str) -> list[float]:
    from benchmarks.vectors_loads import FLOOR

    return [1 / ratio for ratio in loads.ratios(method, phase, to=(FLOOR, phase))]


def _ratio(matches: dict[str, Found], one: str, other: str) -> float:
    return matches[one].milliseconds / matches[other].milliseconds


def _load_table(loads: Timings) -> str:
    rows = [
        (f"{method}, {phase}", spread(_rates(loads, method, phase)), f"{_seconds(loads, item):.2f}")
        for item in loads
        for method, phase in [item]
    ]
    return table("Rate as a multiple of raw COPY: median [range]", ["", "rate", "s"], rows)


def _seconds(loads: Timings, item: tuple[str, str]) -> float:
    return middle(loads.of(*item)) or 0


def _search_table(title: str, searches: dict[str, dict[str, Found]]) -> str:
    rows = [
        (
            f"ef_search {ef}",
            f"{matches['ours'].recall:.3f}",
            f"{matches['ours'].milliseconds:.2f}",
            f"{matches['raw'].milliseconds:.2f}",
            f"{_ratio(matches, 'ours', 'raw'):.2f}x",
        )
        for ef, matches in searches.items()
    ]
    return table(title, ["", "recall@10", "p50 ms", "raw p50 ms", "ratio"], rows)


def _filter_table(data: Dataset, filtered: dict[str, dict[str, dict[str, Found]]]) -> str:
    rows = [
        (
            key,
            len(data.carrying(key)),
            *(_filter_cell(matches[way]) for way in ("ours", "exact", "graph")),
        )
        for key, matches in filtered.items()
    ]
    title = 'Filters: recall@10, fewest rows, p50 / unfiltered ("p1": a random 1 %; "far": topics)'
    return table(title, ["", "vectors", "ours", "always exact", "always the graph"], rows)


def _filter_cell(matches: dict[str, Found]) -> str:
    one = matches["filtered"]
    return f"{one.recall:.3f}/{one.fewest}/{_ratio(matches, 'filtered', 'unfiltered'):.1f}x"


def _harder_table(harder: dict[str, dict[str, Found]]) -> str:
    rows = [
        (kind, ef, f"{item.recall:.3f}", f"{item.milliseconds:.2f}")
        for kind, matches in harder.items()
        for ef, item in matches.items()
    ]
    return table("Harder data", ["", "ef_search", "recall@10", "p50 ms"], rows)


def _many_table(many: dict[str, float]) -> str:
    rows = [(what, f"{ratio:.2f}x") for what, ratio in many.items()]
    return table(f"Time among {INDEXES} indexes, as a multiple of that with one", ["", ""], rows)


def _plain(matches: dict[str, dict[str, Found]]) -> dict[str, Any]:
    return {key: {way: asdict(item) for way, item in ways.items()} for key, ways in matches.items()}
