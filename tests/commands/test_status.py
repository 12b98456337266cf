"""engine_status: it reports the present state and changes nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg.conninfo import make_conninfo
from pytest_django import DjangoDbBlocker

from mastra_engine.devstack.embedded import EmbeddedStack
from mastra_engine.health.server import Server, read_server
from tests.commands.conftest import Project, run_sql
from tests.commands.test_migrate import ASCII

Status = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker) -> Status:
    """Return engine_status's JSON about a URL and the error it ends with, if any."""

    def ask(url: str) -> tuple[dict[str, Any], str]:
        monkeypatch.setenv("DB_URL", url)
        out = StringIO()
        with django_db_blocker.unblock():
            try:
                call_command("engine_status", "--json", stdout=out)
            except CommandError as error:
                return json.loads(out.getvalue()), str(error)
        return json.loads(out.getvalue()), ""

    return ask


@pytest.mark.django_db
def test_in_a_test_run_it_is_about_the_tests_database() -> None:
    call_command("engine_status", "--json", stdout=(out := StringIO()))  # DB_URL is the settings'
    address = json.loads(out.getvalue())["address"]
    assert f"dbname={connection.settings_dict['NAME']}" in address


def test_migrated_database_is_healthy(project: Project, database: str) -> None:
    project.must("engine_migrate", DATABASE_URL=database)
    document = json.loads(project.must("engine_status", "--json", DATABASE_URL=database))
    assert document["reachable"] is True
    assert document["problems"] == []
    assert document["unapplied_migrations"] == 0
    assert document["server"]["encoding"] == "UTF8"
    assert document["server"]["pgvector_installed"] == document["server"]["pgvector_available"]
    assert all(table["name"].startswith("mastra_engine_") for table in document["tables"])
    assert document["indexes"] == []
    assert document["waiting"] == {
        "messages": 0,
        "state_items": 0,
        "facts": 0,
        "changes": 0,
        "changes_since": None,
        "lagging": [],
    }
    assert document["runs"] == {
        "queued": 0,
        "running": 0,
        "stalled": 0,
        "failures": [],
        "silent": [],
    }
    assert document["growth"][-1]["records"] == 0

    text = project.must("engine_status", DATABASE_URL=database)
    assert f"PostgreSQL: {document['server']['version']}, UTF8" in text
    assert f"pgvector: {document['server']['pgvector_installed']}\n" in text
    assert f"django-mastra-engine {document['versions']['django-mastra-engine']}, Django" in text
    assert "Sync runs: 0 queued, 0 running, 0 stalled" in text


def test_says_how_to_install_pgvector(project: Project, database: str) -> None:
    _, out, _ = project.run("engine_status", DATABASE_URL=database)
    assert re.search(r"pgvector: [\d.]+, not installed: CREATE EXTENSION vector\n", out)


def test_missing_migrations_are_a_problem(status: Status, database: str) -> None:
    result, error = status(database)
    assert result["unapplied_migrations"] > 10
    assert result["problems"] == [error]
    assert "Run engine_migrate" in error
    assert (result["waiting"], result["runs"], result["growth"]) == (None, None, [])


def test_asking_changes_nothing(status: Status, database: str) -> None:
    status(f"{database} options='-c default_transaction_read_only=on'")
    assert run_sql(database, "SELECT relname FROM pg_class WHERE oid >= 16384") == []


def test_absent_server_is_reported(status: Status) -> None:
    result, error = status("host=/nowhere dbname=none user=me")
    assert result["reachable"] is False
    assert result["server"] is None
    assert result["versions"]["django-mastra-engine"]
    assert result["address"] == "host=/nowhere user=me dbname=none"
    assert error.startswith("The database does not answer")


def test_a_database_that_does_not_exist_is_named(
    status: Status, server: str, project: Project
) -> None:
    url = make_conninfo(server, dbname='no "such" one')
    _, error = status(url)
    assert error.startswith('The database "no "such" one" does not exist on this server')
    assert "CREATE DATABASE" in error
    assert "does not answer" not in error
    for command in (
        "engine_migrate",
        "engine_sync --list",
        "engine_erase --resource=ann --no-input",
    ):
        _, _, error = project.run(*command.split(), DATABASE_URL=url)
        assert error.startswith('CommandError: The database "no "such" one" does not exist')


@pytest.mark.parametrize(
    "command", ["engine_status", "engine_migrate --timeout=1", "engine_sync --list"]
)
def test_a_development_database_that_is_down_can_be_started(project: Project, command: str) -> None:
    url = EmbeddedStack(project.path).url()
    (project.path / ".env").write_text(f"MASTRA_ENGINE_SERVER=embedded\nDB_URL='{url}'\n")
    _, _, error = project.run(*command.split())
    assert "The database does not answer" in error
    assert error.endswith("Start the development database: manage.py engine_up\n")
    _, _, error = project.run(*command.split(), DATABASE_URL="host=/nowhere dbname=other")
    assert "The database does not answer" in error
    assert "engine_up" not in error


def test_a_server_without_pgvector_needs_it_first(
    status: Status, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_pgvector(connection: Any) -> Server:
        return replace(read_server(connection), pgvector_available=None, version="17.2 (Debian)")

    monkeypatch.setattr("mastra_engine.health.read_server", without_pgvector)
    result, error = status(database)
    assert result["problems"] == [error]
    assert "postgresql-17-pgvector" in error
    assert error.endswith("then run engine_migrate.")


def test_wrong_encoding_is_a_problem(status: Status, make_database: Callable[..., str]) -> None:
    result, _ = status(make_database(options=ASCII))
    assert result["server"]["encoding"] == "SQL_ASCII"
    assert any("SQL_ASCII" in problem for problem in result["problems"])


def test_password_is_not_shown(status: Status, database: str) -> None:
    for url in f"{database} password=hunter2", "host=/nowhere dbname=none password=hunter2":
        assert "hunter2" not in str(status(url))


def test_tables_are_sized_with_their_partitions(status: Status, database: str) -> None:
    run_sql(
        database,
        """
        CREATE TABLE mastra_engine_whole (n int);
        CREATE TABLE mastra_engine_split (n int) PARTITION BY LIST (n);
        CREATE TABLE mastra_engine_split_1 PARTITION OF mastra_engine_split FOR VALUES IN (1);
        CREATE TABLE mastra_engine_split_2 PARTITION OF mastra_engine_split FOR VALUES IN (2);
        CREATE TABLE mastraXengine_foreign (n int);
        INSERT INTO mastra_engine_split SELECT 1 + i % 2 FROM generate_series(1, 1000) i;
        ANALYZE mastra_engine_split;
        """,
    )
    result, _ = status(database)
    split, full = result["tables"]
    assert (split["name"], split["rows"], split["bytes"] >= 1000 * 28) == (
        "mastra_engine_split",
        1000,
        True,
    )
    assert full == {"name": "mastra_engine_whole", "rows": None, "bytes": 0}
