"""The state of a database alias, found by connecting to it and changing nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.core import checks
from django.db import Error

from mastra_engine.devstack.database import conninfo, unapplied_migrations
from mastra_engine.devstack.server import Server, Table, address, inspect
from mastra_engine.exceptions import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What was found; `server` and `unapplied_migrations` are None when nobody answers."""

    address: str
    reachable: bool
    problems: list[str]
    server: Server | None = None
    unapplied_migrations: int | None = None
    tables: list[Table] = field(default_factory=list)


def read_status(alias: str) -> Status:
    """Return the state of the database; one that is away is a state too."""
    target = address(conninfo(alias))
    try:
        return _read(alias, target)
    except (Unavailable, Error) as error:
        return Status(address=target, reachable=False, problems=[str(error)])


def _read(alias: str, target: str) -> Status:
    server, tables = inspect(conninfo(alias))
    messages = checks.run_checks(tags=[checks.Tags.database], databases=[alias])
    problems = [message.msg for message in messages if message.is_serious()]
    unapplied = unapplied_migrations(alias)
    if unapplied:
        problems.append(f"Migrations to apply: {unapplied}. Run engine_migrate.")
    return Status(
        address=target,
        reachable=True,
        problems=problems,
        server=server,
        unapplied_migrations=unapplied,
        tables=tables,
    )
