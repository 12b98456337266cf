"""What is read of agent memory, by statements that keep their plan whatever there is of it.

Every call reads a thread, and most read messages: through the ORM, some five times as long.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import Format

from mastra_engine.postgres.compile import TRUE, Sql
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.types import Message, Thread, WorkingMemory
from mastra_engine.validation.jsonb import loads

V = TypeVar("V", Thread, Message)

_DOCUMENTS = ("content", "metadata")


def _columns(names: Iterable[str]) -> str:
    """JSON is asked for as text, which is how it is sent anyway, but not read by the driver."""
    return ", ".join(f"{name}::text" if name in _DOCUMENTS else name for name in names)


_THREAD = _columns(Thread.__slots__)
_MESSAGE = _columns(Message.__slots__)

# A range of an index, in the index's order, or what is wanted of one. The planner is not told how
# many rows that may be, of the range or of what is wanted: of a number that shows only when the
# statement runs it supposes a tenth of all, and then it takes the index's order. Told of 20 where
# it expects a dozen, it would read and sort a whole thread, which may have a hundred thousand.
_IN_ORDER = """
SELECT {columns} FROM {rows} AS found
WHERE {condition} ORDER BY {order} LIMIT (SELECT %s::bigint)
"""
_RANGE = "(SELECT * FROM {rows} WHERE {condition} ORDER BY {order} LIMIT (SELECT NULL::bigint))"


@dataclass(frozen=True, slots=True, eq=False)
class _Order(Generic[V]):
    """An index by what owns rows and by keys, in whose order they are read as values."""

    kind: type[V]
    table: str
    owner: str
    keys: tuple[str, ...]


_BY_USE = _Order(Thread, "mastra_engine_thread", "resource_id", ("updated_at", "id"))
_BY_POSITION = _Order(Message, "mastra_engine_message", "thread_id", ("position",))

_FIND_THREAD = f"""
SELECT {_THREAD} FROM mastra_engine_thread
WHERE id = %(id)s
  AND (%(resources)s::text[] IS NULL OR resource_id = ANY(%(resources)s::text[]))
"""

# Bounds by bounds, or the planner may read all of a thread that has several; and only of threads
# that are the resource's.
_BETWEEN = f"""
SELECT {_MESSAGE}
FROM unnest(%(threads)s::text[], %(first)s::bigint[], %(last)s::bigint[])
    AS bounds (of_thread, first, last)
CROSS JOIN LATERAL (
    SELECT message.* FROM mastra_engine_thread AS thread
    JOIN mastra_engine_message AS message ON thread_id = thread.id
    WHERE thread.id = of_thread AND resource_id = %(resource)s AND position BETWEEN first AND last
    ORDER BY position LIMIT (SELECT NULL::bigint)
) AS found
"""

# One message more than fits, if there is one: its sum is just beyond the budget. Nothing of the
# thread is above the upper bound, but without it the planner expects a third of the thread, and
# reads and sorts that where the thread is long.
_NEWEST = """(
    SELECT cum_tokens FROM mastra_engine_message
    WHERE thread_id = %(thread)s AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)
    ORDER BY position DESC LIMIT 1
)"""
_WINDOW = f"""
SELECT {_MESSAGE} FROM mastra_engine_message
WHERE thread_id = %(thread)s
  AND cum_tokens BETWEEN {_NEWEST} - %(budget)s AND {_NEWEST}
  AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)
  AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
ORDER BY position
"""

# Two statements in one, since with OR the planner may read all that the resource's threads have.
_FIND_WORKING_MEMORY = """
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id IS NULL
UNION ALL
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id = %(thread)s
"""


def find_thread(
    connection: BaseDatabaseWrapper, id: str, *, resources: list[str] | None
) -> Thread | None:
    """Return a thread, if it is one of the resources'."""
    rows = _rows(connection, _FIND_THREAD, {"id": id, "resources": resources})
    return next(iter(_values(Thread, rows)), None)


