"""Searching a partition.

A filtered search is exact where few rows pass the filter. Where many do, the graph is asked for so
many neighbours that enough of them should pass; when they do, they are as good as those of any
search. When they do not, what passes is far from the question, and the graph is no guide to it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pgvector import Vector
from psycopg.pq import Format

from mastra_engine.filters import RECORD_COLUMNS, And, Node
from mastra_engine.postgres.compile import Sql, where
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.prepared import server_cursor

#: Rows that pass a filter are sorted exactly while they are at most so many times the square root
#: of all rows: sorting takes longer the more pass, the graph the fewer do. Measured in
#: docs/explanation/vectors.md.
EXACT_PER_ROOT = 7
#: Of the neighbours that a filtered search asks for, so many times as many as needed should pass.
_SPARE = 2
#: Where that was not enough, rows are sorted exactly while they are no more than these.
EXACT_ROWS = 20_000
#: pgvector's limit of how much of the graph is looked at before it is walked on from there.
_WIDEST = 1_000

_FIELDS = "id, namespace, document, metadata::text"


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the nearest rows to `target`."""

    partition: Partition
    target: Vector
    condition: Sql
    limit: int
    ef_search: int
    with_vector: bool

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return self.partition.connection

    @property
    def filtered(self) -> bool:
        return self.condition[0] != "TRUE"

    def run(self) -> list[Any]:
        """Return rows of (id, namespace, document, metadata, distance[, vector]), nearest first.

        A vector is in pgvector's binary form. No rows also say that the index is not what it was
        when it was found. In the caller's transaction, a savepoint takes back what searching did.
        """
        if self.connection.get_autocommit():
            return self._search()
        with transaction.atomic(using=self.connection.alias):
            rows = self._search()
            transaction.set_rollback(True, using=self.connection.alias)
        return rows

    def _search(self) -> list[Any]:
        rows = self._filtered() if self.filtered else self._unfiltered()
        return (self._exact() or []) if rows is None else rows

    def _unfiltered(self) -> list[Any] | None:
        """Return the nearest rows, ties by id; None when the graph has too few.

        One row more shows whether the last one has a tie behind it. Only then need PostgreSQL sort
        ties, for which it reads thirty rows at least.
        """
        rows = self._graph("strict_order", self.ef_search, f"distance LIMIT {self.limit + 1}")
        if rows is None or len(rows) == self.limit:
            return rows
        *rows, last, more = rows
        if _distance(last) < _distance(more):
            return [*rows, last]
        order = f"distance, id, namespace LIMIT {self.limit}"
        return self._graph("strict_order", self.ef_search, order)

    def _filtered(self) -> list[Any] | None:
        """Return the nearest rows that pass; None when too many pass and the graph has too few."""
        passing, total = self._estimate()
        order = f"distance LIMIT {self.limit}"
        if passing > EXACT_PER_ROOT * math.sqrt(total):
            enough = max(self.ef_search, round(_SPARE * self.limit * total / passing))
            if enough <= _WIDEST and (rows := self._graph("off", enough, order)) is not None:
                return rows
        if (rows := self._exact(at_most=EXACT_ROWS)) is not None:
            return rows
        return self._graph("relaxed_order", _WIDEST, order)

    def _estimate(self) -> tuple[float, float]:
        """Return the planner's guess of how many rows pass the filter, and of how many there are.

        The second is read from a subquery's plan, which spares a statement.
        """
        sql, params = self.condition
        table = self.partition.table
        statement = (
            f"EXPLAIN (FORMAT JSON) SELECT (SELECT 1 FROM {table} LIMIT 1) FROM {table} WHERE {sql}"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            (found,) = cursor.fetchone()
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
        passing = float(plan["Plan Rows"])
        for part in plan.get("Plans", ()):
            if part["Parent Relationship"] == "InitPlan":
                return passing, float(part["Plans"][0]["Plan Rows"])
        return passing, passing

    def _exact(self, *, at_most: int | None = None) -> list[Any] | None:
        """Sort all rows that pass the filter; None when they are more than `at_most`."""
        sql, params = self.condition
        bound = "" if at_most is None else f" LIMIT {at_most + 1}"
        statement = (
            f"WITH passed AS MATERIALIZED ("
            f"SELECT * FROM {self.partition.table} "
            f"WHERE EXISTS (SELECT {self.partition.unchanged}) AND {sql}{bound}) "
            f"SELECT {self._columns()}, (SELECT count(*) FROM passed) "
            f"FROM passed ORDER BY distance, id, namespace LIMIT {self.limit}"
        )
        rows = self._fetch(statement, [self.partition.index.name, *params, self.target])
        if rows and at_most is not None and rows[0][-1] > at_most:
            return None
        return [row[:-1] for row in rows]

    def _graph(self, walk: str, ef_search: int, order: str) -> list[Any] | None:
        """Ask the search structure, with settings that nobody else will meet; None of too few rows.

        They are made by the statement itself and are local to its transaction. `walk` says how it
        goes on when the neighbours that it found are used up: with dead rows around, they may be.
        """
        sql, params = self.condition
        settings = f"SELECT {self._settings(walk, ef_search)} {self.partition.unchanged}"
        # A condition without columns is checked once, before the scan begins.
        statement = (
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE ({settings}) IS NOT NULL AND {sql} ORDER BY {order}"
        )
        rows = self._fetch(statement, [self.target, self.partition.index.name, *params])
        return sorted(rows, key=_by_distance) if len(rows) >= self.limit else None

    def _settings(self, walk: str, ef_search: int) -> str:
        settings = {"hnsw.ef_search": ef_search, "hnsw.iterative_scan": walk}
        if self.partition.index.index_type == "ivfflat":
            walk = "off" if walk == "off" else "relaxed_order"
            probes = max(1, ef_search // 10)
            settings = {"ivfflat.probes": probes, "ivfflat.iterative_scan": walk}
        return " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())

    def _columns(self) -> str:
        vector = ", vector_send(embedding)" if self.with_vector else ""
        return f"{_FIELDS}, {self.partition.distance()} AS distance{vector}"

    def _fetch(self, sql: str, params: list[Any]) -> list[Any]:
        one_plan = not self.filtered
        with server_cursor(self.connection, format=Format.BINARY, one_plan=one_plan) as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())


def _distance(row: tuple[Any, ...]) -> float:
    distance: float = row[4]
    return distance


def _by_distance(row: tuple[Any, ...]) -> tuple[Any, ...]:
    id, namespace, *_ = row
    return _distance(row), id, namespace


def condition(node: Node, namespaces: Collection[str] | None, about: Sql | None = None) -> Sql:
    """Return the condition of a filter on metadata within namespaces, and of another one."""
    parts = [] if node == And() else [where(node, {"data": "metadata"})]
    if namespaces is not None:
        parts.append(("namespace = ANY(%s)", [sorted(namespaces)]))
    if about is not None:
        parts.append(about)
    if not parts:
        return "TRUE", []
    return " AND ".join(sql for sql, _ in parts), [p for _, params in parts for p in params]


def passages_of(entity_ids: Sequence[UUID], node: Node, *, keys: tuple[str, str]) -> Sql:
    """Return the condition of being about a live record of these entities that satisfies a filter.

    `keys` are those of the metadata that name the record's entity and its `external_id`.
    """
    columns = {name: f"record.{name}" for name in ("data", *RECORD_COLUMNS)}
    sql, params = where(node, columns)
    entity, external_id = keys
    exists = (
        "EXISTS (SELECT FROM mastra_engine_record AS record "
        "WHERE record.entity_id = ANY(%s) AND record.entity_id::text = metadata ->> %s "
        'AND record.external_id = (metadata ->> %s) COLLATE "C" '
        f"AND record.deleted_at IS NULL AND {sql})"
    )
    return exists, [list(entity_ids), entity, external_id, *params]


def full_text(partition: Partition, query: str, within: Sql, limit: int) -> list[Any]:
    """Return rows of (id, namespace, document, metadata, rank) that share a word, best first.

    The words are ORed: a question seldom has all its words in one passage. An & without spaces is
    part of a word, an address for instance.
    """
    sql, params = within
    language = partition.index.language
    words = f"replace(plainto_tsquery('{language}', %s)::text, ' & ', ' | ')::tsquery"
    statement = (
        f"SELECT {_FIELDS}, ts_rank({partition.document}, query) AS rank "
        f"FROM {partition.table}, (SELECT {words} AS query) q "
        f"WHERE {partition.document} @@ query AND {sql} "
        f"ORDER BY rank DESC, id, namespace LIMIT {limit}"
    )
    with partition.connection.cursor() as cursor:
        cursor.execute(statement, [query, *params])
        return list(cursor.fetchall())
