"""Bulk reads and writes of one entity's records, and the only use of COPY for them.

A sync of unchanged records must not write at all, so it first reads which hashes of a chunk differ.
The entity's lock keeps that result valid. So new records are copied directly into the table, and
changed ones are updated from one JSON parameter. A staging table would write catalog rows in every
transaction, and ON CONFLICT would lock the rows that it skips.

Each record is looked up by LATERAL ... LIMIT 1, so that the planner can only use the index on ids.
Otherwise it scanned the whole entity for every chunk of a first load, because the statistics did
not contain the new rows yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import Copy
from psycopg.types.json import set_json_dumps
from uuid_utils import UUID as FastUUID
from uuid_utils import uuid7

_NEXT_REVS = """
UPDATE mastra_engine_entity
SET rev = rev + %s, updated_at = statement_timestamp()
WHERE id = %s
RETURNING rev, updated_at
"""

_SET_CURSOR = """
UPDATE mastra_engine_entity
SET last_sync_id = %s, updated_at = statement_timestamp()
WHERE id = %s
RETURNING updated_at
"""


def _stored(key: str) -> str:
    """Return SQL for the entity's record with the id `key`, found by the index on ids."""
    return f"""LATERAL (
    SELECT * FROM mastra_engine_record
    WHERE entity_id = %s AND external_id = {key} COLLATE "C"
    LIMIT 1
)"""


_UNCHANGED = "record.deleted_at IS NULL AND record.content_hash = given.value::uuid"

_COMPARED = f"""
SELECT given.key,
       record.id IS NOT NULL AND record.deleted_at IS NULL,
       record.id IS NOT NULL,
       CASE WHEN {_UNCHANGED} THEN record.rev END
FROM json_each_text(%s::json) AS given
LEFT JOIN {_stored("given.key")} AS record ON true
"""

_DIFFERING = f"{_COMPARED} WHERE ({_UNCHANGED}) IS NOT TRUE"

_LIVE = f"""
SELECT record.external_id, record.data::text
FROM json_array_elements_text(%s::json) AS given
CROSS JOIN {_stored("given")} AS record
WHERE record.deleted_at IS NULL
"""

# The revisions are sent as long ranges and as single ones. A multirange finds a revision by binary
# search, which takes several times as long as the hash table of an array if there are many ranges;
# an array is large. A bitmap would be as large as the entity's revision, which grows for as long
# as the entity is written to.
_UNSEEN = """
SELECT external_id FROM mastra_engine_record
WHERE entity_id = %s AND deleted_at IS NULL AND rev <= %s
  AND NOT rev <@ %s::int8multirange AND rev <> ALL (%s::int8[])
ORDER BY external_id
"""

_COPY = """
COPY mastra_engine_record (id, entity_id, external_id, data, content_hash, rev, created_rev)
FROM STDIN (FORMAT BINARY)
"""
_COPY_TYPES = ["uuid", "uuid", "text", "jsonb", "uuid", "int8", "int8"]

_UPDATE = f"""
UPDATE mastra_engine_record AS record
SET data = given.data,
    content_hash = given.hash,
    rev = given.rev,
    updated_at = statement_timestamp(),
    deleted_at = NULL,
    created_rev = CASE WHEN record.deleted_at IS NULL THEN record.created_rev ELSE given.rev END,
    created_at = CASE WHEN record.deleted_at IS NULL THEN record.created_at
                      ELSE statement_timestamp() END
FROM json_to_recordset(%s::json) AS given (id text, data jsonb, hash uuid, rev bigint)
CROSS JOIN {_stored("given.id")} AS found
WHERE record.id = found.id
"""

_BURY = f"""
UPDATE mastra_engine_record AS record
SET rev = given.rev, updated_at = statement_timestamp(), deleted_at = statement_timestamp()
FROM json_to_recordset(%s::json) AS given (id text, rev bigint)
CROSS JOIN {_stored("given.id")} AS found
WHERE record.id = found.id
"""


