"""engine_migrate: any number at once, on the database meant, or a clear refusal."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from threading import Event
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from pytest_django import DjangoDbBlocker

from mastra_engine import engine
from mastra_engine.devstack.database import conninfo, selected_database
from mastra_engine.devstack.server import MIGRATION_LOCK, migration_lock
from tests.commands.conftest import Project, run_sql

ASCII = "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"


def migrations(url: str) -> int:
    """Count the applied migrations, each once."""
    if run_sql(url, "SELECT to_regclass('django_migrations')") == [(None,)]:
        return 0
    ((distinct, total),) = run_sql(
        url, "SELECT count(DISTINCT (app, name)), count(*) FROM django_migrations"
    )
    assert distinct == total
    return int(distinct)


def test_six_at_once_all_succeed(project: Project, database: str) -> None:
    racing = [project.start("engine_migrate", DATABASE_URL=database) for _ in range(6)]
    for process in racing:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert "Every migration is applied." in out
    assert migrations(database) > 10


def test_db_url_wins_over_the_settings(project: Project, make_database: Callable[..., str]) -> None:
    configured, expected = make_database(), make_database()
    out = project.must("engine_migrate", DATABASE_URL=configured, DB_URL=expected)
    assert f"dbname={psycopg.conninfo.conninfo_to_dict(expected)['dbname']}" in out
    assert (migrations(configured), migrations(expected) > 10) == (0, True)


def test_named_database_wins_over_db_url(
    project: Project, make_database: Callable[..., str]
) -> None:
    configured, other = make_database(), make_database()
    project.must("engine_migrate", "--database=default", DATABASE_URL=configured, DB_URL=other)
    assert (migrations(configured) > 10, migrations(other)) == (True, 0)


def test_db_url_is_for_the_command_alone(
    database: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: DjangoDbBlocker
) -> None:
    before = dict(connections.settings["default"])
    monkeypatch.setenv("DB_URL", database)
    with django_db_blocker.unblock():
        call_command("engine_migrate", verbosity=0, stdout=StringIO())
    assert migrations(database) > 10
    assert connections.settings["default"] == connection.settings_dict == before


def test_an_engine_may_be_configured_by_its_url(
    database: str,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_db_blocker: DjangoDbBlocker,
) -> None:
    monkeypatch.delenv("DB_URL")
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "URL": database}
    }
    with django_db_blocker.unblock():
        call_command("engine_migrate", verbosity=0, stdout=StringIO())
        assert len(engine.list_entities()) == 0
        call_command("engine_status", stdout=(output := StringIO()))
        engine.close()
    assert psycopg.conninfo.conninfo_to_dict(database)["dbname"] in output.getvalue()


def test_password_of_the_settings_is_not_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "of the default database")
    monkeypatch.setenv("DB_URL", "postgresql://elsewhere.example.com/name")
    with selected_database(None) as alias:
        assert "password" not in conninfo(alias)


def test_says_how_to_install_pgvector(project: Project, database: str) -> None:
    role = f"limited_{uuid.uuid4().hex}"
    run_sql(database, f"CREATE ROLE {role} LOGIN; GRANT ALL ON SCHEMA public TO {role}")
    code, _, err = project.run("engine_migrate", DATABASE_URL=f"{database} user={role}")
    assert (code, err.strip().endswith("CREATE EXTENSION vector")) == (1, True)

    run_sql(database, "CREATE EXTENSION vector")
    project.must("engine_migrate", DATABASE_URL=f"{database} user={role}")


def test_says_that_the_database_is_read_only(project: Project, database: str) -> None:
    read_only = f"{database} options='-c default_transaction_read_only=on'"
    code, _, err = project.run("engine_migrate", DATABASE_URL=read_only)
    assert (code, "read-only" in err, "Traceback" in err) == (1, True, False)

    project.must("engine_migrate", DATABASE_URL=database)
    project.must("engine_migrate", DATABASE_URL=read_only)  # there is nothing to write
    run_sql(database, "DELETE FROM django_migrations WHERE app = 'mastra_engine'")
    code, _, err = project.run("engine_migrate", DATABASE_URL=read_only)
    assert (code, "read-only" in err, "Traceback" in err) == (1, True, False)


def test_says_what_the_role_may_not_do(project: Project, database: str) -> None:
    role = f"limited_{uuid.uuid4().hex}"
    run_sql(database, f"CREATE ROLE {role} LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    code, _, err = project.run("engine_migrate", DATABASE_URL=f"{database} user={role}")
    assert (code, "permission denied" in err, "Traceback" in err) == (1, True, False)


def test_waits_for_its_turn(project: Project, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        process = project.start("engine_migrate", DATABASE_URL=database, PYTHONUNBUFFERED="1")
        assert process.stdout is not None
        process.stdout.readline()
        assert "Another engine_migrate" in process.stdout.readline()
        assert migrations(database) == 0
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert migrations(database) > 10


def test_impatient_roles_may_wait_too(project: Project, database: str) -> None:
    """The role's statement_timeout is for requests, not for a queue of migrations."""
    impatient = f"{database} options='-c statement_timeout=300 -c lock_timeout=300'"
    with psycopg.connect(database, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        process = project.start("engine_migrate", DATABASE_URL=impatient)
        time.sleep(2)
        assert process.poll() is None
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_neither_the_lock_nor_who_waits_for_it_holds_up_an_index(database: str) -> None:
    """CREATE INDEX CONCURRENTLY waits for transactions with a snapshot."""
    event = Event()

    def wait() -> None:
        with migration_lock(database, on_wait=event.set):
            pass

    with ThreadPoolExecutor() as threads, migration_lock(database, on_wait=pytest.fail):
        waiting = threads.submit(wait)
        assert event.wait(timeout=60)
        run_sql(database, "CREATE TABLE one (two int)")
        bounded = f"{database} options='-c statement_timeout=60s'"
        run_sql(bounded, "CREATE INDEX CONCURRENTLY ON one (two)")
        assert waiting.running()


def test_waits_for_the_server(project: Project) -> None:
    project.call("engine_add", "--embedded", "--no-start")
    process = project.start("engine_migrate")
    time.sleep(1)
    project.call("engine_up")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_absent_server_is_an_error(project: Project) -> None:
    code, _, err = project.run(
        "engine_migrate", "--timeout=0.5", DATABASE_URL="host=/nowhere dbname=none"
    )
    assert code == 1
    assert err.startswith("CommandError: The database does not answer")


def test_settings_without_a_database_are_an_error(project: Project) -> None:
    code, _, err = project.run("engine_migrate")
    assert (code, "Is DB_URL set, and used in DATABASES?" in err) == (1, True)


def test_refuses_a_database_without_unicode(
    project: Project, make_database: Callable[..., str]
) -> None:
    url = make_database(options=ASCII)
    code, _, err = project.run("engine_migrate", DATABASE_URL=url)
    assert (code, "encoded in SQL_ASCII" in err) == (1, True)
    assert migrations(url) == 0


@pytest.mark.long
@pytest.mark.parametrize("seconds", [step / 50 for step in range(10, 50)])
def test_killed_at_any_moment_can_be_repeated(
    project: Project, database: str, seconds: float
) -> None:
    process = project.start("engine_migrate", DATABASE_URL=database)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    project.must("engine_migrate", DATABASE_URL=database)
    project.must("engine_status", DATABASE_URL=database)


def test_bad_db_url_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", "mysql://host/name")
    with pytest.raises(CommandError, match="The database URL cannot be parsed"):
        call_command("engine_migrate", stdout=StringIO())
