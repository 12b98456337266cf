"""The partition of a vector index and its search structure.

This is the only DDL outside migrations.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import Any

from django.db import Error
from django.db.backends.base.base import BaseDatabaseWrapper
from pgvector import SparseVector, Vector

from mastra_engine.exceptions import Unavailable
from mastra_engine.postgres.connections import separate_connection
from mastra_engine.postgres.errors import DatabaseError, sqlstate
from mastra_engine.postgres.locks import BUILDERS
from mastra_engine.postgres.structures import status_of
from mastra_engine.types import IndexStatus
from mastra_engine.validation.vectors import AnyVector, IndexDefinition

_OPERATOR_CLASSES = {"cosine": "cosine_ops", "euclidean": "l2_ops", "dotproduct": "ip_ops"}
_OPERATORS = {"cosine": "<=>", "euclidean": "<->", "dotproduct": "<#>"}

#: Values of metadata in the planner's statistics, on which it tries a filter. With its default of
#: 100, a filter that matches 2 % of the rows matches between none and five of the sample. Of words,
#: the statistics have ten times as many.
_SAMPLE = 500

#: PostgreSQL's default of four megabytes takes a search as long as all the rest of it.
_WAITING_KILOBYTES = 1_024

#: Seconds between two checks for transactions that still write, and of a build's progress.
_PAUSE, _WATCH_PAUSE = 0.05, 0.2

# A prepared transaction has no process.
_BUILD_PHASE = """
SELECT build.pid, phase, holder.pid, holder.state, holder.application_name
FROM pg_stat_progress_create_index build
LEFT JOIN pg_stat_activity holder ON holder.pid = current_locker_pid
WHERE relid = to_regclass(%s) AND build.datname = current_database()
"""

# This statement has no parameters: with parameters bound on the server, the transaction would keep
# the statement's snapshot, and CREATE INDEX CONCURRENTLY would wait for it. The timeouts are off
# because the transaction is idle for as long as the build takes.
_TRY_LOCK = f"""
SELECT pg_try_advisory_xact_lock({BUILDERS}, {{}}),
       set_config('idle_in_transaction_session_timeout', '0', true),
       (SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'transaction_timeout')
"""

# Advisory locks take the table's oid: indexes in several schemas may have the same id.
_NUMBER = "SELECT %s::regclass::oid::int"

# The schema of the tables, and their owner. Statements that create or drop need the schema: an
# unqualified name would be created in the first schema of the search path, and dropped in the first
# one that has it.
_HOME = """
SELECT relnamespace::regnamespace, relowner::regrole
FROM pg_class WHERE oid = 'mastra_engine_embedding'::regclass
"""

# A new table grants nothing to other roles, and the role that searches it may not be its owner.
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
SELECT virtualtransaction, pid, state, application_name
FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
WHERE relation = to_regclass(%s) AND pid IS DISTINCT FROM pg_backend_pid() AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""


# One statement, so that both tables are read in one snapshot: an index that is being created has
# its row and its partition, or neither.
_ORPHANS = """
SELECT child.oid::regclass::text
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent = to_regclass('mastra_engine_embedding')
  AND NOT EXISTS (SELECT FROM mastra_engine_vectorindex
                  WHERE child.relname = 'mastra_engine_embedding_' || id)
