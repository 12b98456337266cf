"""The state of an engine's database, which `engine_status` and the admin read and do not change.

The cost does not depend on the number of rows, because it uses catalogs, the planner's estimates,
counts up to a limit, and samples. The exception is one sum for each declared index, which grows
with the number of entities.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

from django.core import checks
from django.db import connections

from mastra_engine.health.growth import Day, read_growth
from mastra_engine.health.server import Server, Table, read_server, read_tables, unapplied
from mastra_engine.health.work import (
    Lag,
    Run,
    Runs,
    SilentRun,
    Waiting,
    read_lags,
    read_runs,
    read_waiting,
)
from mastra_engine.postgres.structures import Structure, read_structures

__all__ = [
    "Day",
    "Health",
    "Lag",
    "Run",
    "Runs",
    "Server",
    "SilentRun",
    "Structure",
    "Table",
    "Waiting",
    "read_growth",
    "read_health",
    "read_lags",
]

_NO_PGVECTOR = (
    "The server does not have the extension pgvector, which the engine needs. Install it on the "
    "server, for example with the package postgresql-{major}-pgvector or the image "
    "pgvector/pgvector:pg{major}, then run engine_migrate."
)
_PACKAGES = ("django-mastra-engine", "Django", "psycopg")


def package_versions() -> dict[str, str]:
    """Return the installed versions by name of the package."""
    return {**{name: version(name) for name in _PACKAGES}, "Python": platform.python_version()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state of a database; `problems` are messages for the operator, each with a remedy.

    `server` is None if the server does not answer. The fields after `tables` are empty until the
    engine's migrations are applied.
    """

    problems: list[str]
    versions: dict[str, str] = field(default_factory=package_versions)
    server: Server | None = None
    unapplied_migrations: int | None = None
    tables: list[Table] = field(default_factory=list)
    indexes: list[Structure] = field(default_factory=list)
    waiting: Waiting | None = None
    runs: Runs | None = None
    growth: list[Day] = field(default_factory=list)


def read_health(alias: str, *, growth: Callable[[str], list[Day]] = read_growth) -> Health:
    """Return the state of a Django database alias; raises Django's errors if it does not answer.

    `growth` may be a function that caches the result of read_growth().
    """
    connection = connections[alias]
    server, tables = read_server(connection), read_tables(connection)
    pending = unapplied(connection)
    messages = checks.run_checks(tags=[checks.Tags.database], databases=[alias])
    problems = [message.msg for message in messages if message.is_serious()]
    if server.pgvector_installed is None and server.pgvector_available is None:
        problems.append(_NO_PGVECTOR.format(major=server.version.partition(".")[0]))
    elif pending:
        problems.append(f"Migrations to apply: {len(pending)}. Run engine_migrate.")
    if "mastra_engine" in pending:
        return Health(
            problems=problems, server=server, unapplied_migrations=len(pending), tables=tables
        )
    indexes, runs = read_structures(connection), read_runs(alias)
    return Health(
        problems=[*problems, *_faults(indexes, runs)],
        server=server,
        unapplied_migrations=len(pending),
        tables=tables,
        indexes=indexes,
        waiting=read_waiting(alias),
        runs=runs,
        growth=growth(alias),
    )


def _faults(indexes: list[Structure], runs: Runs) -> list[str]:
    faults = [
        f"The search structure of index {index.name!r} is {index.status}: "
        "its searches are exact, and slow. Run engine_index --build."
        for index in indexes
        if index.status == "invalid" or (index.status == "missing" and index.vectors != 0)
    ]
    faults += [
        f"The documents of index {index.name!r} that an earlier release stored are not found by "
        "their words. Run engine_migrate."
        for index in indexes
        if not index.has_words
    ]
    if runs.stalled:
        faults.append(f"Sync runs whose worker is silent: {runs.stalled}. Run those syncs again.")
    return faults
