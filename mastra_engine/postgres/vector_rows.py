"""Reads and writes of a partition's rows.

Every field of the binary COPY is passed as the bytes that PostgreSQL receives; pgvector makes those
of the vectors. So the types of the extension need not be looked up.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

import orjson
from django.db import IntegrityError, transaction
from uuid_utils import uuid7

from mastra_engine.postgres.bulk import copying
from mastra_engine.postgres.compile import Sql
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.prepared import server_cursor
from mastra_engine.postgres.search import within
from mastra_engine.retrieval.words import analyzed
from mastra_engine.types import StoredVector
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import VectorRow

#: The number of rows up to which they are put by one statement.
FEW = 8
# The trigger of a partition makes the search vector of `analyzed`, and leaves that column empty. An
# empty text says that the search vector is that of the document already.
_COLUMNS = "index_id, row_id, namespace, id, metadata, document, {column}, analyzed"
_JSONB_VERSION = b"\x01"
_STORED = "id, {binary}, document, metadata::text, namespace, created_at, updated_at"

_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS mastra_engine_staged
(LIKE mastra_engine_embedding INCLUDING DEFAULTS) ON COMMIT DROP
"""

_MERGE = """
INSERT INTO {table} ({columns})
SELECT {columns} FROM mastra_engine_staged ORDER BY namespace, id
ON CONFLICT (index_id, namespace, id) DO UPDATE
SET metadata = excluded.metadata, document = excluded.document, {column} = excluded.{column},
    words = excluded.words, word_count = excluded.word_count, analyzed = left(excluded.document, 0),
    updated_at = excluded.updated_at
"""

# For a few rows one statement takes less time than the round trips that COPY needs.
_PUT_FEW = """
INSERT INTO {table} ({columns})
SELECT %s::integer, row_id, %s::text, id, metadata::jsonb, document, embedding::{type}, analyzed
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
    AS new (row_id, id, metadata, document, embedding, analyzed)
ON CONFLICT (index_id, namespace, id) DO UPDATE
SET metadata = excluded.metadata, document = excluded.document, {column} = excluded.{column},
    words = excluded.words, word_count = excluded.word_count, analyzed = left(excluded.document, 0),
    updated_at = excluded.updated_at
"""

# As in bulk.py, LIMIT 1 leaves the planner no choice but the index of the key. Otherwise, without
# statistics about the JSON array, it may join it to the whole table.
_ANY_EXISTS = """
SELECT EXISTS (
    SELECT FROM json_array_elements_text(%s::json) AS new_id
    CROSS JOIN LATERAL (
        SELECT FROM {table}
        WHERE index_id = %s AND namespace = %s AND id = new_id COLLATE "C"
        LIMIT 1
    ) AS existing
)
"""

