"""Memory: last messages, context windows, appends and deep pages, compared with raw SQL."""

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
    rotated,
    seconds,
    spread,
    table,
    target_table,
)

if TYPE_CHECKING:
    from benchmarks.memory_calls import Pair

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson"]
OURS, RAW = "ours", "raw"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--long", type=int, default=100_000, metavar="N", help="of one thread")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--calls", type=int, default=30, metavar="N", help="of each, a round")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from benchmarks.memory_calls import pairs
    from benchmarks.memory_data import load

    progress(f"loading {options.messages:,} messages")
    load(options.messages, options.long)
    compared = pairs(options.long)
    for pair in compared:
        pair.check()
    timings = _measure(compared, options.rounds, options.calls)
    targets = list(_targets(compared, timings))
    data = {
        "benchmark": "memory",
        "messages": options.messages,
        "long": options.long,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {pair.name: _ratios(pair, timings) for pair in compared},
        "targets": [{**asdict(target), "met": target.met} for target in targets],
    }
    parts = [_title(options), _table(compared, timings, options.calls), target_table(targets)]
    return "\n\n".join(parts), data


def _measure(compared: list[Pair], rounds: int, calls: int) -> Timings:
    timings = Timings()
    sides = [(pair, side) for pair in compared for side in (OURS, RAW)]
    for round, (pair, side) in rotated(sides, rounds):
        call = pair.ours if side == OURS else pair.raw
        call()  # warm up: prepare the statement and fill the caches

        def several(call: Any = call) -> None:
            for _ in range(calls):
                call()

        timings.add(pair.name, side, round=round, duration=seconds(several))
    return timings


def _ratios(pair: Pair, timings: Timings) -> list[float]:
    return timings.ratios(pair.name, OURS, to=(pair.name, RAW))


def _targets(compared: list[Pair], timings: Timings) -> Iterator[Target]:
    for pair in compared:
        if pair.limit is not None:
            value = middle(_ratios(pair, timings))
            yield Target(name=pair.name, value=value, relation="<=", limit=pair.limit)


def _title(options: argparse.Namespace) -> str:
    return (
        f"A thread of {options.long:,} messages among {options.messages:,}; "
        f"medians of {options.rounds} interleaved rounds of {options.calls} calls"
    )


def _table(compared: list[Pair], timings: Timings, calls: int) -> str:
    rows = []
    for pair in compared:
        ours, raw = (middle(timings.of(pair.name, side)) or 0 for side in (OURS, RAW))
        rows.append(
            (
                pair.name,
                spread(_ratios(pair, timings)),
                f"{ours / calls * 1000:.2f} ms",
                f"{raw / calls * 1000:.2f} ms",
            )
        )
    return table("Ours / raw, in the same round: median [range]", ["", "ratio", OURS, RAW], rows)
