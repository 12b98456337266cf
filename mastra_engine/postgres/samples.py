"""Estimates for large tables, from a sample of pages that does not grow with the table."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from mastra_engine.postgres.partitions import Partition
from mastra_engine.validation.vectors import AnyVector

#: The most pages of a table to read: 8 MiB with the usual page size of 8 KiB.
PAGES = 1_000

# A partitioned table has no pages itself; a table without partitions has no partition tree.
_PAGES_OF = """
SELECT sum(pg_relation_size(part)) / current_setting('block_size')::int
FROM (SELECT %s::regclass AS part UNION SELECT relid FROM pg_partition_tree(%s)) parts
"""

# A recursive query reads one index entry per value. DISTINCT would read the entries of all rows,
# and one value may have most of them.
_DISTINCT = """
WITH RECURSIVE known (id) AS (
    (SELECT {column} FROM {table}
     WHERE {column} > %(after)s AND {column} >= %(begins)s ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT next.id FROM known, LATERAL (
        SELECT {column} AS id FROM {table}
        WHERE {column} > known.id AND starts_with(known.id, %(begins)s) ORDER BY 1 LIMIT 1
    ) next
)
SELECT id FROM known WHERE starts_with(id, %(begins)s) LIMIT %(limit)s
"""
_RESOURCES = _DISTINCT.format(table="mastra_engine_thread", column="resource_id")
_CONNECTIONS = _DISTINCT.format(table="mastra_engine_entity", column="connection_id")


def rows_by_day(connection: BaseDatabaseWrapper, table: str, *, since: datetime) -> dict[date, int]:
    """Return the approximate number of rows of a table that were created on each day, in UTC.

    Rows of a small table are counted. For a large table, the count of a sample, which always has
    the same pages, is scaled up.
    """
    with connection.cursor() as cursor:
        share = _share(cursor, table)
        cursor.execute(
            f"SELECT (created_at AT TIME ZONE 'UTC')::date, count(*) "
            f"FROM {table} TABLESAMPLE SYSTEM (%s) REPEATABLE (0) "
            f"WHERE created_at >= %s GROUP BY 1",
            [100 * share, since],
        )
        return {day: round(number / share) for day, number in cursor.fetchall()}


def sample_vectors(partition: Partition, *, most: int) -> list[tuple[UUID, AnyVector]]:
    """Return up to `most` vectors with their `row_id`, from a sample of a partition's pages.

    The result is the same as long as the table does not change: the sample always has the same
    pages, and of their rows those with the smallest hash are returned.
    """
    with partition.connection.cursor() as cursor:
        share = _share(cursor, partition.table)
        cursor.execute(
            f"SELECT row_id, {partition.binary()} FROM ("
            f"SELECT row_id, {partition.column} FROM {partition.table} "
            f"TABLESAMPLE SYSTEM (%s) REPEATABLE (0) "
            f"ORDER BY md5(row_id::text) LIMIT %s) sample",
            [100 * share, most],
        )
        return [(row_id, partition.decode(vector)) for row_id, vector in cursor.fetchall()]


def resource_ids(
    connection: BaseDatabaseWrapper, *, begins: str, after: str, limit: int
) -> list[str]:
    """Return the next resources that have threads, by one index lookup for each."""
    return _distinct(connection, _RESOURCES, begins, after, limit)


def connection_ids(connection: BaseDatabaseWrapper, *, limit: int) -> list[str]:
    """Return the first connections that have entities, by one index lookup for each."""
    return _distinct(connection, _CONNECTIONS, "", "", limit)


def _distinct(
    connection: BaseDatabaseWrapper, sql: str, begins: str, after: str, limit: int
) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"begins": begins, "after": after, "limit": limit})
        return [value for (value,) in cursor.fetchall()]


def _share(cursor: CursorWrapper, table: str) -> float:
    """Return the share of a table's pages to read, from 0 to 1."""
    cursor.execute(_PAGES_OF, [table, table])
    (pages,) = cursor.fetchone()
    return min(1.0, PAGES / max(int(pages), 1))
