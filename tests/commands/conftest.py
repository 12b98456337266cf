"""Projects in directories of their own, a server to share, and a `docker` that only records."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from dotenv import dotenv_values
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pytest_django import DjangoDbBlocker

from mastra_engine import engine
from mastra_engine.devstack.database import selected_database
from mastra_engine.devstack.embedded import EmbeddedStack

Process = subprocess.Popen[str]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """A directory, and commands on it: in this process by `call`, in others by `start`."""

    path: Path

    @property
    def env(self) -> dict[str, str | None]:
        return dotenv_values(self.path / ".env")

    @property
    def pgdata(self) -> Path:
        return self.path / ".mastra" / "pgdata"

    def call(self, *command: str) -> str:
        out = StringIO()
        call_command(*command, dir=str(self.path), stdout=out)
        return out.getvalue()

    def start(self, *command: str, before: Sequence[str] = (), **variables: str) -> Process:
        inherited = {name: value for name, value in os.environ.items() if name != "DB_URL"}
        return subprocess.Popen(
            [*before, sys.executable, "-m", "django", *command],
            cwd=ROOT,
            env={
                **inherited,
                "DJANGO_SETTINGS_MODULE": "tests.commands.project_settings",
                "MASTRA_PROJECT": str(self.path),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, **options: Any) -> tuple[int, str, str]:
        process = self.start(*command, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def must(self, *command: str, **options: Any) -> str:
        code, out, err = self.run(*command, **options)
        assert code == 0, out + err
        return out

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return run_sql(self.env["DB_URL"] or "", query)


def run_sql(url: str, query: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Not pytest's tmp_path: its parents are closed to the server's user again and again."""
    path = Path(tempfile.mkdtemp(prefix="mastra-commands-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _development(settings: Any) -> None:
    settings.DEBUG = True


@pytest.fixture
def projects() -> Iterator[Callable[[str], Project]]:
    """Make projects by name; their servers are stopped in the end."""
    with temporary_directory() as base:

        def make(name: str) -> Project:
            (base / name).mkdir()
            return Project(base / name)

        yield make
        for directory in base.iterdir():
            EmbeddedStack(directory).down()


@pytest.fixture
def project(projects: Callable[[str], Project]) -> Project:
    return projects("project")


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a running server."""
    with temporary_directory() as directory:
        stack = EmbeddedStack(directory)
        stack.pgdata.parent.mkdir()
        stack.up(timeout=60)
        yield stack.url()
        stack.down()


@pytest.fixture
def make_database(server: str) -> Iterator[Callable[..., str]]:
    """Create databases in the shared server and return their URLs."""
    created: list[sql.Identifier] = []

    def make(name: str | None = None, options: str = "") -> str:
        name = name or f"scratch_{uuid.uuid4().hex}"
        created.append(sql.Identifier(name))
        run_sql(server, sql.SQL("CREATE DATABASE {} ").format(created[-1]) + sql.SQL(options))
        return make_conninfo(server, dbname=name)

    yield make
    for database in created:
        run_sql(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@pytest.fixture
def database(make_database: Callable[..., str]) -> str:
    """The URL of an empty database."""
    return make_database()


@pytest.fixture
def old(
    database: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Make the default alias mean a database that has all apps' tables but the engine's."""
    monkeypatch.setenv("DB_URL", database)
    ContentType.objects.clear_cache()
    with django_db_blocker.unblock(), selected_database(None):
        for app in ("contenttypes", "auth", "admin", "sessions"):
            call_command("migrate", app, verbosity=0)
        yield
        engine.close()
    ContentType.objects.clear_cache()
