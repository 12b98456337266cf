"""A million messages: one long thread and many short ones, interleaved."""

from __future__ import annotations

import psycopg

from benchmarks.database import connect, settle

LONG, RAW, OURS = "long", "saved raw", "saved"
_OTHERS = 2_000

_THREADS = """
INSERT INTO mastra_engine_thread (id, resource_id, title, metadata)
SELECT id, 'resource', 'A thread', '{}'
FROM unnest(%s || ARRAY(SELECT 'thread ' || i FROM generate_series(1, %s) AS i)) AS id
"""
# About 115 tokens per message, at four bytes per token.
_MESSAGES = """
INSERT INTO mastra_engine_message
    (id, thread_id, position, role, content, text, tokens, cum_tokens, metadata, created_at,
     embedded_at)
SELECT gen_random_uuid(), thread_id, row_number() OVER thread, 'user',
       jsonb_build_array(jsonb_build_object('type', 'text', 'text', text)), text, tokens,
       sum(tokens) OVER thread, '{"channel": "chat"}', at, at
FROM (
    SELECT i, tokens, repeat('word ', (tokens - 4) * 4 / 5) AS text,
           timestamptz '2026-01-01 00:00Z' + i * interval '1 second' AS at,
           CASE WHEN i %% %(every)s = 0 THEN %(long)s ELSE 'thread ' || 1 + i %% %(others)s END
               AS thread_id
    FROM generate_series(1, %(messages)s) AS i
    CROSS JOIN LATERAL (SELECT 15 + i %% 1000 * 7919 %% 200 AS tokens) AS size
) AS made
WINDOW thread AS (PARTITION BY thread_id ORDER BY i ROWS UNBOUNDED PRECEDING)
ORDER BY i
"""
_COUNTERS = """
UPDATE mastra_engine_thread
SET last_position = sums.messages, message_count = sums.messages, total_tokens = sums.tokens,
    cum_tokens = sums.tokens
FROM (
    SELECT thread_id, count(*) AS messages, sum(tokens) AS tokens
    FROM mastra_engine_message GROUP BY thread_id
) AS sums
WHERE id = thread_id
"""


def load(messages: int, long: int) -> None:
    """Fill the tables with `messages` messages, of which `long` are of one thread."""
    numbers = {"messages": messages, "every": messages // long, "others": _OTHERS, "long": LONG}
    with connect() as connection:
        connection.execute(_THREADS, [[LONG, RAW, OURS], _OTHERS])
        connection.execute(_MESSAGES, numbers)
        connection.execute(_COUNTERS)
        _check(connection, messages, long)
    settle()


def _check(connection: psycopg.Connection, messages: int, long: int) -> None:
    sql = "SELECT count(*), count(*) FILTER (WHERE thread_id = %s) FROM mastra_engine_message"
    assert connection.execute(sql, [LONG]).fetchone() == (messages, long)
