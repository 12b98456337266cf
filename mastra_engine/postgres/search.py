"""Searching a partition.

A filtered search is exact where few rows pass the filter, and walks the graph, scanning on until
enough rows pass, where many do. An index scan without that (`hnsw.iterative_scan` off) silently
returns too few rows.
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

from mastra_engine.filters import RECORD_COLUMNS, And, Node
from mastra_engine.postgres.compile import Sql, where
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.prepared import server_cursor

#: Rows that pass a filter are sorted exactly while they are at most so many times the square root
#: of all rows: sorting takes longer the more pass, the graph the fewer do. Measured in
#: docs/explanation/vectors.md.
EXACT_PER_ROOT = 7
#: How wrong the planner may be about that before the graph is taken after all.
_MISJUDGED = 4

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
        if self.filtered:
            passing, total = self._estimate()
            most = EXACT_PER_ROOT * math.sqrt(total)
            rows = self._exact(at_most=round(_MISJUDGED * most)) if passing <= most else None
            if rows is not None:
                return rows
        rows = self._graph()
        # Dead rows, a missing structure's neighbours or a scan that gave up: never too few.
        return rows if len(rows) == self.limit else self._exact() or []

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

    def _graph(self) -> list[Any]:
        """Walk the search structure, with settings that nobody else will meet.

        They are made by the statement itself and are local to its transaction. Where the search
        structure gives rows in relaxed order, it finds more of them.
        """
        sql, params = self.condition
        ties = "" if self.filtered else ", id, namespace"
        settings = f"SELECT {self._settings()} {self.partition.unchanged}"
        # A condition without columns is checked once, before the scan begins.
        statement = (
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE ({settings}) IS NOT NULL AND {sql} "
            f"ORDER BY distance{ties} LIMIT {self.limit}"
        )
        rows = self._fetch(statement, [self.target, self.partition.index.name, *params])
        return sorted(rows, key=_by_distance)

    def _settings(self) -> str:
        order = "relaxed_order" if self.filtered else "strict_order"
        settings = {"hnsw.ef_search": self.ef_search, "hnsw.iterative_scan": order}
        if self.partition.index.index_type == "ivfflat":
            probes = max(1, self.ef_search // 10)
            settings = {"ivfflat.probes": probes, "ivfflat.iterative_scan": "relaxed_order"}
        return " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())

    def _columns(self) -> str:
        vector = ", vector_send(embedding)" if self.with_vector else ""
        return f"{_FIELDS}, {self.partition.distance()} AS distance{vector}"

    def _fetch(self, sql: str, params: list[Any]) -> list[Any]:
        with server_cursor(self.connection, one_plan=not self.filtered) as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())


def _by_distance(row: tuple[Any, ...]) -> tuple[Any, ...]:
    id, namespace, _, _, distance, *_ = row
    return distance, id, namespace


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
