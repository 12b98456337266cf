"""A million records from an iterator: peak memory, and time per chunk.

Runs in a process of its own (`python -m benchmarks.records_million`), whose high-water mark is
nobody else's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.database import connect, settle
from benchmarks.harness import Target, progress, table
from benchmarks.records_data import Record, contacts

MILLION = 1_000_000
CONNECTION = "benchmark"


def measure() -> dict[str, Any]:
    """Load a million records and sync them again unchanged; return peaks, times and counts."""
    progress(f"{MILLION:,} records from a generator")
    command = [sys.executable, "-m", "benchmarks.records_million", str(MILLION)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    measured: dict[str, Any] = json.loads(output)
    return measured


def targets(measured: dict[str, Any]) -> list[Target]:
    """Return the targets: memory and the time per chunk do not grow with the records."""
    before, loaded, synced = measured["steps"]
    return [
        Target(
            name="a million: memory above that of a thousand",
            value=synced["peak_mb"] - before["peak_mb"],
            relation="<=",
            limit=100,
            unit=" MB",
        ),
        Target(
            name="a million: load, last tenth / first tenth",
            value=loaded["last_tenth"] / loaded["first_tenth"],
            relation="<=",
            limit=2,
        ),
        # If each chunk read the whole entity, every tenth would be equally slow.
        Target(
            name="a million: unchanged full sync / load",
            value=synced["seconds"] / loaded["seconds"],
            relation="<=",
            limit=0.8,
        ),
    ]


def report(measured: dict[str, Any]) -> str:
    """Return the figures as a table."""
    rows = [
        (
            step["name"],
            f"{step['peak_mb']:.0f} MB",
            f"{step['seconds']:.1f} s",
            f"{step['first_tenth']:.1f} s",
            f"{step['last_tenth']:.1f} s",
            step["result"],
        )
        for step in measured["steps"]
    ]
    title = (
        f"{measured['records']:,} records from a generator into a new entity, which the planner's "
        "statistics do not know"
    )
    headers = ["", "client's peak memory", "took", "first tenth", "last tenth", "result"]
    return table(title, headers, rows)


def _measure(count: int) -> dict[str, Any]:
    import django

    django.setup()
    from mastra_engine import engine

    def upsert(records: Iterator[Record]) -> str:
        entity, _ = engine.get_or_create_entity(name="Million", connection_id=CONNECTION)
        result = engine.upsert_records(records=records, entity_id=entity.id)
        return f"{result.created:,} created"

    def sync(records: Iterator[Record], name: str = "Million") -> str:
        result = engine.sync_records(
            name=name, connection_id=CONNECTION, records=records, mode="full"
        )
        return f"{result.created:,} created, {result.unchanged:,} unchanged"

    _keep_statistics_stale()
    before = _step("another entity", lambda records: sync(records, "Other"), min(count, 1000))
    # The worst case for the planner: statistics of tables that do not have the new rows.
    settle()
    loaded = _step("upsert_records", upsert, count)
    synced = _step("sync_records (full) unchanged", sync, count)
    return {"records": count, "steps": [before, loaded, synced]}


def _step(name: str, work: Callable[[Iterator[Record]], str], count: int) -> dict[str, Any]:
    """Run `work` on `count` records, and record the time after each tenth of them."""
    start = time.perf_counter()
    tenths = [start]

    def paced() -> Iterator[Record]:
        for number, record in enumerate(contacts(count), 1):
            yield record
            if number % (count // 10) == 0:
                tenths.append(time.perf_counter())

    result = work(paced())
    return {
        "name": name,
        "result": result,
        "peak_mb": _peak_mb(),
        "seconds": round(time.perf_counter() - start, 2),
        "first_tenth": round(tenths[1] - tenths[0], 3),
        "last_tenth": round(tenths[10] - tenths[9], 3),
    }


def _keep_statistics_stale() -> None:
    with connect() as connection:
        connection.execute("ALTER TABLE mastra_engine_record SET (autovacuum_enabled = off)")


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
