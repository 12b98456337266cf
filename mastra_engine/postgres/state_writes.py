"""Statements that write agent state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.postgres.compile import Sql
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.postgres.rows import read_rows
from mastra_engine.postgres.state_reads import LIVE

_WRITTEN = """id, namespace, key, version, created_at, updated_at, expires_at,
    value IS NOT NULL AS exists, is_indexed, is_pending"""

_LIVE = LIVE.replace("value", "stored.value").replace("expires_at", "stored.expires_at")
_REPLACE = f"""SET value = excluded.value,
        version = stored.version + (excluded.value IS NOT NULL)::int,
        fields = excluded.fields,
        is_pending = excluded.is_pending OR stored.is_indexed AND excluded.value IS NOT NULL,
        created_at = CASE WHEN {_LIVE} THEN stored.created_at ELSE excluded.created_at END,
        updated_at = greatest(stored.updated_at, excluded.updated_at),
        expires_at = excluded.expires_at,
        lifetime = excluded.lifetime"""

# Most writes are one put, which takes a third of the time of the statement below. Where a version
# is required, the EXISTS clause locks the row that it finds, also a tombstone; an erasure may be
# removing it, and then nothing must be inserted. Otherwise the put takes the way of ON CONFLICT,
# which compares the version.
_PUT = f"""
INSERT INTO mastra_engine_stateitem AS stored
    (id, namespace, key, value, version, fields, is_pending, expires_at, lifetime,
     created_at, updated_at)
SELECT %(id)s, %(namespace)s::text[], %(key)s, %(value)s::jsonb, 1, %(fields)s::text[],
       %(fields)s::text[] IS DISTINCT FROM '{{}}',
       statement_timestamp() + %(lifetime)s::float8 * interval '1 second', %(lifetime)s::float8,
       statement_timestamp(), statement_timestamp()
WHERE (%(lock_timeout)s::text IS NULL
       OR set_config('lock_timeout', %(lock_timeout)s, true) IS NOT NULL)
  AND (coalesce(%(if_version)s::bigint, 0) = 0 OR EXISTS (
        SELECT FROM mastra_engine_stateitem
        WHERE namespace = %(namespace)s::text[] AND key = %(key)s FOR NO KEY UPDATE
      ))
ON CONFLICT (namespace, key) DO UPDATE
    {_REPLACE}
WHERE %(if_version)s::bigint IS NULL
   OR %(if_version)s = CASE WHEN {_LIVE} THEN stored.version ELSE 0 END