@contextmanager
def copying(connection: BaseDatabaseWrapper, statement: str) -> Iterator[Copy]:
    """Open a COPY on Django's connection and raise Django's errors instead of the driver's."""
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        yield copy


class Row(NamedTuple):
    """A record to be written."""

    external_id: str
    raw: bytes
    content_hash: bytes
    rev: int


class Difference(NamedTuple):
    """A record that differs from the table: whether it is live there, and whether it exists."""

    external_id: str
    live: bool
    exists: bool


class EntityRecords:
    """The records of one entity; the connection's transaction must hold the entity's lock."""

    def __init__(self, connection: BaseDatabaseWrapper, entity_id: UUID) -> None:
        self.connection = connection
        self.entity_id = entity_id

    def next_revs(self, number: int) -> tuple[range, datetime]:
        """Assign the entity's next `number` revisions; return them and its new `updated_at`."""
        ((last, updated_at),) = self._query(_NEXT_REVS, [number, self.entity_id])
        return range(last - number + 1, last + 1), updated_at

    def set_cursor(self, last_sync_id: str) -> datetime:
        """Store the sync cursor of the entity, and return its new `updated_at`."""
        ((updated_at,),) = self._query(_SET_CURSOR, [last_sync_id, self.entity_id])
        return cast(datetime, updated_at)

    def compared(
        self, hashes: Mapping[str, bytes], *, unchanged: bool = False
    ) -> tuple[list[Difference], list[int]]:
        """Return the records that differ and, with `unchanged`, the `rev` of each other record."""
        hex_hashes = {external_id: digest.hex() for external_id, digest in hashes.items()}
        rows = self._query(_COMPARED if unchanged else _DIFFERING, self._parameters(hex_hashes))
        differing = sorted(Difference(*row[:3]) for row in rows if row[3] is None)
        return differing, [row[3] for row in rows if row[3] is not None]

    def documents(self, external_ids: Iterable[str]) -> dict[str, str]:
        """Return the JSON text of each live record, by id."""
        return dict(self._query(_LIVE, self._parameters(list(external_ids))))

    def unseen(self, start: int, ranges: Iterable[range], others: Iterable[int]) -> list[str]:
        """Return the ids of live records up to the `rev` `start`, except for given revisions."""
        multirange = ",".join(f"[{revs.start},{revs.stop})" for revs in ranges)
        array = ",".join(map(str, others))
        params = [self.entity_id, start, f"{{{multirange}}}", f"{{{array}}}"]
        return [external_id for (external_id,) in self._query(_UNSEEN, params)]

    def copy(self, rows: Sequence[Row]) -> None:
        """Insert new records."""
        if not rows:
            return
        with copying(self.connection, _COPY) as copy:
            set_json_dumps(bytes, copy.cursor)  # The documents are JSON already.
            copy.set_types(_COPY_TYPES)
            for external_id, raw, digest, rev in rows:
                hashed = FastUUID(bytes=digest)
                copy.write_row((uuid7(), self.entity_id, external_id, raw, hashed, rev, rev))

    def update(self, rows: Iterable[Row]) -> None:
        """Overwrite records; a tombstone becomes a new record."""
        rows_as_json = [
            {
                "id": row.external_id,
                "data": orjson.Fragment(row.raw),
                "hash": row.content_hash.hex(),
                "rev": row.rev,
            }
            for row in rows
        ]
        self._execute(_UPDATE, rows_as_json)

    def bury(self, revs: Mapping[str, int]) -> None:
        """Turn records into tombstones, each with its new `rev`."""
        self._execute(_BURY, [{"id": key, "rev": rev} for key, rev in revs.items()])

    # A chunk is one JSON parameter, because psycopg takes three times as long to adapt arrays.

    def _parameters(self, value: Any) -> list[Any]:
        return [orjson.dumps(value).decode(), self.entity_id]

    def _execute(self, sql: str, rows_as_json: list[dict[str, Any]]) -> None:
        if rows_as_json:
            with self.connection.cursor() as cursor:
                cursor.execute(sql, self._parameters(rows_as_json))

    def _query(self, sql: str, params: list[Any]) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()  # type: ignore[no-any-return]
