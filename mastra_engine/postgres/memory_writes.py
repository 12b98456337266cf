"""Statements that write agent memory and cannot be expressed by the ORM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine import failpoints
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.postgres.memory_reads import THREAD_COLUMNS
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.postgres.rows import as_values, read_rows
from mastra_engine.types import Thread
from mastra_engine.validation.jsonb import loads

_INSERT_THREAD = """
INSERT INTO mastra_engine_thread (id, resource_id, title, metadata)
VALUES (%s, %s, %s, %s::jsonb)
ON CONFLICT DO NOTHING
"""

# The update locks the thread's row and reserves positions. Because the messages are inserted by the
# same statement, the lock is held as briefly as possible, and positions are in the order of
# commits. The time is read while the lock is held, so that times do not run against positions.
# `oldest_at` is a lower bound of the messages' times; statement_timestamp() is not later than the
# time that messages without one of their own get.
# Outside of a transaction, SET LOCAL would have no effect on the next statement: the statement
# itself then limits how long it waits for the lock.
_APPEND = """
WITH bumped AS (
    UPDATE mastra_engine_thread
    SET last_position = last_position + %(count)s,
        message_count = message_count + %(count)s,
        total_tokens = total_tokens + %(tokens)s,
        cum_tokens = cum_tokens + %(tokens)s,
        oldest_at = least(
            oldest_at,
            %(oldest)s::timestamptz,
            CASE WHEN %(undated)s THEN statement_timestamp() END
        ),
        updated_at = greatest(updated_at, clock_timestamp())
    WHERE id = %(thread)s
      AND (%(resources)s::text[] IS NULL OR resource_id = ANY(%(resources)s::text[]))
      AND (%(lock_timeout)s::text IS NULL
           OR set_config('lock_timeout', %(lock_timeout)s, true) IS NOT NULL)
    RETURNING id, last_position, cum_tokens, updated_at
), keyed AS (
    INSERT INTO mastra_engine_idempotentappend
        (id, thread_id, idempotency_key, body_hash, last_position, message_count)
    SELECT gen_random_uuid(), id, %(key)s, %(hash)s, last_position, %(count)s
    FROM bumped
    WHERE %(key)s::text IS NOT NULL
)
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tool_call_id, tokens, cum_tokens, metadata,
     created_at)
SELECT new.id, bumped.id, bumped.last_position - new.after, new.role, new.content,
       new.text, new.tool_call_id, new.tokens, bumped.cum_tokens - new.tokens_after,
       new.metadata, coalesce(new.created_at, bumped.updated_at)
FROM bumped
CROSS JOIN json_to_recordset(%(messages)s::json) AS new (
    id text, role text, content jsonb, text text, tool_call_id text, tokens integer,
    metadata jsonb, created_at timestamptz, after bigint, tokens_after bigint
)
RETURNING id, position, created_at
"""

# Positions and sums of tokens start again in the copy, because deletions may have left gaps in the
# source.
_COPY = """
WITH copied AS (
    INSERT INTO mastra_engine_message
        (id, thread_id, position, role, content, text, tool_call_id, tokens, cum_tokens, metadata,
         created_at)
    SELECT gen_random_uuid(), %(target)s, row_number() OVER run, role, content, text, tool_call_id,
           tokens, sum(tokens) OVER run, metadata, created_at
    FROM mastra_engine_message
    WHERE thread_id = %(source)s AND (%(up_to)s::bigint IS NULL OR position <= %(up_to)s)
    WINDOW run AS (ORDER BY position ROWS UNBOUNDED PRECEDING)
    RETURNING tokens, created_at
)
UPDATE mastra_engine_thread
SET last_position = sums.messages, message_count = sums.messages, total_tokens = sums.tokens,
    cum_tokens = sums.tokens, oldest_at = sums.oldest_at
FROM (
    SELECT count(*) AS messages, coalesce(sum(tokens), 0) AS tokens, min(created_at) AS oldest_at
    FROM copied
) AS sums
WHERE id = %(target)s
"""

_UPDATE_THREAD = f"""
UPDATE mastra_engine_thread
SET title = coalesce(%(title)s::text, title),
    metadata = CASE WHEN %(replaces)s THEN '{{}}' ELSE metadata END || %(metadata)s::jsonb,
    version = version + 1,
    updated_at = greatest(updated_at, statement_timestamp())
WHERE id = %(id)s
RETURNING {THREAD_COLUMNS}
"""

# The messages' vectors were in the namespace of the old resource and are made again. Messages
# without a vector are written, too: under stricter isolation levels that conflicts with a
# transaction that has embedded them since this one began, and this one starts again. Otherwise the
# vectors, which its snapshot does not contain, would stay.
_MOVE_THREAD = f"""
WITH moved AS (
    UPDATE mastra_engine_workingmemory SET resource_id = %(resource)s WHERE thread_id = %(id)s
), unembedded AS (
    UPDATE mastra_engine_message SET embedded_at = NULL WHERE thread_id = %(id)s
), unread AS (
    DELETE FROM mastra_engine_factreading WHERE thread_id = %(id)s
)
UPDATE mastra_engine_thread
SET resource_id = %(resource)s,
    version = version + 1,
    updated_at = greatest(updated_at, statement_timestamp())
