"""Reads of records: one, a page, an equality filter and changes, compared with raw SQL."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from benchmarks.comparison import Pair, Rows, measure, ratio_table, ratios, targets
from benchmarks.harness import environment, progress, target_table
from benchmarks.records_data import contacts

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson"]
PAGE, CHANGES = 50, 100

_COLUMNS = "id, external_id, data::text, rev, created_at, updated_at"
_LIVE = f"SELECT {_COLUMNS} FROM mastra_engine_record WHERE entity_id = %s AND deleted_at IS NULL"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--records", type=int, default=50_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--calls", type=int, default=30, metavar="N", help="of each, a round")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    from django.db import connection

    from mastra_engine import engine

    progress(f"loading {options.records:,} records")
    records = contacts(options.records)
    entity = engine.sync_records(name="Contacts", connection_id="crm", records=records).entity
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE mastra_engine_record")
    compared = _pairs(entity.id, options.records)
    for pair in compared:
        pair.check()
    timings = measure(compared, rounds=options.rounds, calls=options.calls)
    arrived = list(targets(compared, timings))
    data = {
        "benchmark": "record_reads",
        "records": options.records,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {pair.name: ratios(pair, timings) for pair in compared},
        "targets": [{**asdict(target), "met": target.met} for target in arrived],
    }
    title = (
        f"{options.records:,} records; medians of {options.rounds} interleaved rounds of "
        f"{options.calls} calls"
    )
    parts = [title, ratio_table(compared, timings, options.calls), target_table(arrived)]
    return "\n\n".join(parts), data


def _pairs(entity_id: Any, number: int) -> list[Pair]:
    """Return the comparisons. The raw side is prepared, binary, and decodes JSON by orjson."""
    import orjson
    import psycopg
    from django.db import connection
    from psycopg.pq import Format

    from mastra_engine import engine

    connection.ensure_connection()
    cursor = psycopg.Cursor(connection.connection)
    cursor.format = Format.BINARY
    key = f"contact-{number // 2:08d}"
    email = engine.get_record(entity_id=entity_id, external_id=key).data["email"]
    by_name: dict[str, Any] = {"entity_name": "Contacts", "connection_id": "crm"}

    def raw(condition: str, *parameters: Any) -> Rows:
        sql = f"{_LIVE} {condition}"
        rows = cursor.execute(sql, [entity_id, *parameters], prepare=True).fetchall()
        return [(*row[:2], orjson.loads(row[2]), *row[3:]) for row in rows]

    return [
        Pair(
            "get_record",
            lambda: [engine.get_record(entity_id=entity_id, external_id=key)],
            lambda: raw("AND external_id = %s", key),
            limit=2.0,
        ),
        Pair(
            f"a page of {PAGE}",
            lambda: engine.get_records(**by_name, options={"limit": PAGE}).items,
            lambda: raw("ORDER BY external_id LIMIT %s", PAGE),
            limit=1.5,
        ),
        Pair(
            "an equality filter",
            lambda: engine.get_records(**by_name, options={"filters": {"email": email}}).items,
            lambda: raw("AND data @@ %s::jsonpath ORDER BY external_id", f'$."email" == "{email}"'),
            limit=2.0,
        ),
        Pair(
            f"{CHANGES} changes",
            lambda: engine.get_changes(entity_id=entity_id, limit=CHANGES).items,
            lambda: raw("AND rev > %s AND rev >= 0 ORDER BY rev LIMIT %s", 0, CHANGES),
            limit=1.5,
        ),
    ]
