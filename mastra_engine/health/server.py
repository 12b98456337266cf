"""The versions of a server, unapplied migrations, and the sizes of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The versions of a server and the encoding of the connected database."""

    version: str
    encoding: str
    pgvector_available: str | None
    pgvector_installed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the engine; `rows` is the planner's estimate, None before the first ANALYZE."""

    name: str
    rows: int | None
    bytes: int


_SERVER_SQL = """
SELECT current_setting('server_version') AS version,
       current_setting('server_encoding') AS encoding,
       (SELECT default_version FROM pg_available_extensions WHERE name = 'vector')
           AS pgvector_available,
       (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector_installed
"""

# A partitioned table counts as the sum of its partitions, which are not listed themselves.
_TABLES_SQL = r"""
SELECT t.relname AS name,
       sum(part.reltuples) FILTER (WHERE part.reltuples >= 0)::bigint AS rows,
       sum(pg_total_relation_size(part.oid))::bigint AS bytes
FROM pg_class t
LEFT JOIN LATERAL pg_partition_tree(t.oid) branch ON branch.isleaf
JOIN pg_class part ON part.oid = coalesce(branch.relid, t.oid)
WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition
  AND t.relname LIKE 'mastra\_engine\_%' AND pg_table_is_visible(t.oid)
GROUP BY t.relname
ORDER BY t.relname
"""


def read_server(connection: BaseDatabaseWrapper) -> Server:
    """Return the versions and the encoding of the server."""
    (server,) = _rows(connection, _SERVER_SQL, Server)
    return server


def read_tables(connection: BaseDatabaseWrapper) -> list[Table]:
    """Return the tables of the engine, ordered by name."""
    return _rows(connection, _TABLES_SQL, Table)


def unapplied(connection: BaseDatabaseWrapper) -> list[str]:
    """Return the app of each migration that `migrate` would run, without changes."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [migration.app_label for migration, _ in plan]


def _rows(connection: BaseDatabaseWrapper, sql: str, row: type[R]) -> list[R]:
    """Run a query without parameters; its columns are the fields of `row`."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column.name for column in cursor.description]
        return [row(**dict(zip(names, values, strict=True))) for values in cursor.fetchall()]
