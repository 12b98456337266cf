"""Django projects as processes of their own, on an empty database of the tests' server."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from mastra_engine import PostgresEngine
from tests.server import server_url
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[1]


class Site:
    """A project's settings on a database: processes, and an engine to look at what they did."""

    def __init__(self, settings: str, url: str, **variables: str) -> None:
        self.engine = PostgresEngine(url=url)
        self.environment = {
            **os.environ,
            **variables,
            "DB_URL": url,
            "DJANGO_SETTINGS_MODULE": settings,
        }

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start Python with these arguments."""
        return subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=self.environment, text=True, **options
        )

    def ended(self, *arguments: str) -> tuple[int, str]:
        """Run Python to its end; return its exit code and all that it said."""
        process = self.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def manage(self, *command: str) -> str:
        """Run a command that has to succeed."""
        code, output = self.ended("-m", "django", *command)
        assert code == 0, output
        return output


@contextmanager
def site(settings: str, blocker: Any, **variables: str) -> Iterator[Site]:
    """Yield a project whose tables are made; its database goes in the end.

    `blocker` is pytest-django's, which knows only the databases of the tests' own settings.
    """
    name = f"site_{uuid.uuid4().hex}"
    server = psycopg.connect(server_url(), autocommit=True)
    with server, blocker.unblock():
        server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        created = Site(settings, make_conninfo(server_url(), dbname=name), **variables)
        try:
            created.manage("migrate")
            yield created
        finally:
            alias = created.engine.session.alias
            connections[alias].close()
            del connections[alias]
            del connections.settings[alias]
            server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
