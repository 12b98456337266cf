"""Agent state: puts, gets, batches and lists, compared with raw SQL, among few and many items."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from itertools import count
from typing import Any

import psycopg
from psycopg.pq import Format
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from benchmarks.comparison import OURS, Pair, Rows, measure, ratio_table, ratios, targets
from benchmarks.harness import Target, Timings, environment, middle, progress, target_table
from benchmarks.state_pages import index_items, page_targets, pages_read, pages_table

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson"]
VALUE = {"theme": "dark", "cups": 2, "said": "word " * 40, "tags": ["a", "b", "c"]}
BATCH = 100

_COLUMNS = "namespace, key, value, version, created_at, updated_at, expires_at"
_SELECT = f"""
    SELECT {_COLUMNS} FROM mastra_engine_stateitem WHERE namespace = %s::text[] AND key = %s
"""
_ROW = "(%s::text::uuid, %s::text[], %s, %s, 1, true)"
_INSERT = "INSERT INTO mastra_engine_stateitem (id, namespace, key, value, version, is_pending)"
_UPDATE = f"""
    UPDATE mastra_engine_stateitem
    SET value = %s, version = version + 1, updated_at = statement_timestamp()
    WHERE namespace = %s::text[] AND key = %s RETURNING {_COLUMNS}
"""
_PAGE = f"""
    SELECT {_COLUMNS} FROM mastra_engine_stateitem
    WHERE namespace >= %s::text[] AND namespace < %s::text[] ORDER BY namespace, key LIMIT 100
"""
_FILL = """
    INSERT INTO mastra_engine_stateitem
        (id, namespace, key, value, version, is_pending, created_at)
    SELECT gen_random_uuid(), ARRAY['user ' || i / 100, 'prefs'], 'key ' || i, %s, 1, false, now()
    FROM generate_series(%s::int, %s::int) AS i
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--few", type=int, default=10_000, metavar="N", help="items at first")
    parser.add_argument("--many", type=int, default=1_000_000, metavar="N", help="items at last")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--calls", type=int, default=30, metavar="N", help="of each, a round")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    compared: list[Pair] = []
    timings: dict[int, Timings] = {}
    pages: dict[int, dict[str, int]] = {}
    loaded = 0
    for size in (options.few, options.many):
        progress(f"loading {size:,} items")
        load(loaded, size)
        index_items(loaded, size)
        loaded = size
        pages[size] = pages_read()
        compared = pairs()
        for pair in compared:
            pair.check()
        timings[size] = measure(compared, rounds=options.rounds, calls=options.calls)
    few, many = timings.values()
    arrived = [
        *targets(compared, many),
        *_flat(compared, few, many),
        *page_targets(*pages.values()),
    ]
    data = {
        "benchmark": "state",
        "items": list(timings),
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {
            size: {pair.name: ratios(pair, of_size) for pair in compared}
            for size, of_size in timings.items()
        },
        "pages": pages,
        "targets": [{**asdict(target), "met": target.met} for target in arrived],
    }
    tables = [
        f"Among {size:,} items\n{ratio_table(compared, of_size, options.calls)}"
        for size, of_size in timings.items()
    ]
    title = f"Medians of {options.rounds} interleaved rounds of {options.calls} calls"
    return "\n\n".join([title, *tables, pages_table(pages), target_table(arrived)]), data


def load(start: int, stop: int) -> None:
    """Store items from number `start` to `stop`."""
    from django.db import connection

    connection.ensure_connection()
    driver = connection.connection
    driver.execute(_FILL, [Jsonb(VALUE), start, stop - 1])
    driver.execute("VACUUM ANALYZE mastra_engine_stateitem")


def pairs() -> list[Pair]:
    """Return the comparisons."""
    from django.db import connection

    from benchmarks.memory_calls import keep_apart
    from mastra_engine import engine

    keep_apart()
    state, numbers = engine.state, count()
    cursor = psycopg.Cursor(connection.connection)
    cursor.format = Format.BINARY
    ours, raw = ("ours", str(uuid7())), ("raw", str(uuid7()))

    def rows(sql: str, *parameters: Any) -> Rows:
        return cursor.execute(sql, parameters, prepare=True).fetchall()

    def new_row() -> tuple[Any, ...]:
        return str(uuid7()), list(raw), f"key {next(numbers)}", Jsonb(VALUE)

    def put(**arguments: Any) -> Rows:
        key = f"key {next(numbers)}"
        return [state.put(namespace=ours, key=key, value=VALUE, **arguments)]

    def replace() -> Rows:
        return [state.put(namespace=("user 7", "prefs"), key="key 777", value=VALUE)]

    def get() -> Rows:
        return [state.get(namespace=("user 7", "prefs"), key="key 777")]

    def batch() -> Rows:
        operations = [
            {"op": "put", "namespace": ours, "key": f"key {next(numbers)}", "value": VALUE}
            for _ in range(BATCH)
        ]
        return state.batch(operations=operations)

    def insert(size: int = 1) -> Rows:
        values = [value for _ in range(size) for value in new_row()]
        return rows(f"{_INSERT} VALUES {', '.join([_ROW] * size)} RETURNING {_COLUMNS}", *values)

    def items() -> Rows:
        return state.list_items(namespace_prefix=("user 7",)).items

    return [
        Pair("put new / insert", put, insert, limit=1.8),
        Pair("put replacing / update", replace, lambda: rows(_UPDATE, Jsonb(VALUE), *_PLACE)),
        Pair("get / prepared select", get, lambda: rows(_SELECT, *_PLACE), limit=1.5),
        Pair(f"batch of {BATCH} puts / insert of {BATCH}", batch, lambda: insert(BATCH)),
        Pair("list 100 / select 100", items, lambda: rows(_PAGE, ["user 7"], ["user 7\x01"])),
    ]


_PLACE = (["user 7", "prefs"], "key 777")


def _flat(compared: list[Pair], few: Timings, many: Timings) -> list[Target]:
    """Return the targets that calls take as long among many items as among few."""
    return [
        Target(
            name=f"{pair.name.partition(' /')[0]} among many / among few",
            value=_quotient(many.of(pair.name, OURS), few.of(pair.name, OURS)),
            relation="<=",
            limit=1.3,
        )
        for pair in compared
    ]


def _quotient(many: list[float], few: list[float]) -> float | None:
    above, below = middle(many), middle(few)
    return None if above is None or not below else above / below
