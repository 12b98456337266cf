"""Statements that read agent memory.

Each has one good plan, whatever the sizes of threads and tables, and is prepared. Nearly every call
reads a thread and most read messages; through the ORM that takes about five times as long.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, get_args

from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.compile import TRUE, Sql
from mastra_engine.postgres.rows import as_values, columns_of, read_rows
from mastra_engine.types import Message, Thread, ThreadOrder, WorkingMemory
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.sizes import MESSAGE_BYTES

V = TypeVar("V", Thread, Message)

THREAD_COLUMNS = columns_of(Thread)
MESSAGE_COLUMNS = columns_of(Message)

# Reads rows in the order of an index and stops at the limit. The limit is a subquery because the
# planner must not see its value. For an unknown limit it assumes a tenth of the rows and chooses
# the index's order, which is right for every size. If it saw a limit of 20 and, by its statistics,
# expected a thread to have a dozen messages, it would read and sort the whole thread, which may
# have a hundred thousand.
_IN_ORDER = """
SELECT {columns} FROM {rows} AS selected
WHERE {condition} ORDER BY {order} LIMIT (SELECT %s::bigint)
"""
# A condition on other columns is applied to the rows of such a range. The unlimited LIMIT keeps the
# planner from merging the subquery, and thereby from choosing another index for the condition.
_RANGE = "(SELECT * FROM {rows} WHERE {condition} ORDER BY {order} LIMIT (SELECT NULL::bigint))"


# Reads no more rows than fill a page of some bytes. The innermost subquery reads the page's rows
# with references to their large values; only the rows of the result have these fetched and written
# as text. A compressed value is written to learn its size: it may be a hundred times as large.
_BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
_BOUNDED = f"""
SELECT {{columns}}, row_count FROM (
    SELECT selected.*, count(*) OVER () AS row_count,
           sum({{size}}) OVER (ORDER BY {{order}} {_BEFORE}) AS size_before
    FROM (
        SELECT * FROM {{rows}} AS matching
        WHERE {{condition}} ORDER BY {{order}} LIMIT (SELECT %s::bigint)
    ) AS selected
) AS sized
WHERE coalesce(size_before, 0) < %s ORDER BY {{order}}
"""


def _size(*columns: str) -> str:
    return " + ".join(
        f"""CASE WHEN pg_column_compression({column}) IS NULL THEN pg_column_size({column})
                 ELSE octet_length({column}::text) END"""
        for column in columns
    )


def _size_of_message(table: str = "") -> str:
    return f"{MESSAGE_BYTES} + {_size(f'{table}content', f'{table}metadata')}"


@dataclass(frozen=True, slots=True, eq=False)
class _Order(Generic[V]):
    """An index on an owner's column and on keys, and the type of value that its rows become."""

    kind: type[V]
    table: str
    owner: str
    keys: tuple[str, ...]
    size: str


#: Only the order by the last use has an index. For the other a resource's threads are sorted.
_THREADS_BY: dict[ThreadOrder, _Order[Thread]] = {
    key: _Order(
        Thread, "mastra_engine_thread", "resource_id", (key, "id"), _size("title", "metadata")
    )
    for key in get_args(ThreadOrder)
}
_BY_POSITION = _Order(
    Message, "mastra_engine_message", "thread_id", ("position",), _size_of_message()
)

_FIND_THREAD = f"SELECT {THREAD_COLUMNS} FROM mastra_engine_thread WHERE id = %(id)s"

# The lateral subquery with its unlimited LIMIT makes the planner look up one range after the other
# by the index of positions. As a plain join, a thread with several ranges may be read as a whole.
# Ranges of threads that belong to another resource yield no rows.
_BETWEEN = f"""
SELECT {MESSAGE_COLUMNS} FROM (
    SELECT selected.*, sum({_size_of_message()}) OVER (
        ORDER BY hit_rank NULLS LAST, rank, abs(position - best), position {_BEFORE}
    ) AS size_before
    FROM unnest(
        %(threads)s::text[], %(first)s::bigint[], %(last)s::bigint[], %(best)s::bigint[],
        %(ranks)s::bigint[]
    ) AS bounds (of_thread, first, last, best, rank)
    CROSS JOIN LATERAL (
        SELECT message.* FROM mastra_engine_thread AS thread
        JOIN mastra_engine_message AS message ON thread_id = thread.id
        WHERE thread.id = of_thread AND resource_id = %(resource)s
          AND position BETWEEN first AND last
        ORDER BY position LIMIT (SELECT NULL::bigint)
    ) AS selected
    LEFT JOIN unnest(%(hits)s::text[]) WITH ORDINALITY AS hit (hit_id, hit_rank) ON hit_id = id
) AS sized
WHERE coalesce(size_before, 0) < %(max_bytes)s
"""

