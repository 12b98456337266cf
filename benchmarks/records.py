"""Load records, reload them unchanged, and reload them with 1 % changed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from math import ceil
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks import records_million
from benchmarks.database import Counter, Counts, counted_statements, settle
from benchmarks.harness import (
    Target,
    Timings,
    environment,
    middle,
    progress,
    rotated,
    seconds,
    spread,
    table,
    target_table,
)
from benchmarks.records_data import Dataset, Record
from mastra_engine.validation.inputs import CHUNK_RECORDS

if TYPE_CHECKING:
    from benchmarks.records_methods import Method

FIRST, UNCHANGED, AGAIN, CHANGED = "first", "unchanged", "unchanged again", "1% changed"
FLOOR = ("COPY floor", FIRST)
PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson", "dlt"]


AllCounts = dict[tuple[str, str], Counts]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--million", action="store_true", help="also a million from a generator: memory and pace"
    )


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    # First, because on Linux a child's peak memory starts at its parent's.
    million = records_million.measure() if options.million else None
    dataset = Dataset.of(options.records)
    timings, counts = _measure(dataset, options.rounds)
    targets = _targets(timings, counts, records=options.records)
    if million is not None:
        targets += records_million.targets(million)
    data = {
        "benchmark": "records",
        "records": options.records,
        "rounds": options.rounds,
        "bytes_of_json": _mean_size(dataset.original),
        "environment": environment(PACKAGES),
        "timings": _timing_data(timings),
        "counts": [
            {"method": method, "phase": phase, **asdict(counted)}
            for (method, phase), counted in counts.items()
        ],
        "targets": [{**asdict(target), "met": target.met} for target in targets],
        "million": million,
    }
    parts = [_title(data), _timing_table(timings), _count_table(counts)]
    if million is not None:
        parts.append(records_million.report(million))
    return "\n\n".join([*parts, target_table(targets)]), data


def _measure(dataset: Dataset, rounds: int) -> tuple[Timings, AllCounts]:
    """Measure every pass; the counts are of the last round."""
    from benchmarks.records_methods import methods

    timings, counts = Timings(), AllCounts()
    for round, method in rotated(methods(dataset), rounds):
        progress(f"round {round + 1} of {rounds}: {method.name}")
        method.prepare()
        for phase, records in _passes(dataset, repeatable=method.repeatable):
            if phase != AGAIN:
                settle()
            duration, counted = _pass(method, records)
            timings.add(method.name, phase, round=round, duration=duration)
            counts[method.name, phase] = counted
    return timings, counts


def _passes(dataset: Dataset, *, repeatable: bool) -> Iterator[tuple[str, list[Record]]]:
    yield FIRST, dataset.original
    if repeatable:
        yield UNCHANGED, dataset.original
        yield AGAIN, dataset.original
        yield CHANGED, dataset.changed


def _pass(method: Method, records: list[Record]) -> tuple[float, Counts]:
    counter = Counter(method.worker())
    with counted_statements() as statements:
        duration = seconds(lambda: method.write(records))
        sent = statements() or None  # no statement over this connection was counted
    return duration, counter.counts(statements=sent)


def _targets(timings: Timings, counts: AllCounts, *, records: int) -> list[Target]:
    # A chunk with changes increments `rev` once, which leaves one dead version of the entity.
    dead = ceil(records / 100) + ceil(records / CHUNK_RECORDS)
    return [
        target
        for method in ("upsert_records", "sync_records (full)")
        for target in (
            *_time_targets(method, timings),
            *_count_targets(method, counts, most_dead=dead),
        )
    ]


def _time_targets(method: str, timings: Timings) -> Iterator[Target]:
    for phase, limit in ((FIRST, 1.8), (UNCHANGED, 1.3), (CHANGED, 1.2)):
        ratio = middle(timings.ratios(method, phase, to=FLOOR))
        yield Target(name=f"{method}: {phase} / floor", value=ratio, relation="<=", limit=limit)
    yield Target(
        name=f"{method}: unchanged, times faster than bulk_create",
        value=middle(timings.ratios("bulk_create", UNCHANGED, to=(method, UNCHANGED))),
        relation=">=",
        limit=6,
    )


def _count_targets(method: str, counts: AllCounts, *, most_dead: int) -> Iterator[Target]:
    unchanged, again, some = (counts[method, phase] for phase in (UNCHANGED, AGAIN, CHANGED))
    for what, value, limit in (
        ("unchanged, rows written", unchanged.rows_written + again.rows_written, 0),
        ("unchanged, WAL bytes", unchanged.wal_bytes, 32 * 1024),
        ("unchanged again, WAL bytes", again.wal_bytes, 0),
        ("1% changed, dead rows", some.dead_rows, most_dead),
    ):
        yield Target(name=f"{method}: {what}", value=value, relation="<=", limit=limit, unit="")


def _title(data: dict[str, Any]) -> str:
    environment = data["environment"]
    versions = ", ".join(f"{name} {matches}" for name, matches in environment["packages"].items())
    server = environment["postgresql"]
    return (
        f"{data['records']:,} records of {data['bytes_of_json']:.0f} bytes of JSON, "
        f"medians of {data['rounds']} interleaved rounds\n"
        f"Python {environment['python']}, {versions}\n"
        f"PostgreSQL {server['server_version']}, shared_buffers {server['shared_buffers']} pages, "
        f"fsync {server['fsync']}, {environment['cpus']} CPUs"
    )


def _timing_table(timings: Timings) -> str:
    phases = (FIRST, UNCHANGED, CHANGED)
    rows = []
    for method in dict.fromkeys(method for method, _ in timings):
        ratios = [spread(timings.ratios(method, phase, to=FLOOR)) for phase in phases]
        first = middle(timings.of(method, FIRST))
        rows.append((method, *ratios, f"{first:.2f} s"))
    title = "Time as a multiple of the COPY floor of the same round: median [range]"
    return table(title, ["", *phases, "first, median"], rows)


def _count_table(counts: AllCounts) -> str:
    rows = [
        (
            f"{method}: {phase}",
            *map(
                _number,
                (
                    counted.rows_written,
                    counted.dead_rows,
                    counted.wal_bytes,
                    counted.server_wal_bytes,
                    counted.statements,
                ),
            ),
        )
        for (method, phase), counted in sorted(counts.items(), key=_by_phase)
    ]
    title = 'What one pass did to the database ("again": the second pass after a checkpoint)'
    headers = ["", "rows written", "dead rows", "own WAL", "server's WAL", "statements"]
    return table(title, headers, rows)


def _by_phase(item: tuple[tuple[str, str], Counts]) -> int:
    return (FIRST, UNCHANGED, AGAIN, CHANGED).index(item[0][1])


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _timing_data(timings: Timings) -> list[dict[str, Any]]:
    return [_one_timing(timings, method, phase) for method, phase in timings]


def _one_timing(timings: Timings, method: str, phase: str) -> dict[str, Any]:
    ratios = timings.ratios(method, phase, to=FLOOR)
    return {
        "method": method,
        "phase": phase,
        "seconds": [round(value, 4) for value in timings.of(method, phase)],
        "ratios": [round(value, 3) for value in ratios],
        "median_ratio": middle(ratios),
    }


def _mean_size(records: list[Record]) -> float:
    return sum(len(orjson.dumps(record["data"])) for record in records) / len(records)
