"""What is written to agent memory by statements that the ORM has no words for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.conversations.messages import NewMessage
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.validation.jsonb import loads

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
    INSERT INTO mastra_engine_idempotentappend
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

# Where it must have a version, it is locked as it is looked at: it may be being deleted just now.
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
        FOR NO KEY UPDATE
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
        with server_cursor(self.connection) as cursor:
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
