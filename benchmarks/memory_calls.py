"""The comparisons: a call of the engine, and the minimal SQL for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from typing import Any

import orjson
import psycopg
from django.db import connection
from pgvector import Vector
from psycopg.pq import Format
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from benchmarks.comparison import Pair, Rows
from benchmarks.harness import RandomEmbedder
from benchmarks.memory_data import LONG, OURS, RAW
from mastra_engine import PostgresEngine, engine

BUDGETS = (4_000, 32_000, 128_000)
PAGE = 100
DIMENSION = 384

_COLUMNS = """
    id, thread_id, position, role, content, tool_call_id, tokens, metadata, created_at
"""
_BY_ID = f"SELECT {_COLUMNS} FROM mastra_engine_message WHERE id = %s"
_LAST = f"""
    SELECT {_COLUMNS} FROM mastra_engine_message
    WHERE thread_id = %s ORDER BY position DESC LIMIT %s
"""
_LAST_AS_TEXT = _LAST.replace("content,", "content::text,").replace("metadata,", "metadata::text,")
_INSERT = """
    INSERT INTO mastra_engine_message
        (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, created_at)
    VALUES (%s, %s, %s, 'user', %s, %s, %s, %s, %s, clock_timestamp())
    RETURNING id, position, created_at
"""

_INSERT_VECTOR = """
    INSERT INTO {table} (index_id, row_id, namespace, id, metadata, document, embedding)
    VALUES (%s, %s::text::uuid, %s, %s, %s, %s, %s::vector)
"""


class Raw:
    """The driver alone: prepared statements with binary results, on the engine's connection.

    To another server process, a round trip might take four times as long.
    """

    def __init__(self) -> None:
        self._cursor = psycopg.Cursor(connection.connection)
        self._cursor.format = Format.BINARY
        self._positions = count(1)
        (self._id,) = self._rows("SELECT id FROM mastra_engine_message WHERE position = 7 LIMIT 1")

    def _rows(self, sql: str, *parameters: Any) -> Rows:
        return self._cursor.execute(sql, parameters, prepare=True).fetchall()

    def execute(self, sql: str, parameters: Any) -> None:
        self._cursor.execute(sql, parameters, prepare=True)

    def by_id(self) -> Rows:
        return self._rows(_BY_ID, self._id[0])

    def last(self, number: int) -> Rows:
        return self._rows(_LAST, LONG, number)

    def last_by_orjson(self, number: int) -> Rows:
        """Return rows with JSON decoded by orjson, the fastest way known."""
        return [
            (*row[:4], orjson.loads(row[4]), *row[5:7], orjson.loads(row[7]), row[8])
            for row in self._rows(_LAST_AS_TEXT, LONG, number)
        ]

    def insert(self) -> Rows:
        position, text = next(self._positions), _text()
        content = Jsonb([{"type": "text", "text": text}])
        tokens = len(text) // 4
        sums = tokens * position
        return self._rows(
            _INSERT, str(uuid7()), RAW, position, content, text, tokens, sums, Jsonb({})
        )


def pairs(long: int) -> list[Pair]:
    """Return the comparisons; the long thread has `long` messages."""
    connection.ensure_connection()
    keep_apart()
    raw, memory = Raw(), engine.memory

    def last() -> Rows:
        return memory.list_messages(thread_id=LONG, limit=20, order="desc").items

    def raw_last() -> Rows:
        return raw.last(20)

    def fastest_last() -> Rows:
        return raw.last_by_orjson(20)

    def view() -> Rows:
        return memory.get_memory(thread_id=LONG, last=20).messages

    def save() -> Rows:
        return memory.save_memory(thread_id=OURS, messages=[{"role": "user", "content": _text()}])

    first, deep = _pages(long)
    return [
        Pair("last 20 / one by primary key", last, raw.by_id, limit=2, same=False),
        Pair("last 20, unprepared / one by primary key", unprepared(last), raw.by_id, same=False),
        Pair("last 20, raw as well / one by primary key", raw_last, raw.by_id, same=False),
        Pair("last 20, raw by orjson / one by primary key", fastest_last, raw.by_id, same=False),
        Pair("last 20 / last 20", last, raw_last),
        Pair("get_memory / last 20", view, raw_last),
        *(window for budget in BUDGETS for window in _windows(raw, budget)),
        Pair("save one / insert one", save, raw.insert, limit=2),
        _saved_with_vector(raw),
        Pair(f"page at {long - PAGE:,} / page one", deep, first, limit=1.2),
    ]


def keep_apart() -> None:
    """Keep us and the server on two cores, where it is on this machine, as if it were on another.

    Left alone they may come to share one: then nobody has to be woken, and a round trip takes a
    quarter of the time, or not, as chance has it.
    """
    server = connection.connection.info
    if server.host.startswith("/") and hasattr(os, "sched_setaffinity"):
        ours, its, *_ = sorted(os.sched_getaffinity(0)) * 2
        os.sched_setaffinity(0, {ours})
        os.sched_setaffinity(server.backend_pid, {its})


def _windows(raw: Raw, budget: int) -> list[Pair]:
    def window() -> Rows:
        return engine.memory.get_context_window(thread_id=LONG, max_tokens=budget).messages

    def last() -> Rows:
        return raw.last(number)

    number = len(window())
    name = f"window of {budget // 1000}k tokens / last {number}"
    return [
        Pair(name, window, last, limit=1.3),
        Pair(name.replace(" /", ", unprepared /"), unprepared(window), last),
    ]


def unprepared(call: Callable[[], Rows]) -> Callable[[], Rows]:
    """Return the call without prepared statements on Django's connection, as behind a pooler."""

    def planned() -> Rows:
        threshold = connection.connection.prepare_threshold
        connection.connection.prepare_threshold = None
        try:
            return call()
        finally:
            connection.connection.prepare_threshold = threshold

    return planned


def _saved_with_vector(raw: Raw) -> Pair:
    """Compare a save with an embedder to a transaction that inserts the message and its vector."""
    memory = PostgresEngine(embedder=RandomEmbedder(DIMENSION)).memory
    embedder = RandomEmbedder(DIMENSION)
    memory.index_name = "benchmark"
    memory.prepare_index()
    definition = memory.vectors.indexes.require("benchmark")
    table = f"mastra_engine_embedding_{definition.id}"
    resource = memory.get_thread(thread_id=OURS).resource_id
    sql = _INSERT_VECTOR.format(table=table)

    def save() -> Rows:
        return memory.save_memory(thread_id=OURS, messages=[{"role": "user", "content": _text()}])

    def insert() -> Rows:
        with connection.connection.transaction():
            rows = raw.insert()
            vector = Vector(embedder.embed_query("")).to_text()
            values = (definition.id, str(uuid7()), resource, rows[0][0], Jsonb({}), _text(), vector)
            raw.execute(sql, values)
        return rows

    return Pair("save one, embedded / insert one with its vector", save, insert, limit=2.5)


def _pages(long: int) -> tuple[Callable[[], Rows], Callable[[], Rows]]:
    """Return calls that read the first and the last page of the long thread."""
    cursor, remaining = None, long - PAGE
    while remaining:  # a page of memory has 8 MiB at most
        before = engine.memory.list_messages(thread_id=LONG, limit=remaining, cursor=cursor)
        cursor, remaining = before.next_cursor, remaining - len(before)

    def page(cursor: str | None) -> Rows:
        return engine.memory.list_messages(thread_id=LONG, limit=PAGE, cursor=cursor).items

    return lambda: page(None), lambda: page(cursor)


def _text() -> str:
    return "word " * 92
