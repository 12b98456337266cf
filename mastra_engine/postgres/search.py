"""Searching a partition.

A search with a filter has two ways. It can sort all rows that satisfy the filter, which takes
longer the more of them there are. Or it can read neighbours of the target from the graph until
enough of them satisfy the filter, which takes longer the fewer rows do. The planner's estimate only
decides which way is tried first; each is given up at the point where the other one takes less time.
Neighbours that satisfy the filter are as good as those of a search without one. If too few
neighbours do, the matching rows are far from the target, and the graph does not lead to them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from pgvector import SparseVector, Vector
from psycopg.adapt import Dumper
from psycopg.pq import Format

from mastra_engine.filters.ast import RECORD_COLUMNS, Node
from mastra_engine.postgres.compile import TRUE, Sql, where
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.validation.vectors import AnyVector, IndexDefinition

#: Rows that can be sorted in the time of reading one more neighbour from the graph. Measured in
#: docs/explanation/vectors.md.
ROWS_PER_NEIGHBOUR = 6
#: Neighbours are read until this multiple of the requested rows is expected to match the filter.
_SPARE = 2
#: Matching rows up to which they are sorted after the graph has not led to enough of them.
EXACT_ROWS = 20_000
#: pgvector's maximum of `hnsw.ef_search`.
MAX_EF_SEARCH = 1_000

_FIELDS = "id, namespace, document, metadata::text"


class _BinaryVector(Dumper):
    """Sends a vector in binary form, without its type's oid, which differs between databases."""

    format = Format.BINARY

    def dump(self, obj: AnyVector) -> bytes:
        return obj.to_binary()