"""


def _described(pid: int | None, state: str | None, application: str | None) -> str:
    """Return the process of a transaction in words, so that an operator can end it."""
    if pid is None:
        return "a prepared transaction"
    # PostgreSQL may hide the state of another role's session.
    details = ", ".join(text for text in (state, application) if text)
    return f"process {pid} ({details})" if details else f"process {pid}"


def drop_orphans(connection: BaseDatabaseWrapper) -> None:
    """Drop the partitions without an index, if the tables exist."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('mastra_engine_embedding') IS NULL")
        if cursor.fetchone()[0]:
            return
        cursor.execute(_ORPHANS)
        for (table,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {table}")


def missing(connection: BaseDatabaseWrapper, index: IndexDefinition) -> bool:
    """Return whether an index has no partition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%s))",
            [f"mastra_engine_embedding_{index.id}"],
        )
        return bool(cursor.fetchone()[0])


class Partition:
    """The table of one vector index. Its names contain the index's id, and no text of users."""

    def __init__(self, connection: BaseDatabaseWrapper, index: IndexDefinition) -> None:
        self.connection = connection
        self.index = index
        self.table = f"mastra_engine_embedding_{index.id}"
        self.structure = f"{self.table}_nearest"
        self.words = f"{self.table}_words"
        #: Whether the structure orders by bits: it finds candidates, which are then compared.
        self.by_bits = index.storage == "bit" and index.index_type != "flat"
        sparse = index.storage == "sparsevec"
        #: The column of the vectors, and its type.
        self.column = "sparse_embedding" if sparse else "embedding"
        self.column_type = "sparsevec" if sparse else "vector"
        #: The class of pgvector that stands for this type.
        self.vector_class: type[AnyVector] = SparseVector if sparse else Vector
        self.type = f"{'vector' if index.storage == 'bit' else index.storage}({index.dimension})"
        #: A FROM clause that has a row only while the index is the one that was found. It has the
        #: name as its parameter. Definitions never change, and two indexes of one name are never
        #: created at the same time.
        self.unchanged = (
            f"FROM mastra_engine_vectorindex WHERE name = %s AND created_at = '{index.created_at}'"
        )
        #: A condition that the search structure exists and is valid.
        self.built = (
            "EXISTS (SELECT FROM pg_index WHERE indisvalid "
            f"AND indexrelid = to_regclass('{self.structure}') "
            f"AND indrelid = to_regclass('{self.table}'))"
        )

    def distance(self) -> str:
        """Return the distance to a parameter, in the form that the search structure indexes.

        A structure of bits indexes `bit_distance()` instead.
        """
        target = f"%s::{self.column_type}"
        if self.index.storage == "halfvec":
            target += f"::{self.type}"
        return f"({self.column}::{self.type}) {_OPERATORS[self.index.metric]} {target}"

    def binary(self) -> str:
        """Return the expression of a row's vector in pgvector's binary form."""
        return f"{self.column_type}_send({self.column})"

    def decode(self, binary: bytes) -> AnyVector:
        """Return a vector from pgvector's binary form."""
        return self.vector_class.from_binary(binary)

    def bit_distance(self) -> str:
        """Return the number of bits, one per dimension, that differ from those of a parameter."""
        return f"{self._bits('embedding')} <~> {self._bits('%s::vector')}"

    def _bits(self, vector: str) -> str:
        return f"(binary_quantize({vector})::bit({self.index.dimension}))"

    def create(self) -> None:
        """Create the table, then attach it as a partition.

        Attaching locks out neither readers nor writers of other indexes, unlike creating the table
        as a partition. The table gets the owner and the grants of the table of all vectors.
        """
        ((schema, owner),) = self._query(_HOME, [])
        table = f"{schema}.{self.table}"
        self._execute(f"DROP TABLE IF EXISTS {table}")  # of a database that was flushed
        self._execute(f"CREATE TABLE {table} (LIKE mastra_engine_embedding INCLUDING ALL)")
        self._execute(f"ALTER TABLE {table} OWNER TO {owner}")
        for column in ("metadata", "words"):
            statistics = f"ALTER {column} SET STATISTICS {_SAMPLE}"
            self._execute(f"ALTER TABLE {self.table} {statistics}")
        self._execute(f"ALTER TABLE {self.table} ALTER {self.column} SET NOT NULL")
        self._execute(
            f"CREATE TRIGGER words BEFORE INSERT OR UPDATE OF document, analyzed ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION mastra_engine_set_words('{self.index.language}')"
        )
        self._execute(self._create_words())
        if self.index.index_type == "hnsw":  # IVFFlat computes its lists from rows
            self._execute(self._create_structure(""))
        attach = f"ATTACH PARTITION {self.table} FOR VALUES IN ({self.index.id})"
        self._execute(f"ALTER TABLE mastra_engine_embedding {attach}")
        for (grant,) in self._query(_GRANTS, [self.table]):
            self._execute(grant)

    def drop(self) -> None:
        """Drop the table and its search structure."""
        self._execute(f"DROP TABLE IF EXISTS {self.table}")

    def truncate(self) -> None:
        """Delete all rows."""
        self._execute(f"TRUNCATE {self.table}")

    def state(self) -> tuple[IndexStatus, float | None]:
        """Return the search structure's status and, during a build, its progress from 0 to 1."""
        params = [self.structure, self.table, self.table, BUILDERS, self.table]
        ((valid, share, locked),) = self._query(_STATE, params)
        return status_of(self.index.index_type, valid=valid, share=share, locked=locked)

    def size(self) -> tuple[int, int]:
        """Return the number of vectors, and their size in bytes with all indexes."""
        sql = f"SELECT count(*), pg_total_relation_size('{self.table}') FROM {self.table}"
        ((number, size),) = self._query(sql, [])
        return number, size

    def build(self, *, patience: float) -> None:
        """Build the search structure unless it is valid, or another process builds it.

        Outside a transaction it is built concurrently, while others read and write. The build
        itself has to wait for the transactions that have written before it: raises Unavailable if
        they take more than `patience` seconds, unless that is 0.
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
                with self._bounded_waits(patience):
                    self._build("CONCURRENTLY ")

    def _build(self, concurrently: str) -> None:
        stored = self._query(_VALID, [self.structure, self.table])
        if stored == [(True,)]:
            return
        if stored:
            self._execute(f"DROP INDEX {concurrently}IF EXISTS {self.structure}")
        self._execute(self._create_structure(f"{concurrently}IF NOT EXISTS "))
        self.analyze()

    def analyze(self) -> None:
        """Renew the estimates that searches with a filter or words use."""
        self._execute(f"ANALYZE {self.table}")
        self._query("SELECT gin_clean_pending_list(to_regclass(%s))", [self.words])

    @contextmanager
    def _only_builder(self) -> Iterator[bool]:
        """Yield whether this process may build the structure, with a lock if so.

        Two CREATE INDEX CONCURRENTLY on one table end in a deadlock after all the work is done.
        CREATE INDEX CONCURRENTLY cannot run in a transaction, and the lock has to be scoped to a
        transaction, because of poolers: so a second connection holds the lock. Its transaction is
        READ COMMITTED; otherwise it would hold a snapshot, which the build would wait for.
        """
        ((number,),) = self._query(_NUMBER, [self.table])
        guard = separate_connection(self.connection)
        try:
            with guard.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
                cursor.execute(_TRY_LOCK.format(number))
                try:
                    yield cursor.fetchone()[0]
                finally:
                    with suppress(Error):  # the connection may be lost by now
                        cursor.execute("ROLLBACK")
        finally:
            guard.close()

    @contextmanager
    def _bounded_waits(self, patience: float) -> Iterator[None]:
        """Cancel the build if it waits for more than `patience` seconds, unless that is 0.

        It waits for transactions that have written to the table, and at the end for all that have
        an older snapshot, for example a backup. `lock_timeout` would bound this, but it cannot be
        set for a statement that runs outside of a transaction. So a thread looks at the progress
        of the build, in one transaction each time: a longer one would see the same progress again
        and again, and the build would wait for the snapshots that it takes.
        """
        ended = Event()
        waited_for: list[str] = []

        def watch() -> None:
            phase, since = "", time.monotonic()
            with closing(separate_connection(self.connection)) as connection:
                while not ended.wait(_WATCH_PAUSE):
                    with suppress(Error), connection.cursor() as cursor:  # or look again later
                        cursor.execute(_BUILD_PHASE, [self.table])
                        builder, now, *holder = cursor.fetchone() or (None, "")
                        if now != phase:
                            phase, since = now, time.monotonic()
                        elif now.startswith("waiting for") and time.monotonic() - since > patience:
                            waited_for.append(_described(*holder))
                            cursor.execute("SELECT pg_cancel_backend(%s)", [builder])
                            return

        watcher = Thread(target=watch, name="mastra_engine build", daemon=True)
        if patience:
            watcher.start()
        try:
            yield
        except Error as error:
            if not waited_for:
                raise
            cause = DatabaseError(error, sqlstate(error))
            raise self._waited("older transactions have been open", patience, waited_for) from cause
        finally:
            ended.set()
            if patience:
                watcher.join()

    def _wait_for_writers(self, patience: float) -> None:
        """Wait for the transactions that write now.

        CREATE INDEX CONCURRENTLY would wait for them itself, but without a bound.
        """
        deadline = time.monotonic() + patience
        writers = self._writers()
        while patience and writers:
            if time.monotonic() > deadline:
                what = "other transactions have been writing to it"
                raise self._waited(what, patience, writers.values())
            time.sleep(_PAUSE)
            writers = {key: who for key, who in self._writers().items() if key in writers}

    def _writers(self) -> dict[str, str]:
        """Return the process of each transaction that writes to the table, by the transaction."""
        rows = self._query(_WRITERS, [self.table])
        return {transaction: _described(*holder) for transaction, *holder in rows}

    def _waited(self, what: str, patience: float, holders: Iterable[str]) -> Unavailable:
        return Unavailable(
            f"Vector index {self.index.name!r} is not built: {what} for {patience:g} seconds, by "
            f"{', '.join(holders)}; try again when they have ended"
        )

    def drop_structure(self) -> None:
        """Drop the search structure; searches are exact until it is built."""
        ((schema, _),) = self._query(_HOME, [])
        self._execute(f"DROP INDEX IF EXISTS {schema}.{self.structure}")

    def build_words(self) -> bool:
        """Build the index of words concurrently unless it is valid; return whether it is.

        While another process builds an index of this table, it is left to a later call.
        """
        with self._only_builder() as alone:
            if not alone:
                return False
            stored = self._query(_VALID, [self.words, self.table])
            if stored == [(False,)]:
                self._execute(f"DROP INDEX CONCURRENTLY IF EXISTS {self.words}")
            if stored != [(True,)]:
                self._execute(self._create_words("CONCURRENTLY "))
        return True

    def _create_words(self, how: str = "") -> str:
        # Of words that wait in a list to be added to the index, each search reads the whole list.
        return (
            f"CREATE INDEX {how}{self.words} ON {self.table} USING gin (words) "
            f"WITH (gin_pending_list_limit = {_WAITING_KILOBYTES})"
        )

    def _create_structure(self, how: str) -> str:
        index = self.index
        if self.by_bits:
            key = f"{self._bits('embedding')} bit_hamming_ops"
        else:
            key = f"({self.column}::{self.type}) {index.storage}_{_OPERATOR_CLASSES[index.metric]}"
        if index.index_type == "hnsw":
            options = f"m = {index.m}, ef_construction = {index.ef_construction}"
        else:
            options = f"lists = {self._lists()}"
        return (
            f"CREATE INDEX {how}{self.structure} ON {self.table} "
            f"USING {index.index_type} ({key}) WITH ({options})"
        )

    def _lists(self) -> int:
        """Return the number of lists that pgvector's README recommends.

        That is rows / 1000 for up to a million rows, and the square root of the rows beyond.
        """
        rows, _ = self.size()
        return max(rows // 1000, 1) if rows <= 1_000_000 else round(rows**0.5)

    def _execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def _query(self, sql: str, params: list[Any]) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
