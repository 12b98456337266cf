"""Searching a partition.

With a filter, either all rows that pass are sorted, which takes longer the more pass, or neighbours
from the graph are looked through until enough pass, which takes longer the fewer do. What the
planner guesses only says which is tried first: each is given up where the other takes less.
Neighbours that pass are as good as those of any search. When too few do, what passes is far from
the question, and the graph is no guide to it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pgvector import Vector
from psycopg.adapt import Dumper
from psycopg.pq import Format

from mastra_engine.filters.ast import RECORD_COLUMNS, Node
from mastra_engine.postgres.compile import TRUE, Sql, where
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.validation.vectors import IndexDefinition

#: To go on to one more neighbour takes as long as to sort so many more rows. Measured in
#: docs/explanation/vectors.md.
ROWS_PER_NEIGHBOUR = 6
#: Of the neighbours that are looked through, so many times as many as needed should pass.
_SPARE = 2
#: Where that was not enough, rows are sorted exactly while they are no more than these.
EXACT_ROWS = 20_000
#: pgvector's limit of how much of the graph is looked at before it is walked on from there.
_WIDEST = 1_000

_FIELDS = "id, namespace, document, metadata::text"


class _BinaryVector(Dumper):
    """Sends a vector as it is stored; without a type's number, which differs by database."""

    format = Format.BINARY

    def dump(self, obj: Vector) -> bytes:
        return obj.to_binary()


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
        return self.condition != TRUE

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
        rows = self._graph(f"distance LIMIT {self.limit + 1}")
        if rows is None or len(rows) == self.limit:
            return rows
        *rows, last, more = rows
        if _distance(last) < _distance(more):
            return [*rows, last]
        return self._graph(f"distance, id, namespace LIMIT {self.limit}")

    def _filtered(self) -> list[Any] | None:
        """Return the nearest rows that pass; None when too many pass and the graph has too few.

        To find one that passes takes `total / passing` neighbours. Looking for all that are wanted
        takes as long as sorting what passes where that is as many as the square root says.
        """
        if self.partition.index.index_type == "flat":  # it has no graph
            return self._exact()
        passing, total = self._estimate()
        alike = math.sqrt(ROWS_PER_NEIGHBOUR * self.limit * total)
        few = round(max(alike, ROWS_PER_NEIGHBOUR * self.ef_search))
        if passing <= few:
            if (rows := self._exact(at_most=few)) is not None:
                return rows
            passing = few
        enough = max(self.ef_search, round(_SPARE * self.limit * total / passing))
        if (rows := self._graph(f"distance LIMIT {enough}")) is not None:
            return rows
        if (rows := self._exact(at_most=EXACT_ROWS)) is not None:
            return rows
        return self._graph("distance", ef_search=_WIDEST)

    def _estimate(self) -> tuple[int, int]:
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
            (((found,),),) = cursor.fetchall()
        plan = found["Plan"]
        totals = (
            part["Plans"][0]["Plan Rows"]
            for part in plan.get("Plans", ())
            if part["Parent Relationship"] == "InitPlan"
        )
        return plan["Plan Rows"], next(totals, plan["Plan Rows"])

    def _exact(self, *, at_most: int | None = None) -> list[Any] | None:
        """Sort all rows that pass the filter; None when they are more than `at_most`."""
        sql, params = self.condition
        bound = "" if at_most is None else f" LIMIT {at_most + 1}"
        statement = (
            f"WITH passed AS MATERIALIZED ("
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE EXISTS (SELECT {self.partition.unchanged}) AND {sql}{bound}) "
            f"SELECT {self._result()}, passing FROM ("
            f"SELECT *, (SELECT count(*) FROM passed) AS passing FROM passed "
            f"ORDER BY distance, id, namespace LIMIT {self.limit}) AS nearest"
        )
        rows = self._fetch(statement, params)
        if rows and at_most is not None and rows[0][-1] > at_most:
            return None
        return [row[:-1] for row in rows]

    def _graph(self, order: str, *, ef_search: int | None = None) -> list[Any] | None:
        """Look through neighbours for rows that pass; None of too few.

        The settings are made by the statement itself and are local to its transaction.
        """
        sql, params = self.condition
        settings = self._settings(ef_search or self.ef_search)
        # A condition without columns is checked once, before the scan begins.
        statement = (
            f"SELECT {self._result()} FROM ("
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE (SELECT {settings} {self.partition.unchanged}) IS NOT NULL "
            f"ORDER BY {order}) AS neighbour"
        )
        if self.filtered:
            statement += f" WHERE {sql} LIMIT {self.limit}"
        rows = self._fetch(statement, params)
        return rows if len(rows) >= self.limit else None

    def _settings(self, ef_search: int) -> str:
        """Return how far to look, and to go on from there when all that was found is used up."""
        walk = "relaxed_order" if self.filtered else "strict_order"
        settings = {"hnsw.ef_search": ef_search, "hnsw.iterative_scan": walk}
        if self.partition.index.index_type == "ivfflat":
            probes = max(1, ef_search // 10)
            settings = {"ivfflat.probes": probes, "ivfflat.iterative_scan": "relaxed_order"}
        return " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())

    def _columns(self) -> str:
        vector = ", embedding" if self.with_vector else ""
        distance = self.partition.distance()
        return f"index_id, id, namespace, document, metadata{vector}, {distance} AS distance"

    def _result(self) -> str:
        return f"{_FIELDS}, distance{', vector_send(embedding)' if self.with_vector else ''}"

    def _fetch(self, sql: str, params: list[Any]) -> list[Any]:
        """Return what is found, in order, for the target, the index's name and `params`."""
        one_plan = not self.filtered
        with server_cursor(self.connection, format=Format.BINARY, one_plan=one_plan) as cursor:
            cursor.adapters.register_dumper(Vector, _BinaryVector)
            cursor.execute(sql, [self.target, self.partition.index.name, *params])
            return sorted(cursor.fetchall(), key=_by_distance)


def _distance(row: tuple[Any, ...]) -> float:
    distance: float = row[4]
    return distance


def _by_distance(row: tuple[Any, ...]) -> tuple[Any, ...]:
    id, namespace, *_ = row
    return _distance(row), id, namespace


def within(index: IndexDefinition, namespaces: Collection[str]) -> Sql:
    """Return the condition of being in one of some namespaces.

    Every row is of the index, but with its id the key begins, by which they are found.
    """
    return "index_id = %s AND namespace = ANY(%s)", [index.id, sorted(namespaces)]


def chunks_of(entity_ids: Sequence[UUID], node: Node, *, keys: tuple[str, str]) -> Sql:
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