WHERE id = %(id)s
RETURNING {THREAD_COLUMNS}
"""

_DELETE = """
DELETE FROM mastra_engine_message WHERE thread_id = %s AND id = ANY(%s)
RETURNING id, position, tokens, gap_tokens, cum_tokens
"""
_DELETE_BEFORE = """
DELETE FROM mastra_engine_message WHERE thread_id = %s AND created_at < %s
RETURNING id, position, tokens, gap_tokens, cum_tokens
"""

# If the newest messages were deleted, the next one continues the sum of the last remaining one.
#
# The oldest time is only a bound. It is computed exactly after messages were deleted by their age:
# otherwise the thread would be searched for old messages at each run. It costs no more than that
# deletion, which has just read all messages of the thread.
_SUBTRACT = """
UPDATE mastra_engine_thread
SET message_count = message_count - %(count)s,
    total_tokens = total_tokens - %(tokens)s,
    cum_tokens = CASE WHEN cum_tokens = %(end)s THEN %(start)s ELSE cum_tokens END,
    oldest_at = CASE
        WHEN message_count = %(count)s THEN NULL
        WHEN %(exact)s THEN (
            SELECT min(created_at) FROM mastra_engine_message WHERE thread_id = %(thread)s
        )
        ELSE oldest_at
    END
WHERE id = %(thread)s
"""

# The message that follows a run of deleted messages records their tokens, so that later messages
# keep their sums: a deletion writes no more rows than it deletes. The thread is locked, so that no
# message is appended meanwhile.
_WIDEN_GAPS = """
UPDATE mastra_engine_message AS message
SET gap_tokens = message.gap_tokens + run.tokens
FROM unnest(%(positions)s::bigint[], %(tokens)s::bigint[]) AS run (position, tokens)
CROSS JOIN LATERAL (
    SELECT later.id FROM mastra_engine_message AS later
    WHERE thread_id = %(thread)s AND later.position > run.position
    ORDER BY later.position LIMIT 1
) AS next
WHERE message.id = next.id
"""

# The threads are locked first, so that none goes to another resource before the vectors are in the
# namespace of its own; FOR KEY SHARE does not keep others from appending. The messages are locked
# in the order of their ids before they are updated, so that two transactions that embed some of the
# same messages cannot deadlock.
_MARK_EMBEDDED = """
WITH threads AS (
    SELECT id, resource_id FROM mastra_engine_thread
    WHERE id IN (SELECT thread_id FROM mastra_engine_message WHERE id = ANY(%(ids)s))
    ORDER BY id FOR KEY SHARE
), locked AS (
    SELECT message.id, threads.resource_id
    FROM mastra_engine_message AS message
    JOIN threads ON threads.id = message.thread_id
    WHERE message.id = ANY(%(ids)s)
    ORDER BY message.id FOR NO KEY UPDATE OF message
)
UPDATE mastra_engine_message AS message SET embedded_at = statement_timestamp()
FROM locked WHERE message.id = locked.id
RETURNING message.id, locked.resource_id
"""

# ON CONFLICT makes creating and changing one statement, so that concurrent first writes do not
# fail. Where a version is required, the EXISTS clause locks the row that it finds: the row may be
# deleted by a transaction that has not committed yet, and then nothing must be inserted.
_CHANGE_WORKING_MEMORY = """
INSERT INTO mastra_engine_workingmemory AS stored
    (id, resource_id, thread_id, content, data, version)
SELECT gen_random_uuid(), %(resource)s, %(thread)s, coalesce(%(content)s::text, ''),
       coalesce(%(data)s::jsonb, mastra_engine_merge_patch('{}', coalesce(%(patch)s::jsonb, '{}'))),
       1
WHERE coalesce(%(version)s::bigint, 0) = 0
   OR EXISTS (
        SELECT FROM mastra_engine_workingmemory
        WHERE resource_id = %(resource)s AND thread_id IS NOT DISTINCT FROM %(thread)s
        FOR NO KEY UPDATE
   )
ON CONFLICT (thread_id, resource_id) DO UPDATE
SET content = coalesce(%(content)s::text, stored.content),
    data = coalesce(
        %(data)s::jsonb, mastra_engine_merge_patch(stored.data, coalesce(%(patch)s::jsonb, '{}'))
    ),
    version = stored.version + 1,
    updated_at = statement_timestamp()
WHERE %(version)s::bigint IS NULL OR stored.version = %(version)s
RETURNING content, data::text, version
"""


def insert_thread(
    connection: BaseDatabaseWrapper, *, id: str, resource_id: str, title: str, metadata: bytes
) -> bool:
    """Insert a thread; return False if its id exists already."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_THREAD, [id, resource_id, title, metadata.decode()])
        return bool(cursor.rowcount)


def update_thread(
    connection: BaseDatabaseWrapper,
    id: str,
    *,
    title: str | None,
    metadata: bytes,
    replaces: bool,
) -> Thread:
    """Set the title unless it is None, merge or replace metadata; return the thread."""
    params = {"id": id, "title": title, "metadata": metadata.decode(), "replaces": replaces}
    (thread,) = as_values(Thread, read_rows(connection, _UPDATE_THREAD, params))
    return thread


