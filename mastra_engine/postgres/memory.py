"""The statements of agent memory that the ORM has no words for, or takes long to find them.

Every call reads a thread, and most read messages: through the ORM, some five times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import Format

from mastra_engine.jsonb import loads
from mastra_engine.messages import NewMessage
from mastra_engine.postgres.compile import Sql, both
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.types import Message, Role, Thread, WorkingMemory

_DOCUMENTS = ("content", "metadata")


def _columns(names: Iterable[str]) -> str:
    """JSON is asked for as text, which is how it is sent anyway, but not read by the driver."""
    return ", ".join(f"{name}::text" if name in _DOCUMENTS else name for name in names)


_THREAD = _columns(Thread.__slots__)
_MESSAGE = _columns(Message.__slots__)

# The first rows of an index, and of these what is wanted. The planner is told neither number: of
# one that shows only when the statement runs it supposes a tenth, and so it takes the index's
# order. Told of 20 where it expects a dozen, or that few are wanted at all, it would read and sort
# a thread, which may have a hundred thousand.
_IN_ORDER = """
SELECT {columns} FROM (
    SELECT * FROM {table} WHERE {within} ORDER BY {order} LIMIT (SELECT NULL::bigint)
) AS found
WHERE {wanted} ORDER BY {order} LIMIT (SELECT %s::bigint)
"""

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
SELECT {_MESSAGE}, cum_tokens FROM mastra_engine_message
WHERE thread_id = %(thread)s
  AND cum_tokens BETWEEN {_NEWEST} - %(budget)s AND {_NEWEST}
  AND (%(end)s::timestamptz IS NULL OR created_at < %(end)s)
  AND (%(start)s::timestamptz IS NULL OR created_at >= %(start)s)
ORDER BY position
"""

_INSERT_THREAD = """
INSERT INTO mastra_engine_thread (id, resource_id, title, metadata)
VALUES (%s, %s, %s, %s::jsonb)
ON CONFLICT DO NOTHING
"""

# One statement, so that the thread's lock is held no longer than it takes, and positions come in
# the order of commits. The time is read under that lock, so it does not run against positions.
# Outside of a transaction the statement bounds its own wait for the lock.
_APPEND = """
WITH bumped AS (
    UPDATE mastra_engine_thread
    SET last_position = last_position + %(count)s,
        message_count = message_count + %(count)s,
        total_tokens = total_tokens + %(tokens)s,
        updated_at = greatest(updated_at, clock_timestamp())
    WHERE id = %(thread)s
      AND (%(resources)s::text[] IS NULL OR resource_id = ANY(%(resources)s::text[]))
      AND (%(wait)s::text IS NULL OR set_config('lock_timeout', %(wait)s, true) IS NOT NULL)
    RETURNING id, last_position, total_tokens, updated_at
), keyed AS (
    INSERT INTO mastra_engine_append
        (id, thread_id, idempotency_key, body_hash, last_position, message_count)
    SELECT gen_random_uuid(), id, %(key)s, %(hash)s, last_position, %(count)s
    FROM bumped
    WHERE %(key)s::text IS NOT NULL
)
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tool_call_id, tokens, cum_tokens, metadata,
     created_at)
SELECT given.id, bumped.id, bumped.last_position - given.after, given.role, given.content,
       given.text, given.tool_call_id, given.tokens, bumped.total_tokens - given.tokens_after,
       given.metadata, coalesce(given.created_at, bumped.updated_at)
FROM bumped
CROSS JOIN json_to_recordset(%(messages)s::json) AS given (
    id text, role text, content jsonb, text text, tool_call_id text, tokens integer,
    metadata jsonb, created_at timestamptz, after bigint, tokens_after bigint
)
RETURNING id, position, created_at
"""

_CLONE = """
WITH copied AS (
    INSERT INTO mastra_engine_message
        (id, thread_id, position, role, content, text, tool_call_id, tokens, cum_tokens, metadata,
         created_at)
    SELECT gen_random_uuid(), %(clone)s, row_number() OVER run, role, content, text, tool_call_id,
           tokens, sum(tokens) OVER run, metadata, created_at
    FROM mastra_engine_message
    WHERE thread_id = %(source)s AND (%(up_to)s::bigint IS NULL OR position <= %(up_to)s)
    WINDOW run AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
    RETURNING tokens
)
UPDATE mastra_engine_thread
SET last_position = sums.messages, message_count = sums.messages, total_tokens = sums.tokens
FROM (SELECT count(*) AS messages, coalesce(sum(tokens), 0) AS tokens FROM copied) AS sums
WHERE id = %(clone)s
"""

_DELETE = """
DELETE FROM mastra_engine_message WHERE thread_id = %s AND id = ANY(%s)
RETURNING position, tokens
"""

