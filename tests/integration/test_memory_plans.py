"""What is read of a long thread costs what it gives, wherever in the thread it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.memory.store import MessageRange
from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.models import Message, Thread
from tests.concurrency.memory_work import Letters
from tests.integration.queries import Plan, explained, nodes_of

pytestmark = pytest.mark.django_db

LONG, SHORT = "long", "short 7"
SIZE, TOKENS = 100_000, 115
BY_POSITION, BY_TOKENS = "mastra_engine_message_position", "mastra_engine_message_tokens"

# Threads are written side by side, so that neighbours in one are far apart in the table.
_LOAD = """
INSERT INTO mastra_engine_thread (id, resource_id, metadata, last_position)
VALUES ('long', 'anna', '{}', 100000);
INSERT INTO mastra_engine_thread (id, resource_id, metadata, last_position, updated_at)
SELECT 'short ' || i, 'resource ' || i % 5, '{}', 67, timestamptz '2026-01-01' + i * interval '1 h'
FROM generate_series(0, 19999) AS i;
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, embedded_at,
     created_at)
SELECT gen_random_uuid(), thread_id, position, 'user', '[]', repeat('text ', 50), 115,
       115 * position, '{}', CASE WHEN i % 1000 > 0 THEN at END, at
FROM (
    SELECT i, timestamptz '2026-01-01' + i * interval '1 s' AS at,
           CASE WHEN i % 4 < 3 THEN 'long' ELSE 'short ' || i / 4 % 500 END AS thread_id,
           CASE WHEN i % 4 < 3 THEN i / 4 * 3 + i % 4 + 1 ELSE i / 4 / 500 + 1 END AS position
    FROM generate_series(0, 133332) AS i
) AS made;
ANALYZE mastra_engine_thread, mastra_engine_message, mastra_engine_idempotentappend,
    mastra_engine_workingmemory;
"""


@pytest.fixture(scope="module")
def loaded(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The long thread, which is most of the table, and many short ones."""
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            # Rows of other tests leave gaps. Filling them would scatter the rows of a page.
            cursor.execute("VACUUM FULL mastra_engine_message")
            cursor.execute(_LOAD)
        assert Message.objects.filter(thread=LONG).count() == SIZE
    yield
    with django_db_blocker.unblock():
        Thread.objects.all().delete()


@pytest.fixture
def memory(loaded: None, engine: PostgresEngine) -> Memory:
    return engine.memory


def plan_of(call: Callable[[], Any], part: str = "FROM mastra_engine_message") -> Plan:
    with explained(part) as plans:
        call()
    (plan,) = plans
    return plan


def indexes(plan: Plan) -> set[str]:
    return {node["Index Name"] for node in nodes_of(plan) if "Index Name" in node}


def kinds(plan: Plan) -> set[str]:
    return {node["Node Type"] for node in nodes_of(plan)}


def rows_read(plan: Plan, table: str = "mastra_engine_") -> float:
    """Return how many rows were fetched from tables, those that were of no use included."""
    return sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for node in nodes_of(plan)
        if "Scan" in node["Node Type"] and node.get("Relation Name", "").startswith(table)
    )


def buffers(plan: Plan) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


# Reading


@pytest.mark.parametrize("thread", [LONG, SHORT])
def test_the_last_messages_are_read_in_the_indexs_order(memory: Memory, thread: str) -> None:
    plan = plan_of(lambda: memory.get_memory(thread_id=thread, last=20))
    assert indexes(plan) == {BY_POSITION}
    assert "Sort" not in kinds(plan)
    assert rows_read(plan) <= 21  # one more tells whether others follow


