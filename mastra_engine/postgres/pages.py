"""Pages of rows with documents, bounded by bytes as well as by count."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mastra_engine.validation.sizes import MAX_PAGE_BYTES

#: Stored documents have at most about twice the size of their text, unless they hold many small
#: numbers; compressed, a hundredth of it.
_MOST_STORED = 2 * MAX_PAGE_BYTES
_BEFORE = "WINDOW before AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"


@lru_cache
def bounded(rows: str, columns: Sequence[str]) -> str:
    """Return a statement that reads `columns` of the rows of another one, `data` as text.

    In the row that follows the one that reaches `MAX_PAGE_BYTES`, and in all later ones, `data` is
    NULL. The inner subquery has the rows with references to their documents. The outer one writes
    documents up to a bound of their stored sizes, so that the rest is not read. OFFSET 0 keeps the
    planner from merging it, which would write each document twice. The windows have no ORDER BY:
    they see the rows in the order in which `rows` returns them.
    """
    stored = _cut(columns, "pg_column_size(data)", _MOST_STORED, "data::text")
    written = _cut(columns, "octet_length(data)", MAX_PAGE_BYTES, "data")
    return (
        f"SELECT {written} FROM (SELECT {stored} FROM ({rows}) AS page {_BEFORE} OFFSET 0) AS s "
        f"{_BEFORE}"
    )


def page_of_rows(
    rows: list[tuple[Any, ...]], limit: int, document: int
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the rows of a page and whether others follow; `document` is the column of `data`.

    `rows` come from a bounded statement, with one row more than `limit` if there is one.
    """
    end = next((number for number, row in enumerate(rows) if row[document] is None), limit)
    page = rows[: min(end, limit)]
    return page, len(page) < len(rows)


def _cut(columns: Sequence[str], size: str, most: int, document: str) -> str:
    bounded = f"CASE WHEN coalesce(sum({size}) OVER before, 0) < {most} THEN {document} END AS data"
    return ", ".join(bounded if name == "data" else name for name in columns)
