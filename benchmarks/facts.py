"""Facts: remembering, the current ones, earlier ones and searches, compared with raw SQL."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any

import psycopg
from psycopg.pq import Format
from uuid_utils.compat import uuid7

from benchmarks.comparison import Pair, Rows, measure, ratio_table, ratios, targets
from benchmarks.database import settle
from benchmarks.harness import RandomEmbedder, environment, progress, target_table

PACKAGES = ["django-mastra-engine", "Django", "psycopg", "orjson", "uuid-utils"]
EACH = 20
DIMENSION = 384
USER, SEARCHED = "user 7", "searched"
A_YEAR_AGO = datetime.now(UTC) - timedelta(days=365)
WORDS = ["tea", "milk", "coffee", "water", "bread", "cheese", "apples", "plums", "rice", "honey"]

# Every claim has a version that another one superseded half a year ago.
_FILL = f"""
    INSERT INTO mastra_engine_fact
        (id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
         aliases, valid_from, valid_to, ends, ends_known_at, created_at, superseded_at, confidence,
         pinned, many, is_indexed)
    SELECT gen_random_uuid(), 'user ' || i / {EACH * 2}, 'person', 'likes ' || i, 'tea',
           md5('user ' || i / {EACH * 2})::uuid, md5((i / 2)::text)::uuid, md5('')::uuid, '{{}}',
           now() - interval '2 years', CASE WHEN is_old THEN half END,
           CASE WHEN is_old THEN ARRAY[half] ELSE '{{}}' END,
           CASE WHEN is_old THEN ARRAY[half] ELSE '{{}}' END,
           CASE WHEN is_old THEN now() - interval '2 years' ELSE half END,
           CASE WHEN is_old THEN half END, 1, false, false, true
    FROM generate_series(0, %s::int - 1) AS i,
         LATERAL (SELECT i %% 2 = 0 AS is_old, now() - interval '180 days' AS half) AS at
"""
_COLUMNS = """
    id, resource_id, subject, predicate, object, valid_from, valid_to, created_at, superseded_at,
    retracted_at, reason, confidence, aliases, pinned, many
"""
_INSERT = f"""
    INSERT INTO mastra_engine_fact
        (id, resource_id, subject, predicate, object, subject_key, predicate_key, object_key,
         aliases, valid_from, ends, ends_known_at, created_at, confidence, pinned, many)
    VALUES (%s::text::uuid, 'raw', %s, 'likes', %s, %s::text::uuid, md5('likes')::uuid,
            md5('')::uuid, '{{}}', statement_timestamp(), '{{}}', '{{}}', statement_timestamp(),
            1, false, false)
    RETURNING {_COLUMNS}
"""
_SUPERSEDE = """
    UPDATE mastra_engine_fact
    SET superseded_at = statement_timestamp(), valid_to = statement_timestamp()
    WHERE subject_key = %s::text::uuid AND superseded_at IS NULL AND retracted_at IS NULL
"""
_CURRENT = f"""
    SELECT {_COLUMNS} FROM mastra_engine_fact
    WHERE resource_id = %s AND valid_from <= statement_timestamp()
      AND coalesce(valid_to, 'infinity') > statement_timestamp()
    ORDER BY created_at, id LIMIT 100
"""
_KNOWN = f"""
    SELECT {_COLUMNS} FROM mastra_engine_fact
    WHERE resource_id = %s AND created_at <= %s ORDER BY created_at, id LIMIT 100
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--facts", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--searched", type=int, default=5_000, metavar="N", help="with vectors")
    parser.add_argument("--rounds", type=int, default=15, metavar="N")
    parser.add_argument("--calls", type=int, default=30, metavar="N", help="of each, a round")


