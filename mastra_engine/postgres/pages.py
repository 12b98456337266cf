"""Pages of rows with documents, bounded by bytes as well as by count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mastra_engine.validation.sizes import page_bytes

_BEFORE = "WINDOW before AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"


def bounded(rows: str, columns: Sequence[str], limit: int) -> str:
    """Return a statement that reads `columns` of the rows of another one, `data` as text.

    In the rows after the one that fills a page of `limit` rows, `data` is
    NULL. The inner subquery has the rows with references to their documents. The outer one writes
    documents up to a bound of their stored sizes, so that the rest is not read. OFFSET 0 keeps the
    planner from merging it, which would write each document twice. The windows have no ORDER BY:
    they see the rows in the order in which `rows` returns them.
    """
    before, after = _around(tuple(columns), page_bytes(limit))
    return f"{before}{rows}{after}"


def page_of_rows(
    rows: list[tuple[Any, ...]], limit: int, document: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the rows of a page and whether others follow; `document` is the column of `data`.

    `rows` come from a bounded statement, with one row more than `limit` if there is one.
    """
    end = next((number for number, row in enumerate(rows) if row[document] is None), limit)
    page = rows[: min(end, limit)]
    return page, len(page) < len(rows)


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