# What follows a deleted message moves down by its tokens, so that sums stay sums.
_CLOSE_GAPS = """
UPDATE mastra_engine_message AS message
SET cum_tokens = summed.cum_tokens
FROM (
    SELECT id, (sum(tokens) OVER (ORDER BY position) + before.cum_tokens) AS cum_tokens
    FROM mastra_engine_message
    CROSS JOIN (
        SELECT coalesce(max(cum_tokens), 0) AS cum_tokens
        FROM mastra_engine_message
        WHERE thread_id = %(thread)s AND position < %(first)s
    ) AS before
    WHERE thread_id = %(thread)s AND position > %(first)s
) AS summed
WHERE message.id = summed.id
"""

# Two statements in one, since with OR the planner may read all that the resource's threads have.
_FIND_WORKING_MEMORY = """
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id IS NULL
UNION ALL
SELECT thread_id, content, data::text, version FROM mastra_engine_workingmemory
WHERE resource_id = %(resource)s AND thread_id = %(thread)s
"""

_CHANGE_WORKING_MEMORY = """
INSERT INTO mastra_engine_workingmemory AS held
    (id, resource_id, thread_id, content, data, version)
SELECT gen_random_uuid(), %(resource)s, %(thread)s, coalesce(%(content)s::text, ''),
       coalesce(%(data)s::jsonb, mastra_engine_merge_patch('{}', coalesce(%(patch)s::jsonb, '{}'))),
       1
WHERE coalesce(%(version)s::bigint, 0) = 0
   OR EXISTS (
        SELECT FROM mastra_engine_workingmemory
        WHERE resource_id = %(resource)s AND thread_id IS NOT DISTINCT FROM %(thread)s
   )
ON CONFLICT (thread_id, resource_id) DO UPDATE
SET content = coalesce(%(content)s::text, held.content),
    data = coalesce(
        %(data)s::jsonb, mastra_engine_merge_patch(held.data, coalesce(%(patch)s::jsonb, '{}'))
    ),
    version = held.version + 1,
    updated_at = statement_timestamp()
WHERE %(version)s::bigint IS NULL OR held.version = %(version)s
RETURNING content, data::text, version
"""


def _reader(connection: BaseDatabaseWrapper) -> Any:
    """Return a cursor whose results come in binary, which psycopg reads in half the time."""
    return server_cursor(connection, format=Format.BINARY)


def _in_order(
    connection: BaseDatabaseWrapper,
    table: str,
    columns: str,
    *wanted: Sql,
    of: Sql,
    by: Sequence[str],
    after: Sequence[Any] | None,
    descending: bool,
    limit: int | None,
) -> list[tuple[Any, ...]]:
    """Return rows in the order of an index, past a place in it, of which all is true."""
    beyond, way = ("<", "DESC") if descending else (">", "ASC")
    within = [of]
    if after is not None:
        within.append((f"({', '.join(by)}) {beyond} ({', '.join(['%s'] * len(by))})", [*after]))
    (in_range, bounds), (condition, params) = both(*within), both(*wanted)
    sql = _IN_ORDER.format(
        columns=columns,
        table=table,
        within=in_range,
        wanted=condition,
        order=", ".join(f"{column} {way}" for column in by),
    )
    with _reader(connection) as cursor:
        cursor.execute(sql, [*bounds, *params, limit])
        return list(cursor.fetchall())


def _thread(*row: Any) -> Thread:
    values = dict(zip(Thread.__slots__, row, strict=True))
    return Thread(**{**values, "metadata": loads(values["metadata"])})


def _message(
    id: str,
    thread_id: str,
    position: int,
    role: Role,
    content: str,
    tool_call_id: str | None,
    tokens: int,
    metadata: str,
    created_at: datetime,
) -> Message:
    return Message(
        id=id,
        thread_id=thread_id,
        position=position,
        role=role,
        content=loads(content),
        tool_call_id=tool_call_id,
        tokens=tokens,
        metadata=loads(metadata),
        created_at=created_at,
    )


def find_thread(
    connection: BaseDatabaseWrapper, id: str, *, resources: list[str] | None
) -> Thread | None:
    """Return a thread, if it is one of the resources'."""
    with _reader(connection) as cursor:
        cursor.execute(_FIND_THREAD, {"id": id, "resources": resources})
        row = cursor.fetchone()
    return None if row is None else _thread(*row)


def find_threads(
    connection: BaseDatabaseWrapper,
    resource_id: str,
    *wanted: Sql,
    after: tuple[datetime, str] | None,
    descending: bool,
    limit: int,
) -> list[Thread]:
    """Return a resource's by when they were last used and their ids, past one in that order."""
    rows = _in_order(
        connection,
        "mastra_engine_thread",
        _THREAD,
        *wanted,
        of=("resource_id = %s", [resource_id]),
        by=("updated_at", "id"),
        after=after,
        descending=descending,
        limit=limit,
    )
    return [_thread(*row) for row in rows]


