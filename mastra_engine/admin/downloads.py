"""Records as files: CSV for spreadsheets, and JSON Lines."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import Any, NamedTuple

import orjson

from mastra_engine.admin.conditions import flat
from mastra_engine.admin.record_table import row_of
from mastra_engine.types import Page, Record

#: How a spreadsheet recognizes a formula. It would run one that a stranger wrote into a record.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Lines = Callable[[Iterable[Page[Record]], Sequence[str]], Iterator[bytes]]


def csv_lines(pages: Iterable[Page[Record]], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield a table of records with a header, a block for each page."""
    yield _csv([["external_id", *columns, "rev", "created_at", "updated_at"]])
    for page in pages:
        if page:
            yield _csv(_row(record, columns) for record in page)


def json_lines(pages: Iterable[Page[Record]], columns: Sequence[str]) -> Iterator[bytes]:
    """Yield records with all their data as lines of JSON, a block for each page."""
    for page in pages:
        if page:
            yield b"".join(
                orjson.dumps(
                    {
                        "external_id": record.external_id,
                        "data": record.data,
                        "rev": record.rev,
                        "created_at": record.created_at,
                        "updated_at": record.updated_at,
                    },
                    option=orjson.OPT_APPEND_NEWLINE,
                )
                for record in page
            )


class Format(NamedTuple):
    """A format of a file; `is_complete` says whether it has all fields rather than some columns."""

    content_type: str
    lines: Lines
    is_complete: bool


#: The formats, by the end of a file's name.
FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8", csv_lines, is_complete=False),
    "jsonl": Format("application/x-ndjson", json_lines, is_complete=True),
}


def _row(record: Record, columns: Sequence[str]) -> list[Any]:
    times = (record.created_at.isoformat(), record.updated_at.isoformat())
    return [record.external_id, *row_of(record, columns), record.rev, *times]


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    file = StringIO()
    csv.writer(file).writerows(map(_cell, row) for row in rows)
    return file.getvalue().encode()


def _cell(value: Any) -> Any:
    """Return a number as it is, and other values as text that is no formula, as OWASP advises."""
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = flat(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