def find_threads(
    connection: BaseDatabaseWrapper,
    resource_id: str,
    wanted: Sql,
    *,
    after: tuple[datetime, str] | None,
    descending: bool,
    limit: int,
) -> list[Thread]:
    """Return a resource's by when they were last used and their ids, past one in that order."""
    return _read(_BY_USE, connection, resource_id, wanted, after, descending, limit)


def read_messages(
    connection: BaseDatabaseWrapper,
    thread_id: str,
    wanted: Sql,
    *,
    after: int | None = None,
    descending: bool = False,
    limit: int | None = None,
) -> list[Message]:
    """Return those of a thread of which something is true by position, past one in that order."""
    place = None if after is None else (after,)
    return _read(_BY_POSITION, connection, thread_id, wanted, place, descending, limit)


def read_window(
    connection: BaseDatabaseWrapper,
    thread_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    budget: int,
) -> tuple[list[Message], bool]:
    """Return a thread's newest that fit a budget of tokens, and whether there are older ones."""
    params = {"thread": thread_id, "start": start, "end": end, "budget": budget}
    messages = _values(Message, _rows(connection, _WINDOW, params))
    older = sum(message.tokens for message in messages) > budget
    return messages[1 if older else 0 :], older


def messages_between(
    connection: BaseDatabaseWrapper, bounds: Sequence[tuple[str, int, int]], *, resource_id: str
) -> list[Message]:
    """Return messages by (thread, first position, last position), those of a resource's threads."""
    threads, first, last = (list(column) for column in zip(*bounds, strict=True))
    params = {"threads": threads, "first": first, "last": last, "resource": resource_id}
    return _values(Message, _rows(connection, _BETWEEN, params))


def find_working_memory(
    connection: BaseDatabaseWrapper, *, resource_id: str, thread_id: str | None
) -> dict[str | None, WorkingMemory]:
    """Return what a resource has and, if one is given, what a thread of it has, by thread."""
    params = {"resource": resource_id, "thread": thread_id}
    return {
        holder: WorkingMemory(content=content, data=loads(data), version=version)
        for holder, content, data, version in _rows(connection, _FIND_WORKING_MEMORY, params)
    }


def _read(
    order: _Order[V],
    connection: BaseDatabaseWrapper,
    owner: str,
    wanted: Sql,
    after: Sequence[Any] | None,
    descending: bool,
    limit: int | None,
) -> list[V]:
    """Return what an owner has that is wanted, in an order, past a place in it."""
    sql = _in_order(order, after is not None, descending, wanted[0])
    params = [owner, *(after or ()), *wanted[1], limit]
    return _values(order.kind, _rows(connection, sql, params))


@lru_cache  # to write it takes a tenth of the time that reading 20 messages does
def _in_order(order: _Order[Any], beyond: bool, descending: bool, wanted: str) -> str:
    than, way = ("<", "DESC") if descending else (">", "ASC")
    condition, keys = f"{order.owner} = %s", ", ".join(f"{key} {way}" for key in order.keys)
    if beyond:
        places = ", ".join(["%s"] * len(order.keys))
        condition += f" AND ({', '.join(order.keys)}) {than} ({places})"
    rows = order.table
    if wanted != TRUE[0]:
        rows, condition = _RANGE.format(rows=rows, condition=condition, order=keys), wanted
    return _IN_ORDER.format(
        columns=_columns(order.kind.__slots__), rows=rows, condition=condition, order=keys
    )


def _rows(connection: BaseDatabaseWrapper, sql: str, params: Any) -> list[tuple[Any, ...]]:
    """Return what a statement gives, in binary, which psycopg reads in half the time."""
    with server_cursor(connection, format=Format.BINARY) as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _values(kind: type[V], rows: Sequence[tuple[Any, ...]]) -> list[V]:
    """Return rows as frozen values, filled by columns: their constructor takes twice as long."""
    values = [kind.__new__(kind) for _ in rows]
    for name, column in zip(kind.__slots__, zip(*rows, strict=True), strict=False):  # no rows
        read = map(loads, column) if name in _DOCUMENTS else column
        deque(map(getattr(kind, name).__set__, values, read), maxlen=0)
    return values