_WITH_IDS = f"""
SELECT {MESSAGE_COLUMNS}, row_count FROM (
    SELECT message.*, number, count(*) OVER () AS row_count,
           sum({_size_of_message("message.")}) OVER (ORDER BY number {_BEFORE}) AS size_before
    FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS requested (requested_id, number)
    JOIN mastra_engine_message AS message ON message.id = requested_id
    {{scope}}
) AS sized
WHERE coalesce(size_before, 0) < %(max_bytes)s ORDER BY number
"""
_OF_RESOURCES = """JOIN mastra_engine_thread AS thread
    ON thread.id = thread_id AND resource_id = ANY(%(resources)s)"""

# The newest messages that fit a budget of tokens are a range of the index on (thread_id,
# cum_tokens), because cum_tokens grows with the position. The range has one message more than fits,
# if there is one, so that the caller learns whether older messages exist. The upper bound excludes
# nothing. But without it the planner expects a third of the thread, and reads and sorts that in a
# long thread.
#
# A deletion does not change the cum_tokens of later messages. The next message records the deleted
# tokens as gap_tokens instead, and the range must be longer by the gaps inside of it. `gaps` walks
# from gap to gap, newest first, by a partial index: each gap lowers the start of the range, until
# the next one is before it. A gap counts if a message before it can still be in the range.
_LATEST_RANGE = """
WITH RECURSIVE newest AS (
    SELECT cum_tokens FROM mastra_engine_message WHERE thread_id = %(thread)s
    ORDER BY position DESC LIMIT 1
), range (low, before) AS (
    SELECT cum_tokens - %(budget)s::bigint, cum_tokens FROM newest
    UNION ALL
    SELECT low - gap_tokens, cum_tokens - tokens - gap_tokens
    FROM range
    CROSS JOIN LATERAL (
        SELECT cum_tokens, tokens, gap_tokens FROM mastra_engine_message
        WHERE thread_id = %(thread)s AND gap_tokens > 0 AND cum_tokens BETWEEN low AND before
        ORDER BY cum_tokens DESC LIMIT 1
    ) AS gap
    WHERE cum_tokens - tokens >= low
)
"""
_DURING = """
  AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)
  AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
"""
# The times of imported messages need not have the order of their positions, so messages outside of
# the bounds may stand anywhere between those inside. `range` goes back through the thread, each
# time twice as far as before, until the messages inside exceed the budget or the thread begins.
_TIMED_RANGE = f"""
WITH RECURSIVE newest AS (
    SELECT cum_tokens FROM mastra_engine_message WHERE thread_id = %(thread)s {_DURING}
    ORDER BY position DESC LIMIT 1
), range (low, width, inside) AS (
    SELECT cum_tokens + 1, least(%(budget)s::bigint, cum_tokens) + 1, 0::bigint FROM newest
    UNION ALL
    SELECT low - width, 2 * width, inside + more
    FROM range
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(tokens), 0) AS more FROM mastra_engine_message
        WHERE thread_id = %(thread)s AND cum_tokens BETWEEN low - width AND low - 1 {_DURING}
    ) AS next
    WHERE inside <= %(budget)s AND low > 0
)
"""
# Of the messages of a range, those newer than the one that exceeds a bound, and that one.
_WINDOW = f"""
SELECT {MESSAGE_COLUMNS}, row_count FROM (
    SELECT message.*, count(*) OVER () AS row_count,
           coalesce(sum(tokens) OVER newer, 0) AS newer_tokens,
           coalesce(sum({_size_of_message()}) OVER newer, 0) AS newer_bytes
    FROM mastra_engine_message AS message
    WHERE thread_id = %(thread)s
      AND cum_tokens BETWEEN (SELECT min(low) FROM range) AND (SELECT cum_tokens FROM newest)
      {{during}}
    WINDOW newer AS (ORDER BY position DESC {_BEFORE})
) AS selected
WHERE newer_tokens <= %(budget)s AND newer_bytes < %(max_bytes)s ORDER BY position
"""

