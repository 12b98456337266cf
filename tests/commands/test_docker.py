"""The container of a project, against a `docker` that only records its arguments."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from psycopg.conninfo import conninfo_to_dict
from ruamel.yaml import YAML

from mastra_engine.devstack import docker as docker_module
from mastra_engine.devstack.docker import COMPOSE_FILE, compose_name
from tests.commands.conftest import ROOT, Project, run_sql
from tests.commands.fake_docker import FakeDocker, free_port, published


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    fake = FakeDocker(tmp_path)
    fake.install()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return fake


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], range]]:
    """Take the first of a few ports, and let engine_add choose among these alone."""
    with ExitStack() as response:

        def take(count: int) -> range:
            first = free_port()
            for port in range(first, first + count):
                response.enter_context(socket.create_server(("127.0.0.1", port)))
            monkeypatch.setattr(docker_module, "PORTS", range(first, first + 3))
            return docker_module.PORTS

        yield take


def add(project: Project, *arguments: str) -> str:
    return project.call("engine_add", "--no-start", *arguments)


def compose(project: Project) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(project.path / COMPOSE_FILE))


def test_env_holds_all_secrets_and_is_private(project: Project) -> None:
    add(project)
    url = conninfo_to_dict(project.env["DB_URL"] or "")
    assert url == {
        "user": "postgres",
        "password": project.env["POSTGRES_PASSWORD"],
        "host": "127.0.0.1",
        "port": project.env["POSTGRES_PORT"],
        "dbname": "mastra",
    }
    password = str(url["password"])
    assert len(password) >= 32
    assert password not in (project.path / COMPOSE_FILE).read_text()
    assert (project.path / ".env").stat().st_mode & 0o777 == 0o600


def test_password_of_env_is_used(project: Project) -> None:
    (project.path / ".env").write_text("POSTGRES_PASSWORD=p@ss:w/rd")
    add(project)
    assert conninfo_to_dict(project.env["DB_URL"] or "")["password"] == "p@ss:w/rd"


def test_repeating_changes_nothing(project: Project) -> None:
    add(project)
    before = {path: path.read_bytes() for path in project.path.iterdir() if path.is_file()}
    out = add(project)
    assert ".env is up to date" in out
    assert f"{COMPOSE_FILE} exists already and is kept" in out
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("file", [COMPOSE_FILE, "docker-compose.yml"])
def test_compose_file_follows_the_specification(project: Project, file: str) -> None:
    add(project)
    path = (ROOT if file == "docker-compose.yml" else project.path) / file
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*check, path], check=True)


def test_container_is_reachable_from_this_machine_only(project: Project) -> None:
    add(project)
    service = compose(project)["services"]["db"]
    assert service["image"] == "pgvector/pgvector:pg18"
    assert [port.rpartition(":${")[0] for port in service["ports"]] == ["127.0.0.1"]
    assert service["volumes"] == ["pgdata:/var/lib/postgresql"]


def test_first_free_port_is_taken(project: Project, ports: Callable[[int], range]) -> None:
    candidates = ports(2)
    add(project)
    assert project.env["POSTGRES_PORT"] == str(candidates[2])


def test_says_when_no_port_is_free(project: Project, ports: Callable[[int], range]) -> None:
    ports(3)
    with pytest.raises(CommandError, match=r"No port from \d+ to \d+ is free"):
        add(project)


def test_port_can_be_named_and_changed(project: Project) -> None:
    add(project)
    password = project.env["POSTGRES_PASSWORD"]
    add(project, f"--port={(expected := free_port())}")
    assert conninfo_to_dict(project.env["DB_URL"] or "")["port"] == str(expected)
    assert project.env["POSTGRES_PASSWORD"] == password


@pytest.mark.parametrize("port", ["0", "99999", "taken"])
def test_named_port_must_be_usable(
    project: Project, ports: Callable[[int], range], port: str
) -> None:
    port = str(ports(1)[0]) if port == "taken" else port
    with pytest.raises(CommandError, match=f"Port {port} is taken"):
        add(project, f"--port={port}")


def test_docker_must_run(project: Project, docker: FakeDocker) -> None:
    docker.fail_at("info")
    with pytest.raises(CommandError, match=r"Start it, or use `engine_add --embedded`(?s:.)*space"):
        add(project)
    assert not (project.path / ".env").exists()


def test_docker_must_be_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(project.path))
    with pytest.raises(CommandError, match="`docker` command is not installed"):
        add(project)


@pytest.mark.parametrize(("command", "words"), [("engine_up", "--detach"), ("engine_down", "down")])
def test_failures_of_docker_are_shown(
    project: Project, docker: FakeDocker, command: str, words: str
) -> None:
    add(project)
    docker.fail_at(words)
    with pytest.raises(CommandError, match="no space left on device"):
        project.call(command)


def test_shell_does_not_override_env(
    project: Project, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(project)
    monkeypatch.setenv("POSTGRES_PASSWORD", "of another project")
    project.call("engine_down")
    assert docker.variables == [project.env["POSTGRES_PORT"], project.env["POSTGRES_PASSWORD"]]


def test_foreign_url_is_kept(project: Project) -> None:
    (project.path / ".env").write_text("DB_URL=postgresql://db.example.com/production\n")
    with pytest.raises(CommandError, match="engine_add did not set up"):
        add(project)
    assert project.env == {"DB_URL": "postgresql://db.example.com/production"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://db.example.com/production", "engine_add did not set up"),
        ("mysql://host/name", "does not begin with postgres://"),
    ],
)
def test_url_edited_later_is_kept(project: Project, url: str, reason: str) -> None:
    add(project)
    edited = {**project.env, "DB_URL": url}
    (project.path / ".env").write_text("".join(f"{k}='{v}'\n" for k, v in edited.items()))
    for command in "engine_add", "engine_up":
        with pytest.raises(CommandError, match=reason):
            project.call(command)
    assert project.env == edited


def test_unknown_choice_is_an_error(project: Project) -> None:
    (project.path / ".env").write_text("MASTRA_ENGINE_SERVER=podman\n")
    with pytest.raises(CommandError, match="must be docker or embedded, got 'podman'"):
        project.call("engine_up")


def test_nothing_to_start_before_engine_add(project: Project) -> None:
    with pytest.raises(CommandError, match="Run engine_add first"):
        project.call("engine_up")


def test_says_when_git_would_take_env(project: Project) -> None:
    (project.path / ".gitignore").write_text("*.pyc\n")
    assert "Add .env to .gitignore" in add(project)
    assert (project.path / ".gitignore").read_text() == "*.pyc\n"
    (project.path / ".gitignore").unlink()
    assert "Add .env to .gitignore" in add(project)
    (project.path / ".gitignore").write_text(".env\n")
    assert ".gitignore" not in add(project)


def test_up_waits_until_the_container_answers(
    project: Project, docker: FakeDocker, server: str, make_database: Callable[..., str]
) -> None:
    make_database("mastra")
    port = free_port()
    add(project, f"--port={port}")
    container = published(f"{conninfo_to_dict(server)['host']}/.s.PGSQL.5432", port=port)
    with ExitStack() as running:
        late = threading.Timer(1, running.enter_context, [container])
        late.start()
        out = project.must("engine_up")
        late.join()
        assert run_sql(project.env["DB_URL"] or "", "SELECT 1") == [(1,)]

    assert f"host=127.0.0.1 port={port} user=postgres dbname=mastra" in out
    assert (project.env["POSTGRES_PASSWORD"] or "") not in out
    file = project.path / COMPOSE_FILE
    assert docker.calls == ["info", f"compose -f {file} up --detach"]


def test_refusing_server_is_not_waited_for(project: Project, server: str) -> None:
    port = free_port()
    add(project, f"--port={port}")
    # If the command waited for an answer until its timeout, the test would not end.
    with published(f"{conninfo_to_dict(server)['host']}/.s.PGSQL.5432", port=port):
        code, _, err = project.run("engine_up", "--timeout=100000")
    assert (code, 'database "mastra" does not exist' in err) == (1, True)


def test_waiting_ends(project: Project) -> None:
    add(project, f"--port={free_port()}")
    with pytest.raises(CommandError, match=r"does not answer(?s:.)*refused"):
        project.call("engine_up", "--timeout=0.5")


def test_running_database_is_not_abandoned(
    project: Project, server: str, make_database: Callable[..., str]
) -> None:
    make_database("mastra")
    port = free_port()
    add(project, f"--port={port}")
    with (
        published(f"{conninfo_to_dict(server)['host']}/.s.PGSQL.5432", port=port),
        pytest.raises(CommandError, match="Stop it with engine_down"),
    ):
        add(project, "--embedded")
    password = project.env["POSTGRES_PASSWORD"]
    add(project, "--embedded")
    assert project.env["MASTRA_ENGINE_SERVER"] == "embedded"
    add(project, "--docker")
    assert project.env["POSTGRES_PASSWORD"] == password
    assert "127.0.0.1" in (project.env["DB_URL"] or "")


@pytest.mark.parametrize("name", ["Über Backend!", "___", "backend", "-a-"])
def test_compose_accepts_the_name_of_any_directory(name: str) -> None:
    here, local = compose_name(Path("/here") / name), compose_name(Path("/there") / name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]*", here)
    assert here != local