# The chunks of a source are one range of the key's index, because "0" is the character after "/".
# OFFSET 0 leaves the planner no choice but that index. Without statistics about the JSON array it
# compared each source with each row.
_DELETE_CHUNKS = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT chunk.ctid FROM json_array_elements_text(%s::json) AS source
    CROSS JOIN LATERAL (
        SELECT ctid FROM {table}
        WHERE index_id = %s AND namespace = %s
          AND id >= (source || '/') COLLATE "C" AND id < (source || '0') COLLATE "C"
        OFFSET 0
    ) AS chunk
))
"""

# OFFSET 0 leaves the planner no choice but the index on the records' ids. Without statistics about
# the expression it compared each vector with each record. An id of another form than a chunk's is
# not cast to uuid, which would be an error; it belongs to no record.
_ORPHANED = """NOT EXISTS (
    SELECT FROM (
        SELECT entity_id, deleted_at FROM mastra_engine_record
        WHERE id = CASE WHEN chunk.id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/'
                        THEN split_part(chunk.id, '/', 1)::uuid END
        OFFSET 0
    ) AS record
    WHERE entity_id = %s AND deleted_at IS NULL
)"""


def put(partition: Partition, namespace: str, rows: Sequence[VectorRow], *, fresh: bool) -> None:
    """Insert or replace rows within a transaction; `fresh` says that none of the ids exists."""
    if not rows:
        return
    if not fresh:  # concurrent writers lock the same ids in the same order, so they cannot deadlock
        rows = sorted(rows, key=attrgetter("id"))
    if len(rows) <= FEW:
        _put_few(partition, namespace, rows)
        return
    if fresh or not _any_exists(partition, namespace, rows):
        try:
            with transaction.atomic(using=partition.connection.alias):
                _copy(partition, partition.table, namespace, rows)
        except IntegrityError:  # another writer has inserted one of the ids since
            pass
        else:
            return
    _merge(partition, namespace, rows)


def change(
    partition: Partition, namespace: str, id: str, changes: Mapping[str, Any]
) -> StoredVector | None:
    """Replace parts of a row and return it, or return None if the id does not exist."""
    assigned: dict[str, Any] = {}
    if "vector" in changes:
        assigned[f"{partition.column} = %s::{partition.column_type}"] = changes["vector"].to_text()
    if "metadata" in changes:
        assigned["metadata = %s::jsonb"] = changes["metadata"].decode()
    if "document" in changes:
        assigned["document = %s"] = changes["document"]
        assigned["words = NULL, word_count = NULL, analyzed = %s"] = analyzed(changes["document"])
    sql = (
        f"UPDATE {partition.table} SET {', '.join(assigned)}, updated_at = statement_timestamp() "
        f"WHERE (index_id, namespace, id) = (%s, %s, %s) RETURNING {_stored_columns(partition)}"
    )
    with partition.connection.cursor() as cursor:
        cursor.execute(sql, [*assigned.values(), partition.index.id, namespace, id])
        row = cursor.fetchone()
    return None if row is None else _stored(partition, row)


def get(partition: Partition, namespace: str, ids: Sequence[str]) -> list[StoredVector]:
    """Return rows in the order of their ids, without unknown ids."""
    in_namespace, params = within(partition.index, [namespace])
    columns = _stored_columns(partition)
    sql = f"SELECT {columns} FROM {partition.table} WHERE {in_namespace} AND id = ANY(%s)"
    with partition.connection.cursor() as cursor:
        cursor.execute(sql, [*params, list(ids)])
        by_id = {row[0]: _stored(partition, row) for row in cursor.fetchall()}
    return [by_id[id] for id in ids if id in by_id]


def list_rows(
    partition: Partition, condition: Sql, *, after: tuple[str, str], limit: int
) -> list[StoredVector]:
    """Return the rows that satisfy a condition and follow a key, in the order of the keys.

    With the equality of `index_id`, the key's index has this order, and a page reads its rows only.
    """
    sql, params = condition
    statement = (
        f"SELECT {_stored_columns(partition)} FROM {partition.table} "
        f"WHERE index_id = %s AND {sql} AND (namespace, id) > (%s, %s) "
        "ORDER BY namespace, id LIMIT %s"
    )
    with partition.connection.cursor() as cursor:
        cursor.execute(statement, [partition.index.id, *params, *after, limit])
        return [_stored(partition, row) for row in cursor.fetchall()]


def count_rows(partition: Partition, condition: Sql) -> int:
    """Return the number of rows that satisfy a condition."""
    sql, params = condition
    with partition.connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {partition.table} WHERE {sql}", params)
        return int(cursor.fetchone()[0])


def delete(partition: Partition, condition: Sql, ids: Sequence[str] | None) -> int:
    """Delete the rows that satisfy a condition, or only those of `ids`; return their number."""
    sql, params = condition
    if ids is not None:
        sql, params = f"{sql} AND id = ANY(%s)", [*params, list(ids)]
    with partition.connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {partition.table} WHERE {sql}", params)
        return int(cursor.rowcount)


def delete_orphaned_chunks(partition: Partition, condition: Sql, entity_id: UUID) -> None:
    """Delete the rows that satisfy a condition and have no live record of the entity as source."""
    sql, params = condition
    with partition.connection.cursor() as cursor:
        statement = f"DELETE FROM {partition.table} AS chunk WHERE {sql} AND {_ORPHANED}"
        cursor.execute(statement, [*params, entity_id])


def delete_chunks(partition: Partition, namespace: str, source_ids: Sequence[str]) -> None:
    """Delete the rows with an id of the form `source_id/suffix`."""
    sql = _DELETE_CHUNKS.format(table=partition.table)
    with partition.connection.cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(source_ids).decode(), partition.index.id, namespace])


def _put_few(partition: Partition, namespace: str, rows: Sequence[VectorRow]) -> None:
    columns: list[list[Any]] = [
        [UUID(bytes=uuid7().bytes) for _ in rows],
        [row.id for row in rows],
        [row.metadata.decode() for row in rows],
        [row.document for row in rows],
        [row.vector.to_text() for row in rows],
        [analyzed(row.document) for row in rows],
    ]
    with server_cursor(partition.connection) as cursor:
        sql = _formatted(_PUT_FEW, partition)
        cursor.execute(sql, [partition.index.id, namespace, *columns])


def _any_exists(partition: Partition, namespace: str, rows: Sequence[VectorRow]) -> bool:
    ids = orjson.dumps([row.id for row in rows]).decode()
    with partition.connection.cursor() as cursor:
        sql = _ANY_EXISTS.format(table=partition.table)
        cursor.execute(sql, [ids, partition.index.id, namespace])
        return bool(cursor.fetchone()[0])


def _merge(partition: Partition, namespace: str, rows: Sequence[VectorRow]) -> None:
    """Insert or replace rows through a temporary table.

    COPY cannot replace rows. The rows are merged in the order of the key; `put` explains why.
    """
    with partition.connection.cursor() as cursor:
        cursor.execute(_STAGE)
        cursor.execute("TRUNCATE mastra_engine_staged")
        _copy(partition, "mastra_engine_staged", namespace, rows)
        cursor.execute(_formatted(_MERGE, partition))


def _copy(partition: Partition, table: str, namespace: str, rows: Sequence[VectorRow]) -> None:
    index_id, space = struct.pack(">i", partition.index.id), namespace.encode()
    statement = f"COPY {table} ({_columns(partition)}) FROM STDIN (FORMAT BINARY)"
    with copying(partition.connection, statement) as copy:
        for id, vector, metadata, document in rows:
            words = analyzed(document)
            copy.write_row(
                (
                    index_id,
                    uuid7().bytes,
                    space,
                    id.encode(),
                    _JSONB_VERSION + metadata,
                    None if document is None else document.encode(),
                    vector.to_binary(),
                    None if words is None else words.encode(),
                )
            )


def _columns(partition: Partition) -> str:
    return _COLUMNS.format(column=partition.column)


def _stored_columns(partition: Partition) -> str:
    return _STORED.format(binary=partition.binary())


def _formatted(statement: str, partition: Partition) -> str:
    return statement.format(
        table=partition.table,
        columns=_columns(partition),
        column=partition.column,
        type=partition.column_type,
    )


def _stored(partition: Partition, row: tuple[Any, ...]) -> StoredVector:
    id, vector, document, metadata, namespace, created_at, updated_at = row
    return StoredVector(
        id=id,
        vector=partition.decode(vector).to_list(),
        document=document,
        metadata=loads(metadata),
        namespace=namespace,
        created_at=created_at,
        updated_at=updated_at,
    )
