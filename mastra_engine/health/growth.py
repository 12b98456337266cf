"""The number of new rows by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import connections

from mastra_engine.postgres.samples import rows_by_day

DAYS = 30
_TABLES = {
    "records": "mastra_engine_record",
    "threads": "mastra_engine_thread",
    "messages": "mastra_engine_message",
    "vectors": "mastra_engine_embedding",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The approximate number of stored rows that were created on a day, in UTC."""

    day: date
    records: int
    threads: int
    messages: int
    vectors: int


def read_growth(alias: str) -> list[Day]:
    """Return the last 30 days, the oldest first; counts of large tables are estimated."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(days=ago) for ago in reversed(range(DAYS))]
    rows = {
        kind: rows_by_day(connections[alias], table, since=days[0])
        for kind, table in _TABLES.items()
    }
    return [
        Day(day=day.date(), **{kind: rows[kind].get(day.date(), 0) for kind in rows})
        for day in days
    ]
