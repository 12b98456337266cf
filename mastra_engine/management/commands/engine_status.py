"""`manage.py engine_status`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error
from django.template.defaultfilters import filesizeformat

from mastra_engine.devstack.database import conninfo, explained, selected_database
from mastra_engine.devstack.server import address, connected
from mastra_engine.exceptions import Unavailable
from mastra_engine.health import Health, Run, Server, Structure, Table, read_health
from mastra_engine.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = "Print the state of the database and its problems; exit with 1 if it has any."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        with selected_database(options["database"]) as alias:
            where, health = address(conninfo(alias)), _read(alias)
        show = _as_json if options["json"] else _as_text
        self.stdout.write(show(where, health))
        if health.problems:
            raise CommandError("\n".join(health.problems))


def _read(alias: str) -> Health:
    """Return the state of the database; an error of the connection is one of its problems."""
    try:
        # Django's own connection may not time out.
        with explained(conninfo(alias)), connected(conninfo(alias)):
            return read_health(alias)
    except (Unavailable, Error) as error:
        return Health(problems=[str(error)])


def _as_json(where: str, health: Health) -> str:
    status = {"address": where, "reachable": health.server is not None, **asdict(health)}
    return json.dumps(status, indent=2, cls=DjangoJSONEncoder)


def _as_text(where: str, health: Health) -> str:
    return "\n".join([f"Database: {where}", *_lines(health)])


def _lines(health: Health) -> Iterator[str]:
    yield "Versions: " + ", ".join(f"{name} {version}" for name, version in health.versions.items())
    if health.server is not None:
        yield f"PostgreSQL: {health.server.version}, {health.server.encoding}"
        yield f"pgvector: {_pgvector(health.server)}"
        yield f"Migrations to apply: {health.unapplied_migrations}"
    yield from map(_table, health.tables)
    yield from map(_index, health.indexes)
    if health.waiting is not None:
        yield f"Messages that wait for their vectors: {health.waiting.messages}"
        yield f"Items of state that wait to be indexed: {health.waiting.state_items}"
        yield f"Facts that wait to be indexed: {health.waiting.facts}"
        since = health.waiting.changes_since
        waited = "" if since is None else f", since {since:%Y-%m-%d %H:%M:%S}"
        yield f"Changes of records that wait for indexes: {health.waiting.changes}{waited}"
    if health.runs is not None:
        runs = health.runs
        yield f"Sync runs: {runs.queued} queued, {runs.running} running, {runs.stalled} stalled"
        yield from map(_failure, runs.failures)


def _pgvector(server: Server) -> str:
    if server.pgvector_installed:
        return server.pgvector_installed
    if server.pgvector_available:
        return f"{server.pgvector_available}, not installed: CREATE EXTENSION vector"
    return "not available on this server"


def _table(table: Table) -> str:
    return f"  {table.name}: {_estimate(table.rows, 'rows')}, {filesizeformat(table.bytes)}"


def _index(index: Structure) -> str:
    status = index.status if index.progress is None else f"{index.status}, {index.progress:.0%}"
    size = f"{_estimate(index.vectors, 'vectors')}, {filesizeformat(index.bytes)}"
    return f"  index {index.name}: {status}, {size}"


def _estimate(number: int | None, things: str) -> str:
    return "not yet counted" if number is None else f"about {number} {things}"


def _failure(run: Run) -> str:
    return f"  {run.finished_at:%Y-%m-%d %H:%M} {run.sync} of {run.connection_id}: {run.error}"
