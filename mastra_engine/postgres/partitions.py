"""The partition of a vector index and its search structure: the only DDL outside migrations."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper

from mastra_engine.exceptions import Unavailable
from mastra_engine.postgres.locks import BUILDERS
from mastra_engine.postgres.structures import status_of
from mastra_engine.types import IndexStatus
from mastra_engine.validation.vectors import IndexDefinition

_OPERATOR_CLASSES = {"cosine": "cosine_ops", "euclidean": "l2_ops", "dotproduct": "ip_ops"}
_OPERATORS = {"cosine": "<=>", "euclidean": "<->", "dotproduct": "<#>"}

#: How many values of metadata the planner tries a filter on; of its usual 100, a filter that 2 % of
#: the rows pass is passed by anything from none to five.
_SAMPLE = 500

#: Seconds between two looks at who still writes.
_PAUSE = 0.05

# Without parameters: bound on the server, they would keep the statement's snapshot.
_TRY_LOCK = f"""
SELECT pg_try_advisory_xact_lock({BUILDERS}, {{}}),
       set_config('idle_in_transaction_session_timeout', '0', true),
       (SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout')
"""

# What locks take: indexes of several schemas may have one id.
_NUMBER = "SELECT %s::regclass::oid::int"

# Where the tables are, and whose. A bare name means the first schema that is searched, for what is
# made, or one that has such a thing, for what is dropped.
_HOME = """
SELECT relnamespace::regnamespace, relowner::regrole
FROM pg_class WHERE oid = 'mastra_engine_embedding'::regclass
"""

# A new table is its owner's alone, and the role that searches it may be another.
_GRANTS = """
SELECT format('GRANT %%s ON %%s TO %%s', string_agg(privilege_type, ', '), %s::text,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_class, aclexplode(relacl)
WHERE oid = to_regclass('mastra_engine_embedding') AND grantee != relowner
GROUP BY grantee
"""

_VALID = """
SELECT indisvalid FROM pg_index
WHERE indexrelid = to_regclass(%s) AND indrelid = to_regclass(%s)
"""

_STATE = f"""
SELECT ({_VALID}),
       (SELECT max(coalesce(blocks_done::float / nullif(blocks_total, 0), 0))
        FROM pg_stat_progress_create_index WHERE relid = to_regclass(%s)),
       EXISTS (SELECT FROM pg_locks
               WHERE locktype = 'advisory' AND classid = %s AND objid = to_regclass(%s)
                 AND objsubid = 2
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""

_WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE relation = to_regclass(%s) AND pid IS DISTINCT FROM pg_backend_pid() AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""


class Partition:
    """The table of one vector index. Its names hold the index's id and nothing of the user's."""

    def __init__(self, connection: BaseDatabaseWrapper, index: IndexDefinition) -> None:
        self.connection = connection
        self.index = index
        self.table = f"mastra_engine_embedding_{index.id}"
        self.structure = f"{self.table}_nearest"
        self.type = f"{index.storage}({index.dimension})"
        #: Holds while the index is what it was when it was found; takes its name. Definitions never
        #: change, and no two of one name are of the same moment.
        self.unchanged = (
            f"FROM mastra_engine_vectorindex WHERE name = %s AND created_at = '{index.created_at}'"
        )
        self.document = f"to_tsvector('{index.language}'::regconfig, document)"

    def distance(self) -> str:
        """Return the distance to a parameter, written as the search structure knows it."""
        target = "%s::vector" if self.index.storage == "vector" else f"%s::vector::{self.type}"
        return f"(embedding::{self.type}) {_OPERATORS[self.index.metric]} {target}"

    def create(self) -> None:
        """Create the table, then attach it, which locks out neither readers nor writers.

        Whoever owns all vectors owns these, and who may do something with all may do it with these.
        """
        ((schema, owner),) = self._query(_HOME, [])
        table = f"{schema}.{self.table}"
        self._execute(f"DROP TABLE IF EXISTS {table}")  # a leftover of an emptied database
        self._execute(f"CREATE TABLE {table} (LIKE mastra_engine_embedding INCLUDING ALL)")
        self._execute(f"ALTER TABLE {table} OWNER TO {owner}")
        statistics = f"ALTER metadata SET STATISTICS {_SAMPLE}"
        self._execute(f"ALTER TABLE {self.table} {statistics}")
        self._execute(f"CREATE INDEX {self.table}_text ON {self.table} USING gin ({self.document})")
        if self.index.index_type == "hnsw":  # IVFFlat learns its lists from the rows there are
            self._execute(self._create_structure(""))
        attach = f"ATTACH PARTITION {self.table} FOR VALUES IN ({self.index.id})"
        self._execute(f"ALTER TABLE mastra_engine_embedding {attach}")
        for (grant,) in self._query(_GRANTS, [self.table]):
            self._execute(grant)

    def drop(self) -> None:
        self._execute(f"DROP TABLE IF EXISTS {self.table}")

    def truncate(self) -> None:
        self._execute(f"TRUNCATE {self.table}")

    def state(self) -> tuple[IndexStatus, float | None]:
        """Return the search structure's status and, while it is being built, the share done."""
        params = [self.structure, self.table, self.table, BUILDERS, self.table]
        ((valid, share, locked),) = self._query(_STATE, params)
        return status_of(self.index.index_type, valid=valid, share=share, locked=locked)

    def size(self) -> tuple[int, int]:
        """Return the number of vectors and the bytes they take with all indexes."""
        sql = f"SELECT count(*), pg_total_relation_size('{self.table}') FROM {self.table}"
        ((number, size),) = self._query(sql, [])
        return number, size

    def build(self, *, patience: float) -> None:
        """Build the search structure unless it is there and valid, or another process builds it.

        Outside a transaction nobody has to wait for it, but it has to wait for those who are
        writing; raises Unavailable when that takes more than `patience` seconds, unless 0.
        """
        status, _ = self.state()
        if status in ("ready", "building"):
            return
        if not self.connection.get_autocommit():
            self._build("")
            return
        with self._only_builder() as alone:
            if alone:
                self._wait_for_writers(patience)
                self._build("CONCURRENTLY ")

    def _build(self, concurrently: str) -> None:
        stored = self._query(_VALID, [self.structure, self.table])
        if stored == [(True,)]:
            return
        if stored:
            self._execute(f"DROP INDEX {concurrently}IF EXISTS {self.structure}")
        self._execute(self._create_structure(f"{concurrently}IF NOT EXISTS "))
        self._execute(f"ANALYZE {self.table}")  # filtered searches rely on the planner's guesses

    @contextmanager
    def _only_builder(self) -> Iterator[bool]:
        """Say whether nobody else builds this structure, and keep others from it.

        Two CREATE INDEX CONCURRENTLY of one table end in a deadlock, when all the work is done. As
        it runs in no transaction, another connection's holds the lock; that has to be READ
        COMMITTED, or its snapshot would be one of those the build waits for.
        """
        ((number,),) = self._query(_NUMBER, [self.table])
        guard = self.connection.copy()
        try:
            with guard.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                cursor.execute(_TRY_LOCK.format(number))
                try:
                    yield cursor.fetchone()[0]
                finally:
                    with suppress(Error):  # it may have been lost in the meantime
                        cursor.execute("ROLLBACK")
        finally:
            guard.close()

    def _wait_for_writers(self, patience: float) -> None:
        """Wait for the transactions that write now, rather than let the server do it for ever."""
        deadline = time.monotonic() + patience
        waiting = older = set(self._query(_WRITERS, [self.table]))
        while patience and waiting:
            if time.monotonic() > deadline:
                raise Unavailable("Others have been writing to the index for too long")
            time.sleep(_PAUSE)
            waiting = older.intersection(self._query(_WRITERS, [self.table]))

    def drop_structure(self) -> None:
        """Drop the search structure; searches are exact until it is built."""
        ((schema, _),) = self._query(_HOME, [])
        self._execute(f"DROP INDEX IF EXISTS {schema}.{self.structure}")

    def _create_structure(self, how: str) -> str:
        index = self.index
        operators = f"{index.storage}_{_OPERATOR_CLASSES[index.metric]}"
        if index.index_type == "hnsw":
            options = f"m = {index.m}, ef_construction = {index.ef_construction}"
        else:
            options = f"lists = {self._lists()}"
        return (
            f"CREATE INDEX {how}{self.structure} ON {self.table} "
            f"USING {index.index_type} ((embedding::{self.type}) {operators}) WITH ({options})"
        )

    def _lists(self) -> int:
        """What pgvector's README advises: rows / 1000 to a million rows, then their square root."""
        rows, _ = self.size()
        return max(rows // 1000, 1) if rows <= 1_000_000 else round(rows**0.5)

    def _execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def _query(self, sql: str, params: list[Any]) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
