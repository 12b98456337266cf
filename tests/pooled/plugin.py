"""For every test that runs behind PgBouncer, loaded by `pytest -p tests.pooled.plugin`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.pooled.bouncer import SERVERS

# The time zone is PgBouncer's to keep, for each of its clients.
_LEFT = """
SELECT 'setting', name FROM pg_settings WHERE source = 'session' AND name != 'TimeZone'
UNION ALL SELECT 'prepared statement', statement FROM pg_prepared_statements
UNION ALL SELECT 'advisory lock', objid::text FROM pg_locks
          WHERE locktype = 'advisory' AND pid = pg_backend_pid()
UNION ALL SELECT 'temporary table', relname FROM pg_class
          WHERE relnamespace = pg_my_temp_schema()
UNION ALL SELECT 'channel', pg_listening_channels()
"""


def on_each_server(sql: str) -> list[tuple[str, ...]]:
    """Execute a statement once on each of PgBouncer's servers, which take turns."""
    with connection.cursor() as cursor:
        items = []
        for _ in range(SERVERS):
            cursor.execute(sql)
            items += cursor.fetchall() if cursor.description else []
    return items


def left_behind() -> list[tuple[str, ...]]:
    """Return what the next client would find, whoever that is."""
    return on_each_server(_LEFT)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(transactional_db: None) -> Iterator[None]:
    """Have each test commit what it does: within one transaction there is only one server."""
    yield
    remaining = left_behind()
    on_each_server("DISCARD ALL")
    assert remaining == []