def insert_thread(
    connection: BaseDatabaseWrapper, *, id: str, resource_id: str, title: str, metadata: bytes
) -> bool:
    """Insert a thread and return True, unless there is one of that id."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_THREAD, [id, resource_id, title, metadata.decode()])
        return bool(cursor.rowcount)


class ThreadMessages:
    """The messages of one thread."""

    def __init__(self, connection: BaseDatabaseWrapper, thread_id: str) -> None:
        self.connection = connection
        self.thread_id = thread_id

    def read(
        self,
        *wanted: Sql,
        after: int | None = None,
        descending: bool = False,
        limit: int | None = None,
    ) -> list[Message]:
        """Return those of which all is true by position, past one in that order."""
        rows = _in_order(
            self.connection,
            "mastra_engine_message",
            _MESSAGE,
            *wanted,
            of=("thread_id = %s", [self.thread_id]),
            by=("position",),
            after=None if after is None else (after,),
            descending=descending,
            limit=limit,
        )
        return [_message(*row) for row in rows]

    def window(
        self, *, start: datetime | None, end: datetime | None, budget: int
    ) -> tuple[list[Message], bool]:
        """Return the newest that fit a budget of tokens, and whether there are older ones."""
        params = {"thread": self.thread_id, "start": start, "end": end, "budget": budget}
        with _reader(self.connection) as cursor:
            cursor.execute(_WINDOW, params)
            rows = cursor.fetchall()
        messages = [_message(*row) for *row, _ in rows]
        older = sum(message.tokens for message in messages) > budget
        return messages[1 if older else 0 :], older

    def append(
        self,
        messages: Sequence[NewMessage],
        *,
        resources: list[str] | None = None,
        key: str | None = None,
        body_hash: bytes = bytes(16),
        wait: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Append and return rows of (id, position, created_at); none where there is no thread."""
        size, tokens = len(messages), sum(message.tokens for message in messages)
        sums = accumulate(message.tokens for message in messages)
        given = [
            {
                "id": message.id,
                "role": message.role,
                "content": orjson.Fragment(message.content),
                "text": message.text,
                "tool_call_id": message.tool_call_id,
                "tokens": message.tokens,
                "metadata": orjson.Fragment(message.metadata),
                "created_at": message.created_at,
                "after": size - place,
                "tokens_after": tokens - up_to,
            }
            for place, (message, up_to) in enumerate(zip(messages, sums, strict=True), start=1)
        ]
        with self.connection.cursor() as cursor:
            cursor.execute(
                _APPEND,
                {
                    "thread": self.thread_id,
                    "resources": resources,
                    "wait": wait,
                    "key": key,
                    "hash": UUID(bytes=body_hash),
                    "count": size,
                    "tokens": tokens,
                    "messages": orjson.dumps(given).decode(),
                },
            )
            return list(cursor.fetchall())

    def clone_to(self, clone_id: str, *, up_to: int | None) -> None:
        """Copy the messages up to a position into an empty thread."""
        with self.connection.cursor() as cursor:
            cursor.execute(_CLONE, {"source": self.thread_id, "clone": clone_id, "up_to": up_to})

    def delete(self, ids: list[str]) -> tuple[int, int]:
        """Delete messages under the thread's lock; return how many and how many tokens."""
        with self.connection.cursor() as cursor:
            cursor.execute(_DELETE, [self.thread_id, ids])
            gone = cursor.fetchall()
            if gone:
                first = min(position for position, _ in gone)
                cursor.execute(_CLOSE_GAPS, {"thread": self.thread_id, "first": first})
        return len(gone), sum(tokens for _, tokens in gone)


def messages_between(
    connection: BaseDatabaseWrapper, bounds: Sequence[tuple[str, int, int]], *, resource_id: str
) -> list[Message]:
    """Return messages by (thread, first position, last position), those of a resource's threads."""
    threads, first, last = (list(column) for column in zip(*bounds, strict=True))
    params = {"threads": threads, "first": first, "last": last, "resource": resource_id}
    with _reader(connection) as cursor:
        cursor.execute(_BETWEEN, params)
        return [_message(*row) for row in cursor.fetchall()]


def find_working_memory(
    connection: BaseDatabaseWrapper, *, resource_id: str, thread_id: str | None
) -> dict[str | None, WorkingMemory]:
    """Return what a resource has and, if one is given, what a thread of it has, by thread."""
    with _reader(connection) as cursor:
        cursor.execute(_FIND_WORKING_MEMORY, {"resource": resource_id, "thread": thread_id})
        rows = cursor.fetchall()
    return {
        holder: WorkingMemory(content=content, data=loads(data), version=version)
        for holder, content, data, version in rows
    }


def change_working_memory(
    connection: BaseDatabaseWrapper,
    *,
    resource_id: str,
    thread_id: str | None,
    content: str | None,
    data: bytes | None,
    patch: bytes | None,
    if_version: int | None,
) -> tuple[str, dict[str, Any], int] | None:
    """Change it and return (content, data, version); None when it has another version."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CHANGE_WORKING_MEMORY,
            {
                "resource": resource_id,
                "thread": thread_id,
                "content": content,
                "data": None if data is None else data.decode(),
                "patch": None if patch is None else patch.decode(),
                "version": if_version,
            },
        )
        changed = cursor.fetchone()
    return None if changed is None else (changed[0], loads(changed[1]), changed[2])
