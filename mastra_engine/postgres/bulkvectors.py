"""Bulk writes of vectors.

Every field of the binary COPY is handed over as the bytes PostgreSQL receives, pgvector making
those of the vectors: nothing has to be looked up about the extension's types.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import attrgetter

import orjson
from django.db import IntegrityError, transaction
from uuid_utils import uuid7

from mastra_engine.postgres.bulk import copying
from mastra_engine.postgres.partitions import Partition
from mastra_engine.vectorinputs import VectorRow

_COLUMNS = "index_id, row_id, namespace, id, metadata, document, embedding"
_JSONB_VERSION = b"\x01"

_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS mastra_engine_staged
(LIKE mastra_engine_embedding INCLUDING DEFAULTS) ON COMMIT DROP
"""

_MERGE = """
INSERT INTO {table} ({columns})
SELECT {columns} FROM mastra_engine_staged ORDER BY namespace, id
ON CONFLICT (index_id, namespace, id) DO UPDATE
SET metadata = excluded.metadata, document = excluded.document, embedding = excluded.embedding,
    updated_at = excluded.updated_at
"""

# As in bulk.py, LIMIT 1 leaves the planner no other way than the key's index.
_ANY_KNOWN = """
SELECT EXISTS (
    SELECT FROM json_array_elements_text(%s::json) AS given
    CROSS JOIN LATERAL (
        SELECT FROM {table}
        WHERE index_id = %s AND namespace = %s AND id = given COLLATE "C"
        LIMIT 1
    ) AS held
)
"""

# By the key's index, a range for each: a slash comes right before a zero. OFFSET 0 leaves the
# planner no other way; free to choose, it compared each id with each row, knowing no statistics.
_DELETE_PARTS = """
DELETE FROM {table} WHERE ctid = ANY(ARRAY(
    SELECT part.ctid FROM json_array_elements_text(%s::json) AS whole
    CROSS JOIN LATERAL (
        SELECT ctid FROM {table}
        WHERE index_id = %s AND namespace = %s
          AND id >= (whole || '/') COLLATE "C" AND id < (whole || '0') COLLATE "C"
        OFFSET 0
    ) AS part
))
"""


def put(partition: Partition, namespace: str, rows: Sequence[VectorRow], *, fresh: bool) -> None:
    """Insert or replace rows, within a transaction; `fresh` says that no id can be there yet."""
    if not rows:
        return
    if not fresh:  # writers of the same ids meet in the same order and cannot deadlock
        rows = sorted(rows, key=attrgetter("id"))
    if fresh or not _any_known(partition, namespace, rows):
        try:
            with transaction.atomic(using=partition.connection.alias):
                _copy(partition, partition.table, namespace, rows)
        except IntegrityError:  # another writer had the same idea
            pass
        else:
            return
    _merge(partition, namespace, rows)


def delete_parts(partition: Partition, namespace: str, wholes: Sequence[str]) -> None:
    """Delete the rows whose id is one of these, a slash and whatever."""
    sql = _DELETE_PARTS.format(table=partition.table)
    with partition.connection.cursor() as cursor:
        cursor.execute(sql, [orjson.dumps(wholes).decode(), partition.index.id, namespace])


def _any_known(partition: Partition, namespace: str, rows: Sequence[VectorRow]) -> bool:
    ids = orjson.dumps([row.id for row in rows]).decode()
    with partition.connection.cursor() as cursor:
        sql = _ANY_KNOWN.format(table=partition.table)
        cursor.execute(sql, [ids, partition.index.id, namespace])
        return bool(cursor.fetchone()[0])


def _merge(partition: Partition, namespace: str, rows: Sequence[VectorRow]) -> None:
    """Take the detour of a staging table, in the order of the key here too."""
    with partition.connection.cursor() as cursor:
        cursor.execute(_STAGE)
        cursor.execute("TRUNCATE mastra_engine_staged")
        _copy(partition, "mastra_engine_staged", namespace, rows)
        cursor.execute(_MERGE.format(table=partition.table, columns=_COLUMNS))


def _copy(partition: Partition, table: str, namespace: str, rows: Sequence[VectorRow]) -> None:
    index_id, space = struct.pack(">i", partition.index.id), namespace.encode()
    statement = f"COPY {table} ({_COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with copying(partition.connection, statement) as copy:
        for id, vector, metadata, document in rows:
            copy.write_row(
                (
                    index_id,
                    uuid7().bytes,
                    space,
                    id.encode(),
                    _JSONB_VERSION + metadata,
                    None if document is None else document.encode(),
                    vector.to_binary(),
                )
            )