# Messages without a vector are found by a partial index; this repeats its predicate. The limit is
# part of the text, because the planner must know how few rows it has to find.
_PENDING = """
SELECT message.id, thread_id, position, text, message.metadata::text
FROM mastra_engine_message AS message
JOIN mastra_engine_thread AS thread ON thread.id = thread_id
WHERE embedded_at IS NULL AND NOT text = ''{conditions}
ORDER BY thread_id, position LIMIT {limit}
"""

# UNION ALL instead of OR: for OR the planner may read the working memory of all threads of the
# resource, of which there may be many.
_FIND_WORKING_MEMORY = """
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id IS NULL
UNION ALL
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id = %(thread)s
"""


def find_thread(connection: BaseDatabaseWrapper, id: str, *, lock: str = "") -> Thread | None:
    """Return a thread, or None if it does not exist; `lock` is a locking clause such as FOR UPDATE.

    A locked row is read in its latest version, after waiting for the transactions that changed it.
    """
    rows = read_rows(connection, f"{_FIND_THREAD} {lock}".rstrip(), {"id": id})
    return next(iter(as_values(Thread, rows)), None)


def find_threads(
    connection: BaseDatabaseWrapper,
    resource_id: str,
    condition: Sql,
    *,
    order_by: ThreadOrder,
    after: tuple[datetime, str] | None,
    descending: bool,
    limit: int,
    max_bytes: int,
) -> tuple[list[Thread], bool]:
    """Return threads of a resource that satisfy a condition, by a time and by id.

    Only threads past the place `after` in that order are returned. They end at the limit or with
    the one that reaches `max_bytes`; the second value tells whether others follow.
    """
    order = _THREADS_BY[order_by]
    return _read(order, connection, resource_id, condition, after, descending, limit, max_bytes)


def count_threads(connection: BaseDatabaseWrapper, resource_id: str, condition: Sql) -> int:
    """Return the number of a resource's threads that satisfy a condition."""
    sql = f"SELECT count(*) FROM mastra_engine_thread WHERE resource_id = %s AND {condition[0]}"
    ((number,),) = read_rows(connection, sql, [resource_id, *condition[1]])
    return int(number)


def read_messages(
    connection: BaseDatabaseWrapper,
    thread_id: str,
    condition: Sql,
    *,
    after: int | None = None,
    descending: bool = False,
    limit: int | None = None,
    max_bytes: int | None = None,
) -> tuple[list[Message], bool]:
    """Return messages of a thread that satisfy a condition, by position.

    Only messages past the position `after` in that order are returned. They end at the limit or
    with the one that reaches `max_bytes`; with `max_bytes` the second value tells whether others
    follow.
    """
    place = None if after is None else (after,)
    return _read(
        _BY_POSITION, connection, thread_id, condition, place, descending, limit, max_bytes
    )


def read_window(
    connection: BaseDatabaseWrapper,
    thread_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    budget: int,
    max_bytes: int,
) -> tuple[list[Message], bool]:
    """Return a thread's newest messages that fit `budget` tokens, and whether older ones exist.

    They end with the one that reaches `max_bytes`.
    """
    params = {
        "thread": thread_id,
        "start": start,
        "end": end,
        "budget": budget,
        "max_bytes": max_bytes,
    }
    if start is None and end is None:
        sql = _LATEST_RANGE + _WINDOW.format(during="")
    else:
        sql = _TIMED_RANGE + _WINDOW.format(during=_DURING)
    rows = read_rows(connection, sql, params)
    messages = as_values(Message, rows)
    if sum(message.tokens for message in messages) > budget:
        del messages[0]
    return messages, bool(rows) and len(messages) < rows[0][-1]


def vectors_at(places: Collection[tuple[str, int]]) -> Sql:
    """Return the condition that a vector is that of a message at one of some places in threads."""
    threads, positions = zip(*places, strict=True)
    ids = (
        "SELECT message.id FROM unnest(%s::text[], %s::bigint[]) AS place (of_thread, at) "
        "JOIN mastra_engine_message AS message ON thread_id = of_thread AND position = at"
    )
    return f"id IN ({ids})", [list(threads), list(positions)]


