"""Memory: last messages, context windows, appends and deep pages, compared with raw SQL."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from benchmarks.comparison import measure, ratio_table, ratios, targets
from benchmarks.harness import environment, progress, target_table

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson"]


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
    timings = measure(compared, rounds=options.rounds, calls=options.calls)
    arrived = list(targets(compared, timings))
    data = {
        "benchmark": "memory",
        "messages": options.messages,
        "long": options.long,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {pair.name: ratios(pair, timings) for pair in compared},
        "targets": [{**asdict(target), "met": target.met} for target in arrived],
    }
    parts = [_title(options), ratio_table(compared, timings, options.calls), target_table(arrived)]
    return "\n\n".join(parts), data


def _title(options: argparse.Namespace) -> str:
    return (
        f"A thread of {options.long:,} messages among {options.messages:,}; "
        f"medians of {options.rounds} interleaved rounds of {options.calls} calls"
    )