def move_thread(connection: BaseDatabaseWrapper, id: str, resource_id: str) -> Thread:
    """Give a locked thread to a resource, without vectors of its messages; return the thread."""
    params = {"id": id, "resource": resource_id}
    (thread,) = as_values(Thread, read_rows(connection, _MOVE_THREAD, params))
    return thread


def mark_embedded(connection: BaseDatabaseWrapper, ids: list[str]) -> dict[str, str]:
    """Record that messages have vectors; return the resources of those that exist, now locked."""
    return dict(read_rows(connection, _MARK_EMBEDDED, {"ids": ids}))


class ThreadMessages:
    """The messages of one thread."""

    def __init__(self, connection: BaseDatabaseWrapper, thread_id: str) -> None:
        self.connection = connection
        self.thread_id = thread_id

    def append(
        self,
        messages: Sequence[NewMessage],
        *,
        resources: list[str] | None = None,
        key: str | None = None,
        body_hash: bytes = bytes(16),
        lock_timeout: str | None = None,
    ) -> list[tuple[Any, ...]]:
        """Append messages and return rows of (id, position, created_at).

        Nothing is appended, and no rows are returned, if the thread does not exist or belongs to
        none of `resources`. `lock_timeout` limits the wait for the thread's lock.
        """
        size, tokens = len(messages), sum(message.tokens for message in messages)
        sums = accumulate(message.tokens for message in messages)
        rows = [
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
        with server_cursor(self.connection) as cursor:
            cursor.execute(
                _APPEND,
                {
                    "thread": self.thread_id,
                    "resources": resources,
                    "lock_timeout": lock_timeout,
                    "key": key,
                    "hash": UUID(bytes=body_hash),
                    "count": size,
                    "tokens": tokens,
                    "messages": orjson.dumps(rows).decode(),
                    "oldest": min(
                        (row.created_at for row in messages if row.created_at), default=None
                    ),
                    "undated": any(message.created_at is None for message in messages),
                },
            )
            return list(cursor.fetchall())

    def copy_to(self, target_id: str, *, up_to: int | None) -> None:
        """Copy the messages up to a position, all if None, into an empty thread."""
        with self.connection.cursor() as cursor:
            cursor.execute(_COPY, {"source": self.thread_id, "target": target_id, "up_to": up_to})

    def delete(self, ids: list[str]) -> list[str]:
        """Delete messages by id from the locked thread; return the ids of those that existed."""
        with self.connection.cursor() as cursor:
            cursor.execute(_DELETE, [self.thread_id, ids])
            return self._subtract(cursor, cursor.fetchall(), exact=False)

    def delete_before(self, before: datetime) -> list[str]:
        """Delete older messages from the locked thread; return their ids."""
        with self.connection.cursor() as cursor:
            cursor.execute(_DELETE_BEFORE, [self.thread_id, before])
            return self._subtract(cursor, cursor.fetchall(), exact=True)

    def _subtract(self, cursor: Any, rows: list[tuple[Any, ...]], *, exact: bool) -> list[str]:
        """Subtract deleted messages from sums and counters; return their ids.

        `exact` computes the oldest time of the remaining messages.
        """
        failpoints.hit("messages_deleted")
        if rows or exact:
            runs = _runs(rows)
            last = runs[-1] if runs else _Run(0, 0, 0)
            columns = {
                "positions": [run.position for run in runs],
                "tokens": [run.end - run.start for run in runs],
            }
            if runs:
                cursor.execute(_WIDEN_GAPS, {"thread": self.thread_id, **columns})
            counters = {
                "count": len(rows),
                "tokens": sum(tokens for _, _, tokens, _, _ in rows),
                "start": last.start,
                "end": last.end,
                "exact": exact,
            }
            cursor.execute(_SUBTRACT, {"thread": self.thread_id, **counters})
        return [id for id, *_ in rows]


@dataclass(slots=True)
class _Run:
    """Deleted messages without a remaining one between them.

    They are the part of their thread's sum from `start` to `end`; `position` is the last one's.
    """

    position: int
    start: int
    end: int


def _runs(rows: Iterable[tuple[Any, ...]]) -> list[_Run]:
    """Return the runs of deleted (id, position, tokens, gap_tokens, cum_tokens), by position.

    Positions cannot tell them, since earlier deletions leave gaps. But each message has tokens, so
    that two deleted ones have no message between them if the second starts where the first ends.
    """
    runs: list[_Run] = []
    for _, position, tokens, gap_tokens, cum_tokens in sorted(rows, key=itemgetter(1)):
        start = cum_tokens - tokens - gap_tokens
        if runs and runs[-1].end == start:
            runs[-1].position, runs[-1].end = position, cum_tokens
        else:
            runs.append(_Run(position, start, cum_tokens))
    return runs


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
    """Change a working memory and return (content, data, version).

    Returns None, and changes nothing, if its version is not `if_version`.
    """
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
        row = cursor.fetchone()
    return None if row is None else (row[0], loads(row[1]), row[2])
