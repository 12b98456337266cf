"""Searching a partition.

A filtered search is exact where few rows pass the filter, and walks the graph, scanning on until
enough rows pass, where many do. An index scan without that (`hnsw.iterative_scan` off) silently
returns too few rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.filters import And, Node
from mastra_engine.postgres.compile import Sql, where
from mastra_engine.postgres.partitions import Partition

#: Up to so many rows that pass a filter are sorted exactly; docs/explanation/vectors.md measures
#: where the graph becomes the better choice.
EXACT_ROWS = 5_000

_FIELDS = "id, namespace, document, metadata::text"


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the nearest rows to `target`, pgvector's text form of a vector."""

    partition: Partition
    target: str
    condition: Sql
    limit: int
    ef_search: int
    with_vector: bool

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return self.partition.connection

    def run(self) -> list[Any]:
        """Return rows of (id, namespace, document, metadata, distance[, vector]), nearest first."""
        filtered = self.condition[0] != "TRUE"
        if filtered and self._estimate() <= 2 * EXACT_ROWS:
            rows = self._exact(at_most=EXACT_ROWS)
            if rows is not None:
                return rows
        rows = self._graph(filtered=filtered)
        # Dead rows, a missing structure's neighbours or a scan that gave up: never too few.
        return rows if len(rows) == self.limit else self._exact() or []

    def _estimate(self) -> float:
        """Return the planner's guess of how many rows pass the filter."""
        sql, params = self.condition
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"EXPLAIN (FORMAT JSON) SELECT FROM {self.partition.table} WHERE {sql}", params
            )
            (plan,) = cursor.fetchone()
        plans = json.loads(plan) if isinstance(plan, str) else plan
        return float(plans[0]["Plan"]["Plan Rows"])

    def _exact(self, *, at_most: int | None = None) -> list[Any] | None:
        """Sort all rows that pass the filter; None when they are more than `at_most`."""
        sql, params = self.condition
        bound = "" if at_most is None else f" LIMIT {at_most + 1}"
        statement = (
            f"WITH passed AS MATERIALIZED ("
            f"SELECT * FROM {self.partition.table} WHERE {sql}{bound}) "
            f"SELECT {self._columns()}, (SELECT count(*) FROM passed) "
            f"FROM passed ORDER BY distance, id, namespace LIMIT {self.limit}"
        )
        rows = self._fetch(statement, [*params, self.target])
        if rows and at_most is not None and rows[0][-1] > at_most:
            return None
        return [row[:-1] for row in rows]

    def _graph(self, *, filtered: bool) -> list[Any]:
        """Walk the search structure, with settings that end with the transaction."""
        sql, params = self.condition
        # Relaxed order finds more, out of order, so what was found is sorted again.
        tie = "" if filtered else ", id"
        statement = (
            f"WITH found AS MATERIALIZED ("
            f"SELECT {self._columns()} FROM {self.partition.table} WHERE {sql} "
            f"ORDER BY distance{tie} LIMIT {self.limit}) "
            f"SELECT * FROM found ORDER BY distance, id, namespace"
        )
        with transaction.atomic(using=self.connection.alias):
            self._set_locally(filtered=filtered)
            return self._fetch(statement, [self.target, *params])

    def _set_locally(self, *, filtered: bool) -> None:
        order = "relaxed_order" if filtered else "strict_order"
        settings = {"hnsw.ef_search": str(self.ef_search), "hnsw.iterative_scan": order}
        if self.partition.index.index_type == "ivfflat":
            probes = str(max(1, self.ef_search // 10))
            settings = {"ivfflat.probes": probes, "ivfflat.iterative_scan": "relaxed_order"}
        calls = ", ".join("set_config(%s, %s, true)" for _ in settings)
        params = [part for setting in settings.items() for part in setting]
        with self.connection.cursor() as cursor:
            cursor.execute(f"SELECT {calls}", params)

    def _columns(self) -> str:
        vector = ", embedding::text" if self.with_vector else ""
        return f"{_FIELDS}, {self.partition.distance()} AS distance{vector}"

    def _fetch(self, sql: str, params: list[Any]) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())


def condition(node: Node, namespace: str | None) -> Sql:
    """Return the condition of a filter on metadata within a namespace."""
    parts = [] if node == And() else [where(node, {"data": "metadata"})]
    if namespace is not None:
        parts.append(("namespace = %s", [namespace]))
    if not parts:
        return "TRUE", []
    return " AND ".join(sql for sql, _ in parts), [p for _, params in parts for p in params]


def full_text(partition: Partition, query: str, within: Sql, limit: int) -> list[Any]:
    """Return rows of (id, namespace, document, metadata, rank) that share a word, best first.

    The words are ORed: a question seldom has all its words in one passage.
    """
    sql, params = within
    language = partition.index.language
    statement = (
        f"SELECT {_FIELDS}, ts_rank_cd({partition.document}, query) AS rank "
        f"FROM {partition.table}, "
        f"(SELECT replace(plainto_tsquery('{language}', %s)::text, '&', '|')::tsquery AS query) q "
        f"WHERE {partition.document} @@ query AND {sql} "
        f"ORDER BY rank DESC, id, namespace LIMIT {limit}"
    )
    with partition.connection.cursor() as cursor:
        cursor.execute(statement, [query, *params])
        return list(cursor.fetchall())