@pytest.mark.parametrize("budget", [0, 4_000, 32_000, 128_000, 1_000_000])
@pytest.mark.parametrize("thread", [LONG, SHORT])
def test_a_context_window_reads_what_it_holds(memory: Memory, thread: str, budget: int) -> None:
    """However long the thread and the window are, the planner does not take them for longer."""
    items: list[Any] = []
    plan = plan_of(
        lambda: items.append(memory.get_context_window(thread_id=thread, max_tokens=budget))
    )
    (window,) = items
    assert len(window) == min(budget // TOKENS, Message.objects.filter(thread=thread).count())
    assert BY_TOKENS in indexes(plan)
    assert not kinds(plan) & {"Seq Scan", "Gather", "Gather Merge"}
    # The newest message, twice, and the one that does not fit.
    assert rows_read(plan) <= len(window) + 3


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_deep_page_costs_what_the_first_one_costs(memory: Memory, order: Any) -> None:
    def page(cursor: str | None) -> Any:
        return memory.list_messages(thread_id=LONG, limit=100, order=order, cursor=cursor)

    depth = memory.list_messages(thread_id=LONG, limit=99_900, order=order)
    first = plan_of(lambda: page(None))
    deep = plan_of(lambda: page(depth.next_cursor))
    assert len(page(depth.next_cursor)) == 100
    assert indexes(first) == indexes(deep) == {BY_POSITION}
    assert rows_read(deep) <= rows_read(first) == 101
    # Each row may lie on a page of its own; a walk to this depth takes a thousand and more.
    assert buffers(deep) <= buffers(first) + rows_read(deep)


def test_messages_are_found_by_their_ids(memory: Memory) -> None:
    ids = list(Message.objects.filter(thread=LONG).values_list("id", flat=True)[:20])
    plan = plan_of(lambda: memory.get_messages_by_id(ids=ids), "AS requested")
    assert "Seq Scan" not in kinds(plan)
    assert rows_read(plan) == 20


def test_message_ranges_are_found_by_position(memory: Memory) -> None:
    ranges = [MessageRange(LONG, i, i + 2, i + 1, 0) for i in range(100, 99_000, 9_000)]
    store = memory.context.store
    plan = plan_of(
        lambda: store.read_ranges(ranges, "anna", hit_ids=["m"], max_bytes=1_000_000), "AS bounds"
    )
    assert BY_POSITION in indexes(plan)
    assert "Seq Scan" not in kinds(plan)
    assert rows_read(plan, "mastra_engine_message") == 3 * len(ranges)


@pytest.mark.parametrize("scope", [{}, {"thread_id": LONG}], ids=["all", "a thread"])
def test_pending_messages_are_found_by_the_partial_index(
    memory: Memory, scope: dict[str, str]
) -> None:
    plan = plan_of(
        lambda: memory.context.store.list_unembedded(
            resource_id=None, thread_id=scope.get("thread_id"), resource_ids=None, limit=256
        ),
        "mastra_engine_message",
    )
    assert "mastra_engine_message_waiting" in indexes(plan)
    # Whether their threads are looked up or all read is for the planner and its samples to say.
    assert rows_read(plan, "mastra_engine_message") <= 134


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_threads_are_listed_in_the_indexs_order(memory: Memory, order: Any) -> None:
    def page(limit: int, cursor: str | None = None) -> Any:
        return memory.list_threads(
            resource_id="resource 1", limit=limit, order=order, cursor=cursor
        )

    first = plan_of(lambda: page(10), "mastra_engine_thread")
    half = page(2_000).next_cursor
    deep = plan_of(lambda: page(10, half), "mastra_engine_thread")
    for plan in (first, deep):
        assert indexes(plan) == {"mastra_engine_thread_resource"}
        assert "Sort" not in kinds(plan)
    assert rows_read(deep) <= rows_read(first) + 1


# Writing


def test_an_append_finds_its_thread_by_its_key(memory: Memory) -> None:
    plan = plan_of(
        lambda: memory.save_memory(
            thread_id=SHORT,
            messages=[{"role": "user", "content": "Hello"}],
            resource_id="resource 2",
            idempotency_key="key",
        ),
        "WITH bumped AS",
    )
    assert "Seq Scan" not in kinds(plan)
    assert rows_read(plan) == 1


# PostgreSQL looks for what refers to a deleted row, and without an index it reads the whole table.
_WITHOUT_INDEX = """
SELECT conrelid::regclass::text, attname
FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND confrelid = 'mastra_engine_thread'::regclass
  AND NOT EXISTS (
        SELECT FROM pg_index
        WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL
  )
"""


@pytest.mark.django_db
def test_rows_that_refer_to_a_thread_are_found_by_an_index() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_WITHOUT_INDEX)
        assert cursor.fetchall() == []


def test_a_short_thread_is_deleted_without_reading_the_others(
    memory: Memory,
) -> None:
    memory.vectors.embedder = Letters()
    memory.save_memory(thread_id=SHORT, messages=[{"role": "user", "content": "Hello"}])
    memory.embed_pending(thread_id=SHORT)
    before = scans_of_messages()
    memory.delete_thread(thread_id=SHORT)
    assert scans_of_messages() == before
    Message.objects.filter(text="none").exists()
    assert scans_of_messages() > before, "nobody counts"


@pytest.mark.parametrize(
    "positions",
    [range(1, 2), range(500, 504), range(10, 40, 3), range(SIZE, SIZE + 1)],
    ids=["the first", "neighbours", "scattered", "the last"],
)
def test_a_deletion_writes_no_more_rows_than_it_deletes(memory: Memory, positions: range) -> None:
    rows = Message.objects.filter(thread=LONG, position__in=positions)
    ids = list(rows.values_list("id", flat=True))
    before = writes_of_messages()
    assert memory.delete_messages(ids=ids) == len(ids) == len(positions)
    assert writes_of_messages() - before <= 2 * len(ids)
    Message.objects.filter(thread=SHORT).update(text="counted")
    assert writes_of_messages() - before > 2 * len(ids), "writes are not counted"


def writes_of_messages() -> int:
    """Return how many rows of messages this transaction has updated or deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_updated(id) + pg_stat_get_xact_tuples_deleted(id)"
            " FROM (SELECT 'mastra_engine_message'::regclass::oid AS id) AS tables"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("budget", [4_000, 128_000])
def test_a_window_between_gaps_reads_what_it_holds(memory: Memory, budget: int) -> None:
    """Every second message of the newest half is deleted, and a run of the older half."""
    newest = Message.objects.filter(thread=LONG, position__gt=SIZE // 2)
    odd = [row.id for row in newest.only("id", "position") if row.position % 2]
    run = Message.objects.filter(thread=LONG, position__range=(20_000, 30_000))
    memory.delete_messages(ids=[*odd, *run.values_list("id", flat=True)])
    windows: list[Any] = []
    plan = plan_of(
        lambda: windows.append(memory.get_context_window(thread_id=LONG, max_tokens=budget))
    )
    (window,) = windows
    assert len(window) == budget // TOKENS
    assert {BY_TOKENS, "mastra_engine_message_gaps"} <= indexes(plan)
    assert not kinds(plan) & {"Seq Scan", "Gather", "Gather Merge"}
    # The newest message, the one that does not fit, and each with a gap before it.
    assert rows_read(plan, "mastra_engine_message") <= 2 * len(window) + 4


def scans_of_messages() -> int:
    """Return how often this transaction has read the table from end to end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_get_xact_numscans('mastra_engine_message'::regclass)")
        return int(cursor.fetchone()[0])