def messages_between(
    connection: BaseDatabaseWrapper,
    bounds: Sequence[tuple[str, int, int, int, int]],
    *,
    resource_id: str,
    hit_ids: Sequence[str],
    max_bytes: int,
) -> list[Message]:
    """Return the messages in bounds: (thread, first position, last position, best hit's, rank).

    Bounds in threads of another resource yield none. The messages end with the one that reaches
    `max_bytes`: first come hits, then those of the first rank that are nearest to the best hit.
    """
    threads, first, last, best, ranks = (list(column) for column in zip(*bounds, strict=True))
    params = {
        "threads": threads,
        "first": first,
        "last": last,
        "best": best,
        "ranks": ranks,
        "resource": resource_id,
        "hits": list(hit_ids),
        "max_bytes": max_bytes,
    }
    return as_values(Message, read_rows(connection, _BETWEEN, params))


def messages_with_ids(
    connection: BaseDatabaseWrapper,
    ids: list[str],
    *,
    resource_ids: Collection[str] | None,
    max_bytes: int,
) -> tuple[list[Message], bool]:
    """Return messages of some resources, of all if None, in the order of their ids.

    They end with the one that reaches `max_bytes`; the second value tells whether others follow.
    """
    params: dict[str, Any] = {"ids": ids, "max_bytes": max_bytes}
    if resource_ids is not None:
        params["resources"] = sorted(resource_ids)
    sql = _WITH_IDS.format(scope="" if resource_ids is None else _OF_RESOURCES)
    rows = read_rows(connection, sql, params)
    return as_values(Message, rows), bool(rows) and len(rows) < rows[0][-1]


def list_pending(
    connection: BaseDatabaseWrapper,
    *,
    resource_ids: Collection[str] | None,
    thread_id: str | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    """Return messages without a vector as (id, thread, position, text, metadata).

    They are those of a thread and of some resources, each unless it is None. They are ordered by
    thread and position.
    """
    conditions, params = "", list[Any]()
    if thread_id is not None:
        conditions += " AND thread_id = %s"
        params.append(thread_id)
    if resource_ids is not None:
        conditions += " AND resource_id = ANY(%s)"
        params.append(sorted(resource_ids))
    sql = _PENDING.format(conditions=conditions, limit=int(limit))
    if resource_ids is None:
        rows = read_rows(connection, sql, params)
    else:
        # Which plan is good depends on how many of the pending messages are theirs. So the planner
        # must see the resources, which a prepared statement hides from it.
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            rows = cursor.fetchall()
    return [(*row[:-1], loads(row[-1])) for row in rows]


def find_working_memory(
    connection: BaseDatabaseWrapper, *, resource_id: str, thread_id: str | None
) -> dict[str | None, WorkingMemory]:
    """Return the working memory of a resource, under None, and of a thread, under its id.

    Missing ones are left out.
    """
    params = {"resource": resource_id, "thread": thread_id}
    return {
        thread: WorkingMemory(content=content, data=loads(data), version=version)
        for thread, content, data, version in read_rows(connection, _FIND_WORKING_MEMORY, params)
    }


def _read(
    order: _Order[V],
    connection: BaseDatabaseWrapper,
    owner: str,
    condition: Sql,
    after: Sequence[Any] | None,
    descending: bool,
    limit: int | None,
    max_bytes: int | None,
) -> tuple[list[V], bool]:
    """Return the rows of an owner that satisfy a condition, in an order, past a place in it."""
    sql = _in_order(order, after is not None, descending, condition[0], max_bytes is not None)
    params: list[Any] = [owner, *(after or ()), *condition[1]]
    if max_bytes is None:
        return as_values(order.kind, read_rows(connection, sql, [*params, limit])), False
    # One row more than the limit tells whether others follow.
    most_rows = None if limit is None else limit + 1
    rows = read_rows(connection, sql, [*params, most_rows, max_bytes])
    items = as_values(order.kind, rows[:limit])
    return items, bool(items) and len(items) < rows[0][-1]


@lru_cache  # Composing the text takes a tenth of the time that reading 20 messages takes.
def _in_order(
    order: _Order[Any], past_a_place: bool, descending: bool, filter: str, bounded: bool
) -> str:
    operator, direction = ("<", "DESC") if descending else (">", "ASC")
    condition = f"{order.owner} = %s"
    keys = ", ".join(f"{key} {direction}" for key in order.keys)
    if past_a_place:
        places = ", ".join(["%s"] * len(order.keys))
        condition += f" AND ({', '.join(order.keys)}) {operator} ({places})"
    rows = order.table
    if filter != TRUE[0]:
        rows, condition = _RANGE.format(rows=rows, condition=condition, order=keys), filter
    return (_BOUNDED if bounded else _IN_ORDER).format(
        columns=columns_of(order.kind),
        size=order.size,
        rows=rows,
        condition=condition,
        order=keys,
    )
