"""Samples of large tables: some of their pages are read, whatever their size."""

from __future__ import annotations

from datetime import date, datetime

from django.db.backends.base.base import BaseDatabaseWrapper

#: How much of a table is read: 8 MiB of it, at the usual page of 8 KiB.
PAGES = 1_000

# A partitioned table has no pages of its own, and one that is not partitioned no tree.
_PAGES_OF = """
SELECT sum(pg_relation_size(part)) / current_setting('block_size')::int
FROM (SELECT %s::regclass AS part UNION SELECT relid FROM pg_partition_tree(%s)) parts
"""


def rows_by_day(connection: BaseDatabaseWrapper, table: str, *, since: datetime) -> dict[date, int]:
    """Return about how many rows of a table were made on each day, in UTC.

    A small table is counted; a large one's sample, always of the same pages, is scaled up.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PAGES_OF, [table, table])
        (pages,) = cursor.fetchone()
        share = min(1.0, PAGES / max(int(pages), 1))
        cursor.execute(
            f"SELECT (created_at AT TIME ZONE 'UTC')::date, count(*) "
            f"FROM {table} TABLESAMPLE SYSTEM (%s) REPEATABLE (0) "
            f"WHERE created_at >= %s GROUP BY 1",
            [100 * share, since],
        )
        return {day: round(number / share) for day, number in cursor.fetchall()}
