"""The overhead of a declared sync over `sync_records`, per page."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.database import settle
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

if TYPE_CHECKING:
    from mastra_engine import PostgresEngine

PAGE = 1_000
FIRST, UNCHANGED, CHANGED = "first", "unchanged", "1% changed"
# It stores a cursor, as a declared sync stores a checkpoint: unchanged pages write nothing else.
BASE = "sync_records with a cursor"
SYNC = "declared sync"
LIMIT = 1.1
PACKAGES = ["django-mastra-engine", "Django", "psycopg"]

Method = Callable[["PostgresEngine", list[Record]], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=int, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    timings = _measure(Dataset.of(options.records), options.rounds)
    targets = [
        Target(
            name=f"{SYNC}: {phase} / {BASE}",
            value=middle(timings.ratios(SYNC, phase, to=(BASE, phase))),
            relation="<=",
            limit=LIMIT,
        )
        for phase in (FIRST, UNCHANGED, CHANGED)
    ]
    data = {
        "benchmark": "syncs",
        "records": options.records,
        "page": PAGE,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "timings": [
            {
                "method": method,
                "phase": phase,
                "seconds": [round(value, 4) for value in timings.of(method, phase)],
                "median_ratio": middle(timings.ratios(method, phase, to=(BASE, phase))),
            }
            for method, phase in timings
        ],
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }
    title = (
        f"{options.records:,} records in pages of {PAGE:,}, "
        f"medians of {options.rounds} interleaved rounds"
    )
    return "\n\n".join([title, _timing_table(timings), target_table(targets)]), data


def _measure(dataset: Dataset, rounds: int) -> Timings:
    from mastra_engine import PostgresEngine

    engine = PostgresEngine()
    timings = Timings()
    methods = _methods()
    for round, name in rotated(list(methods), rounds):
        progress(f"round {round + 1} of {rounds}: {name}")
        for entity in engine.list_entities():
            engine.delete_entity_by_id(id=entity.id)
        for phase, records in (
            (FIRST, dataset.original),
            (UNCHANGED, dataset.original),
            (CHANGED, dataset.changed),
        ):
            settle()
            duration = seconds(partial(methods[name], engine, records))
            timings.add(name, phase, round=round, duration=duration)
    return timings


def _methods() -> dict[str, Method]:
    return {
        BASE: lambda engine, records: _by_sync_records(engine, records, cursor=True),
        "sync_records without one": _by_sync_records,
        SYNC: lambda engine, records: _by_run(engine, records, "incremental"),
        f"{SYNC} (full)": lambda engine, records: _by_run(engine, records, "full"),
    }


def _by_sync_records(
    engine: PostgresEngine, records: list[Record], *, cursor: bool = False
) -> None:
    for number, page in enumerate(_pages(records)):
        engine.sync_records(
            name="Contacts",
            connection_id="benchmark",
            records=page,
            last_sync_id=str(number) if cursor else None,
        )


def _by_run(engine: PostgresEngine, records: list[Record], mode: Any) -> None:
    from mastra_engine.registry import registry, sync

    def source(context: Any) -> Iterator[list[Record]]:
        for number, page in enumerate(_pages(records)):
            yield page
            context.save_checkpoint(number)

    with registry.empty():
        sync(entity="Contacts", name="contacts", mode=mode)(source)
        completed = engine.run_sync("contacts", connection_id="benchmark")
    assert completed.status == "succeeded", completed.error


def _pages(records: list[Record]) -> Iterator[list[Record]]:
    return (records[start : start + PAGE] for start in range(0, len(records), PAGE))


def _timing_table(timings: Timings) -> str:
    phases = (FIRST, UNCHANGED, CHANGED)
    rows = []
    for method in dict.fromkeys(method for method, _ in timings):
        ratios = [spread(timings.ratios(method, phase, to=(BASE, phase))) for phase in phases]
        first = middle(timings.of(method, FIRST))
        rows.append((method, *ratios, f"{first:.2f} s"))
    title = f"Time as a multiple of {BASE} in the same round: median [range]"
    return table(title, ["", *phases, "first, median"], rows)
