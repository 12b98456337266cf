"""`manage.py engine_status`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.template.defaultfilters import filesizeformat

from mastra_engine.devstack.database import selected_database
from mastra_engine.devstack.server import Server, Table
from mastra_engine.devstack.status import Status, read_status
from mastra_engine.management.base import DatabaseCommand


class Command(DatabaseCommand):
    help = "Say what the database is and what is wrong with it; exit with 1 if anything is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, **options: Any) -> None:
        with selected_database(options["database"]) as alias:
            status = read_status(alias)
        self.stdout.write(_as_json(status) if options["json"] else _as_text(status))
        if status.problems:
            raise CommandError("\n".join(status.problems))


def _as_json(status: Status) -> str:
    return json.dumps(asdict(status), indent=2)


def _as_text(status: Status) -> str:
    lines = [f"Database: {status.address}"]
    if status.server is not None:
        lines += [
            f"PostgreSQL: {status.server.version}, {status.server.encoding}",
            f"pgvector: {_pgvector(status.server)}",
            f"Migrations to apply: {status.unapplied_migrations}",
        ]
    return "\n".join([*lines, *map(_table, status.tables)])


def _pgvector(server: Server) -> str:
    if server.pgvector_installed:
        return server.pgvector_installed
    if server.pgvector_available:
        return f"{server.pgvector_available}, not installed: CREATE EXTENSION vector"
    return "not available on this server"


def _table(table: Table) -> str:
    rows = "not yet counted" if table.rows is None else f"about {table.rows} rows"
    return f"  {table.name}: {rows}, {filesizeformat(table.bytes)}"
