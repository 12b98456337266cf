"""What is read of a thread costs what it gives, whatever the planner takes the thread for.

Where most threads are short it takes each for a short one, as long as its statistics are older than
a long one, or where it plans for all threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.memory.store import MessageRange
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Thread

pytestmark = pytest.mark.django_db

LONG, MANY = "long", "with many threads"
SIZE = 2_000

_SHORT = """
INSERT INTO mastra_engine_thread (id, resource_id, metadata)
SELECT 'short ' || i, 'resource ' || i / 4, '{}' FROM generate_series(0, 1999) AS i;
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, embedded_at,
     created_at)
SELECT gen_random_uuid(), 'short ' || i % 2000, i / 2000 + 1, 'user', '[]', repeat('text ', 50),
       115, 115 * (i / 2000 + 1), '{}', now(), now()
FROM generate_series(0, 23999) AS i;
"""
_LONG = """
INSERT INTO mastra_engine_thread (id, resource_id, metadata)
SELECT CASE i WHEN 0 THEN 'long' ELSE 'long ' || i END, 'with many threads', '{"a": 1}'
FROM generate_series(0, 1999) AS i;
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, embedded_at,
     created_at)
SELECT gen_random_uuid(), 'long', i, 'assistant', '[]', repeat('text ', 50), 115, 115 * i,
       '{"a": 1}', NULL, now()
FROM generate_series(1, 2000) AS i;
INSERT INTO mastra_engine_workingmemory (id, resource_id, thread_id, content, data, version)
SELECT gen_random_uuid(), resource_id, id, '', '{}', 1 FROM mastra_engine_thread;
"""
_ANALYZE = "ANALYZE mastra_engine_thread, mastra_engine_message, mastra_engine_workingmemory;"


@pytest.fixture(scope="module", params=["stale", "fresh"])
def skewed(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Short threads and a long one, which statistics do not know where they are stale."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute(_SHORT + _ANALYZE + _LONG)
            if request.param == "fresh":
                cursor.execute(_ANALYZE)
        yield
        Thread.objects.all().delete()


@pytest.fixture(params=["force_custom_plan", "force_generic_plan"])
def memory(
    request: pytest.FixtureRequest, skewed: None, db: None, engine: PostgresEngine
) -> Memory:
    """A memory whose statements are planned for their parameters, or for any."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL plan_cache_mode = {request.param}")
        cursor.execute("SET LOCAL random_page_cost = 4")
    return engine.memory


Read = Callable[[Memory], Any]


def page(memory: Memory, **options: Any) -> Any:
    return memory.list_messages(**{"thread_id": LONG, "limit": 20, **options})


def deep_page(memory: Memory) -> Any:
    first = page(memory, limit=30)
    return page(memory, limit=20, cursor=first.next_cursor)


def neighbours(memory: Memory) -> Any:
    ranges = [MessageRange(LONG, i, i + 2, i + 1, 0) for i in range(1, SIZE, SIZE // 40)]
    return memory.context.store.read_ranges(ranges, MANY, hit_ids=["m"], max_bytes=1_000_000)


def pending(memory: Memory, *, resource_id: str | None = None, thread_id: str | None = None) -> Any:
    return memory.context.store.list_unembedded(
        resource_id=resource_id, thread_id=thread_id, resource_ids=None, limit=20
    )


def threads(memory: Memory, **options: Any) -> Any:
    return memory.list_threads(resource_id=MANY, limit=20, **options)


MESSAGE, THREAD = "mastra_engine_message", "mastra_engine_thread"
READS: dict[str, tuple[str, int, Read]] = {
    "the last": (MESSAGE, 21, lambda memory: memory.get_memory(thread_id=LONG, last=20)),
    "a page": (MESSAGE, 21, page),
    "the last page": (MESSAGE, 21, lambda memory: page(memory, order="desc")),
    "a hundred": (MESSAGE, 101, lambda memory: page(memory, limit=100)),
    "two pages": (MESSAGE, 52, deep_page),
    "a role's": (MESSAGE, 21, lambda memory: page(memory, role="assistant")),
    "some by metadata": (MESSAGE, 21, lambda memory: page(memory, metadata={"a": 1})),
    "a window": (MESSAGE, 37, lambda m: m.get_context_window(thread_id=LONG, max_tokens=4_000)),
    "neighbours of what is recalled": (MESSAGE, 120, neighbours),
    "what waits in it": (MESSAGE, 20, lambda memory: pending(memory, thread_id=LONG)),
    # Its threads are looked up a little ahead.
    "what waits": (MESSAGE, 30, pending),
    "a resource's": (MESSAGE, 30, lambda memory: pending(memory, resource_id=MANY)),
    "threads": (THREAD, 21, threads),
    "the oldest threads": (THREAD, 21, lambda memory: threads(memory, order="asc")),
    "threads by metadata": (THREAD, 21, lambda memory: threads(memory, metadata={"a": 1})),
    "working memory": (
        "mastra_engine_workingmemory",
        1,
        lambda memory: memory.get_working_memory(resource_id=MANY),
    ),
}


@pytest.mark.parametrize("name", READS)
def test_reads_fetch_no_more_rows_than_they_return(memory: Memory, name: str) -> None:
    table, most, read = READS[name]
    before = fetched(table)
    read(memory)
    assert fetched(table) - before <= most


def test_fetched_rows_are_counted(memory: Memory) -> None:
    before = fetched(MESSAGE)
    assert len(page(memory, metadata={"a": 2})) == 0
    assert fetched(MESSAGE) - before == SIZE


# As the view pg_stat_user_tables counts: through indexes, and from end to end.
_FETCHED = """
SELECT sum(pg_stat_get_xact_tuples_fetched(relation)) + pg_stat_get_xact_tuples_returned(%(table)s)
FROM (
    SELECT indexrelid AS relation FROM pg_index WHERE indrelid = %(table)s
    UNION ALL SELECT %(table)s
) AS relations
"""


def fetched(table: str) -> int:
    """Return how many rows of a table this transaction has fetched."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::regclass::oid", [table])
        (oid,) = cursor.fetchone()
        cursor.execute(_FETCHED, {"table": oid})
        return int(cursor.fetchone()[0])