def run(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Run the benchmark; return a report as text, and its figures."""
    progress(f"loading {options.facts:,} facts")
    _load(options.facts)
    compared = _pairs()
    progress(f"indexing {options.searched:,} facts")
    compared += _searches(options.searched)
    for pair in compared:
        pair.check()
    timings = measure(compared, rounds=options.rounds, calls=options.calls)
    reached = list(targets(compared, timings))
    data = {
        "benchmark": "facts",
        "facts": options.facts,
        "searched": options.searched,
        "rounds": options.rounds,
        "environment": environment(PACKAGES),
        "ratios": {pair.name: ratios(pair, timings) for pair in compared},
        "targets": [{**asdict(target), "met": target.met} for target in reached],
    }
    title = f"Medians of {options.rounds} interleaved rounds of {options.calls} calls"
    tables = [ratio_table(compared, timings, options.calls), target_table(reached)]
    return "\n\n".join([title, *tables]), data


def _load(size: int) -> None:
    """Store facts of many users: each has 20 current ones and 20 earlier ones."""
    from django.db import connection

    connection.ensure_connection()
    driver = connection.connection
    driver.execute(_FILL, [size])
    driver.execute("VACUUM ANALYZE mastra_engine_fact")


def _pairs() -> list[Pair]:
    """Return the comparisons with SQL."""
    from django.db import connection

    from benchmarks.memory_calls import keep_apart
    from mastra_engine import engine
    from mastra_engine.types import FactInput

    keep_apart()
    facts, numbers = engine.facts, count()
    driver = connection.connection
    binary, usual = psycopg.Cursor(driver), psycopg.Cursor(driver)
    binary.format = Format.BINARY
    claim = str(uuid7())

    def rows(sql: str, *parameters: Any, cursor: Any = binary) -> Rows:
        selected: Rows = cursor.execute(sql, parameters, prepare=True).fetchall()
        return selected

    def remember(subject: str | None = None) -> Rows:
        number = next(numbers)
        fact = FactInput(subject or f"person {number}", "likes", f"tea {number}")
        return facts.remember(resource_id="ours", facts=[fact])

    def insert(key: str | None = None) -> Rows:
        number = next(numbers)
        values = str(uuid7()), f"person {number}", f"tea {number}", key or str(uuid7())
        return rows(_INSERT, *values)

    def supersede() -> Rows:
        with driver.transaction():
            binary.execute(_SUPERSEDE, [claim], prepare=True)
            return insert(claim)

    def current() -> Rows:
        return facts.list_facts(resource_id=USER).items

    def known() -> Rows:
        return facts.list_facts(resource_id=USER, known_at=A_YEAR_AGO).items

    def select(sql: str, *parameters: Any, cursor: Any = usual) -> Callable[[], Rows]:
        return partial(rows, sql, *parameters, cursor=cursor)

    current_name, known_name = f"{EACH} current facts / select", "as known a year ago / select"
    then = USER, A_YEAR_AGO
    return [
        Pair("remember a new fact / insert", remember, insert, limit=2.5),
        Pair("remember another object / insert", lambda: remember("person"), insert, limit=2.5),
        Pair("remember another object / update, insert", lambda: remember("person"), supersede),
        Pair(current_name, current, select(_CURRENT, USER), limit=1.5),
        Pair(known_name, known, select(_KNOWN, *then), limit=2),
        # Psycopg reads times several times as fast in binary, which has to be turned on.
        Pair(f"{current_name}, binary", current, select(_CURRENT, USER, cursor=binary)),
        Pair(f"{known_name}, binary", known, select(_KNOWN, *then, cursor=binary)),
    ]


def _searches(size: int) -> list[Pair]:
    """Return comparisons of searches with `vectors.query` in an index of the same texts."""
    from mastra_engine import PostgresEngine

    embedder = RandomEmbedder(DIMENSION)
    engine = PostgresEngine(embedder=embedder)
    facts, vectors, query = engine.facts, engine.vectors, "does Anna like honey cake"
    remembered = [fact for batch in _batches(size) for fact in facts.remember(**batch)]
    facts.index_pending()
    vectors.create_index(index_name="texts", dimension=DIMENSION)
    vectors.upsert(
        index_name="texts",
        namespace=SEARCHED,
        ids=[str(fact.id) for fact in remembered],
        vectors=embedder.embed_documents([""] * size),
        metadata=[{"fact": str(fact.id)} for fact in remembered],
        documents=[f"{fact.subject} {fact.predicate} {fact.object}" for fact in remembered],
    )

    settle()

    def search() -> Rows:
        return facts.search(query=query, resource_id=SEARCHED)

    def matches() -> Rows:
        return vectors.query(index_name="texts", query_text=query, namespace=SEARCHED, hybrid=True)

    return [Pair(f"search {size:,} / vectors.query, hybrid", search, matches, limit=1.3)]


def _batches(size: int) -> Iterator[dict[str, Any]]:
    chance = Random(2)
    facts = [
        {
            "subject": chance.choice(["Anna", "Bob", "Carla"]),
            "predicate": "likes",
            "object": f"{' '.join(chance.choices(WORDS, k=4))} {number}",
            "many": True,
        }
        for number in range(size)
    ]
    for start in range(0, size, 1_000):
        yield {"resource_id": SEARCHED, "facts": facts[start : start + 1_000]}
