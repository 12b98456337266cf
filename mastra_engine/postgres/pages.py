"""Pages of rows with documents, bounded by bytes as well as by count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.rows import read_rows
from mastra_engine.validation.sizes import page_bytes

_BEFORE = "WINDOW before AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"


def bounded_page(
    connection: BaseDatabaseWrapper,
    rows: str,
    columns: Sequence[str],
    params: Sequence[Any],
    *,
    limit: int,
    one_plan: bool = True,
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return a page of the rows of a statement, with `data` as text, and whether others follow.

    `rows` is the statement, which returns one row more than `limit` if there is one. The page ends
    with the row that fills it in bytes. `one_plan` is that of `read_rows`.
    """
    sql, document = _bounded(rows, columns, limit), columns.index("data")
    all_rows = read_rows(connection, sql, params, one_plan=one_plan)
    end = next((number for number, row in enumerate(all_rows) if row[document] is None), limit)
    page = all_rows[: min(end, limit)]
    return page, len(page) < len(all_rows)


def _bounded(rows: str, columns: Sequence[str], limit: int) -> str:
    """Return a statement that reads `columns` of the rows of another one, `data` as text.

    In the rows after the one that fills a page of `limit` rows, `data` is NULL. The inner subquery
    has the rows with references to their documents. The outer one writes documents up to a bound of
    their stored sizes, so that the rest is not read. OFFSET 0 keeps the planner from merging it,
    which would write each document twice. The windows have no ORDER BY: they see the rows in the
    order in which `rows` returns them.
    """
    before, after = _around(tuple(columns), page_bytes(limit))
    return f"{before}{rows}{after}"


@lru_cache
def _around(columns: tuple[str, ...], most: int) -> tuple[str, str]:
    # Stored documents have at most about twice the size of their text, unless they hold many small
    # numbers; compressed, a hundredth of it.
    stored = _cut(columns, "pg_column_size(data)", 2 * most, "data::text")
    written = _cut(columns, "octet_length(data)", most, "data")
    return (
        f"SELECT {written} FROM (SELECT {stored} FROM (",
        f") AS page {_BEFORE} OFFSET 0) AS sized {_BEFORE}",
    )


def _cut(columns: Sequence[str], size: str, most: int, document: str) -> str:
    bounded = f"CASE WHEN coalesce(sum({size}) OVER before, 0) < {most} THEN {document} END AS data"
    return ", ".join(bounded if name == "data" else name for name in columns)