RETURNING {_WRITTEN}
"""

# One statement for any number of changes. The rows of existing keys, tombstones among them, are
# locked in the order of their keys, so that two writers cannot deadlock; then their versions are
# compared. A row is never removed, except by an erasure, so that a locked one takes the way of ON
# CONFLICT. A key without a row may get one from another transaction meanwhile. A change that
# requires that there is no item must then do nothing, and any other one replaces the value.
# Outside of a transaction, SET LOCAL would have no effect on the next statement: the statement
# itself then limits how long it waits for locks.
_WRITE = f"""
WITH change AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(changes)s::json) AS change (
        id uuid, namespace text[], key text, value jsonb, fields text[], if_version bigint,
        lifetime float8
    )
    WHERE %(lock_timeout)s::text IS NULL
       OR set_config('lock_timeout', %(lock_timeout)s, true) IS NOT NULL
    ORDER BY namespace COLLATE "C", key COLLATE "C"
), current AS MATERIALIZED (
    SELECT change.namespace, change.key, stored.version
    FROM change CROSS JOIN LATERAL (
        SELECT CASE WHEN {LIVE} THEN version ELSE 0 END AS version
        FROM mastra_engine_stateitem AS item
        WHERE item.namespace = change.namespace AND item.key = change.key
        LIMIT 1 FOR NO KEY UPDATE
    ) AS stored
), allowed AS MATERIALIZED (
    SELECT id, namespace, key, value, fields, lifetime,
           current.version IS NULL AND if_version = 0 AS creates,
           statement_timestamp() + lifetime * interval '1 second' AS expires_at,
           value IS NOT NULL AND fields IS DISTINCT FROM '{{}}' AS is_pending
    FROM change LEFT JOIN current USING (namespace, key)
    WHERE (if_version IS NULL OR if_version = coalesce(current.version, 0))
      AND (value IS NOT NULL OR current.version > 0)
), created AS (
    INSERT INTO mastra_engine_stateitem
        (id, namespace, key, value, version, fields, is_pending, expires_at, lifetime)
    SELECT id, namespace, key, value, 1, fields, is_pending, expires_at, lifetime
    FROM allowed WHERE creates
    ON CONFLICT (namespace, key) DO NOTHING
    RETURNING {_WRITTEN}
), written AS (
    INSERT INTO mastra_engine_stateitem AS stored
        (id, namespace, key, value, version, fields, is_pending, expires_at, lifetime,
         created_at, updated_at)
    SELECT id, namespace, key, value, 1, fields, is_pending, expires_at, lifetime,
           statement_timestamp(), statement_timestamp()
    FROM allowed WHERE creates IS NOT TRUE
    ON CONFLICT (namespace, key) DO UPDATE
    {_REPLACE}
    RETURNING {_WRITTEN}
)
SELECT * FROM created UNION ALL SELECT * FROM written
"""

# Items that another process writes are skipped, so that the two do not wait: they are not read any
# more, or their lifetime begins with that write.
_RENEW = f"""
UPDATE mastra_engine_stateitem
SET expires_at = statement_timestamp() + lifetime * interval '1 second'
WHERE id = ANY(ARRAY(
    SELECT item.id
    FROM json_to_recordset(%s::json) AS place (of_namespace text[], of_key text)
    CROSS JOIN LATERAL (
        SELECT id FROM mastra_engine_stateitem
        WHERE {LIVE} AND lifetime IS NOT NULL AND namespace = of_namespace AND key = of_key
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    ) AS item
))
RETURNING namespace, key
"""

# Items that another process deletes or changes are skipped, so that the two do not wait.
_DELETE_EXPIRED = f"""
UPDATE mastra_engine_stateitem
SET value = NULL, fields = '{{}}', is_pending = false, expires_at = NULL, lifetime = NULL
WHERE id = ANY(ARRAY(
    SELECT id FROM mastra_engine_stateitem
    WHERE expires_at <= statement_timestamp() AND %s
    ORDER BY expires_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
))
RETURNING {_WRITTEN}
"""

# Rows are locked in the order of their ids, so that two processes that index the same items cannot
# deadlock.
_MARK_INDEXED = """
WITH indexed AS (
    SELECT item.id FROM mastra_engine_stateitem AS item
    JOIN unnest(%s::uuid[], %s::bigint[]) AS of (id, version) ON item.id = of.id
    WHERE item.version = of.version AND value IS NOT NULL
    ORDER BY item.id FOR NO KEY UPDATE OF item
)
UPDATE mastra_engine_stateitem AS item SET is_pending = false, is_indexed = true
FROM indexed WHERE item.id = indexed.id
RETURNING item.id
"""

_MARK_ALL_UNINDEXED = """
UPDATE mastra_engine_stateitem SET is_pending = true
WHERE value IS NOT NULL AND fields IS DISTINCT FROM '{}'
"""


def put(
    connection: BaseDatabaseWrapper, change: Mapping[str, Any], *, lock_timeout: str | None
) -> list[tuple[Any, ...]]:
    """Store one value; return its row as `write` does, or none if its version is another one."""
    return read_rows(connection, _PUT, {**change, "lock_timeout": lock_timeout})


def write(
    connection: BaseDatabaseWrapper,
    changes: Sequence[Mapping[str, Any]],
    *,
    lock_timeout: str | None,
) -> list[tuple[Any, ...]]:
    """Apply changes of distinct keys; return the rows of those that were applied.

    A row is (id, namespace, key, version, created_at, updated_at, expires_at, exists, is_indexed,
    is_pending). `lock_timeout` limits the wait for locks.
    """
    params = {"changes": orjson.dumps(changes).decode(), "lock_timeout": lock_timeout}
    return read_rows(connection, _WRITE, params)


def renew(
    connection: BaseDatabaseWrapper, places: Sequence[tuple[Sequence[str], str]]
) -> list[tuple[list[str], str]]:
    """Begin the lifetimes of items at some places again; return the places of those that expire."""
    requested = [{"of_namespace": namespace, "of_key": key} for namespace, key in places]
    return read_rows(connection, _RENEW, [orjson.dumps(requested).decode()])


def delete_expired(
    connection: BaseDatabaseWrapper, within: Sql, *, limit: int
) -> list[tuple[Any, ...]]:
    """Delete expired items of some namespaces; return their rows, as `write` does."""
    sql, params = within
    return read_rows(connection, _DELETE_EXPIRED % (sql, limit), params, one_plan=False)


def mark_indexed(
    connection: BaseDatabaseWrapper, ids: Sequence[UUID], versions: Sequence[int]
) -> set[UUID]:
    """Lock items that have some versions, record that they are indexed, and return their ids."""
    rows = read_rows(connection, _MARK_INDEXED, [list(ids), list(versions)])
    return {id for (id,) in rows}


def mark_all_unindexed(connection: BaseDatabaseWrapper) -> None:
    """Record that all items with texts wait to be indexed."""
    with server_cursor(connection) as cursor:
        cursor.execute(_MARK_ALL_UNINDEXED)