@dataclass(frozen=True, slots=True)
class Search:
    """A search for the rows nearest to `target`."""

    partition: Partition
    target: AnyVector
    condition: Sql
    limit: int
    ef_search: int
    with_vector: bool = False
    #: Leaves documents and metadata out.
    only_keys: bool = False

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """Django's connection."""
        return self.partition.connection

    @property
    def filtered(self) -> bool:
        """Return whether the search has a filter or a scope."""
        return self.condition != TRUE

    @property
    def candidates(self) -> int:
        """Return how many matching rows the graph has to find so that the result is as good."""
        return self.limit

    def run(self) -> list[Any]:
        """Return rows of (id, namespace, document, metadata, distance[, vector]), nearest first.

        A vector is in pgvector's binary form. There are no rows, too, if the index was deleted or
        replaced since it was found. In the caller's transaction, a savepoint restores the settings
        that the search changes.
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
        """Return the nearest rows, ties by id, or None if the graph yields too few.

        One more row than requested shows whether the last one has the same distance as the next.
        Only then PostgreSQL has to sort by id as well, and it reads at least thirty rows for that.
        """
        rows = self._graph(f"distance LIMIT {self.limit + 1}")
        if rows is None or len(rows) == self.limit:
            return rows
        *rows, last, more = rows
        if _distance(last) < _distance(more):
            return [*rows, last]
        return self._graph(f"distance, id, namespace LIMIT {self.limit}")

    def _filtered(self) -> list[Any] | None:
        """Return the nearest matching rows, or None if too many match and the graph yields too few.

        One matching row takes `total / matching` neighbours on average. The square root below is
        the number of matching rows at which sorting them takes as long as reading neighbours.
        """
        if self.partition.index.index_type == "flat":  # which has no graph
            return self._exact()
        matching, total = self._estimate()
        break_even = math.sqrt(ROWS_PER_NEIGHBOUR * self.candidates * total)
        sortable = round(max(break_even, ROWS_PER_NEIGHBOUR * self.ef_search))
        if matching <= sortable:
            if (rows := self._exact(at_most=sortable)) is not None:
                return rows
            matching = sortable
        neighbours = max(self.ef_search, round(_SPARE * self.candidates * total / matching))
        if (rows := self._graph(f"distance LIMIT {neighbours}")) is not None:
            return rows
        if (rows := self._exact(at_most=EXACT_ROWS)) is not None:
            return rows
        return self._graph("distance", ef_search=MAX_EF_SEARCH)

    def _estimate(self) -> tuple[int, int]:
        """Return the planner's estimates of the matching rows and of all rows.

        The second one is read from the plan of a subquery, which saves a statement.
        """
        sql, params = self.condition
        table = self.partition.table
        statement = (
            f"EXPLAIN (FORMAT JSON) SELECT (SELECT 1 FROM {table} LIMIT 1) FROM {table} WHERE {sql}"
        )
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            (((explained,),),) = cursor.fetchall()
        plan = explained["Plan"]
        totals = (
            part["Plans"][0]["Plan Rows"]
            for part in plan.get("Plans", ())
            if part["Parent Relationship"] == "InitPlan"
        )
        return plan["Plan Rows"], next(totals, plan["Plan Rows"])

    def _exact(self, *, at_most: int | None = None) -> list[Any] | None:
        """Sort all rows that satisfy the filter; return None if they are more than `at_most`."""
        sql, params = self.condition
        bound = "" if at_most is None else f" LIMIT {at_most + 1}"
        rows, number = self._sort(
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE EXISTS (SELECT {self.partition.unchanged}) AND {sql}{bound}",
            [self.target, self.partition.index.name, *params],
        )
        return None if at_most is not None and number > at_most else rows

    def _sort(self, passed: str, params: list[Any]) -> tuple[list[Any], int]:
        """Return the nearest rows of a statement, and the number of all its rows."""
        statement = (
            f"WITH passed AS MATERIALIZED ({passed}) "
            f"SELECT {self._result()}, passing FROM ("
            f"SELECT *, (SELECT count(*) FROM passed) AS passing FROM passed "
            f"ORDER BY distance, id, namespace LIMIT {self.limit}) AS nearest"
        )
        rows = self._fetch(statement, params)
        return [row[:-1] for row in rows], rows[0][-1] if rows else 0

    def _graph(self, order: str, *, ef_search: int | None = None) -> list[Any] | None:
        """Read neighbours until enough of them satisfy the filter; return None if too few do.

        The statement itself changes the settings, local to its transaction. That saves a round trip
        to the server, and leaves nothing behind on the connection, which a pooler may share.
        """
        sql, params = self.condition
        settings = self._settings(ef_search or self.ef_search)
        # PostgreSQL evaluates a condition without columns once, before the scan begins.
        statement = (
            f"SELECT {self._result()} FROM ("
            f"SELECT {self._columns()} FROM {self.partition.table} "
            f"WHERE (SELECT {settings} {self.partition.unchanged}) IS NOT NULL "
            f"ORDER BY {order}) AS neighbour"
        )
        if self.filtered:
            statement += f" WHERE {sql} LIMIT {self.limit}"
        rows = self._fetch(statement, [self.target, self.partition.index.name, *params])
        return rows if len(rows) >= self.limit else None

    def _settings(self, ef_search: int) -> str:
        """Return the expression that sets the breadth of the scan and lets it be continued."""
        in_order = not self.filtered and not self.partition.by_bits
        walk = "strict_order" if in_order else "relaxed_order"
        settings = {"hnsw.ef_search": ef_search, "hnsw.iterative_scan": walk}
        if self.partition.index.index_type == "ivfflat":
            probes = max(1, ef_search // 10)
            settings = {"ivfflat.probes": probes, "ivfflat.iterative_scan": "relaxed_order"}
        return " || ".join(f"set_config('{name}', '{to}', true)" for name, to in settings.items())

    def _columns(self) -> str:
        vector = f", {self.partition.column}" if self.with_vector else ""
        distance = self.partition.distance()
        return f"index_id, id, namespace, document, metadata{vector}, {distance} AS distance"

    def _result(self) -> str:
        if self.only_keys:
            return "id, namespace, NULL, NULL, distance"
        vector = f", {self.partition.binary()}" if self.with_vector else ""
        return f"{_FIELDS}, distance{vector}"

    def _fetch(self, sql: str, params: list[Any]) -> list[Any]:
        """Return the rows of a statement, nearest first."""
        one_plan = not self.filtered
        with server_cursor(self.connection, format=Format.BINARY, one_plan=one_plan) as cursor:
            for vector_class in (Vector, SparseVector):
                cursor.adapters.register_dumper(vector_class, _BinaryVector)
            cursor.execute(sql, params)
            return sorted(cursor.fetchall(), key=_by_distance)


def _distance(row: tuple[Any, ...]) -> float:
    distance: float = row[4]
    return distance


def _by_distance(row: tuple[Any, ...]) -> tuple[Any, ...]:
    id, namespace, *_ = row
    return _distance(row), id, namespace


def within(index: IndexDefinition, namespaces: Collection[str]) -> Sql:
    """Return the condition that a row is in one of the namespaces.

    All rows of the partition have the same index id. It is in the condition because it is the first
    column of the primary key, and the lookup uses the index of that key.
    """
    return "index_id = %s AND namespace = ANY(%s)", [index.id, sorted(namespaces)]


def chunks_of(entity_ids: Sequence[UUID], node: Node, *, keys: tuple[str, str]) -> Sql:
    """Return the condition that a vector is a chunk of a live record that satisfies a filter.

    `keys` are the metadata keys of the record's entity id and of its `external_id`.
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


def at_least(partition: Partition, target: AnyVector, score: float) -> Sql:
    """Return the condition that a vector has at least a score for a target.

    The score is computed as for the matches of a search, and not compared as a distance, so that
    both agree to the last digit.
    """
    distance = partition.distance()
    scores = {
        "cosine": f"1 - ({distance})",
        "euclidean": f"1 / (1 + ({distance}))",
        "dotproduct": f"-({distance})",
    }
    return f"({scores[partition.index.metric]} >= %s)", [target.to_text(), score]


def compare(partition: Partition, target: AnyVector, condition: Sql) -> list[Any]:
    """Return the rows that satisfy a condition, in any order, as those of a `Search`."""
    sql, params = condition
    statement = (
        f"SELECT {_FIELDS}, {partition.distance()} AS distance FROM {partition.table} WHERE {sql}"
    )
    with partition.connection.cursor() as cursor:
        cursor.execute(statement, [target.to_text(), *params])
        return list(cursor.fetchall())
