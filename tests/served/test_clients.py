"""The code on the pages about clients works against a server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import psycopg
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from psycopg.sql import SQL, Identifier

from example_project.management.commands.serve import create_users
from mastra_engine import engine
from mastra_engine.devstack.codegen import NPM_PACKAGES
from tests.docs.pages import CLIENTS, steps
from tests.served.servers import Server, served
from tests.server import server_url
from tests.waiting import wait_until

ADDRESS = "http://127.0.0.1:8000"
END = "--- end of a block ---"


class Language(NamedTuple):
    """How to write text between the blocks of a page, and how to run all of it."""

    say: str
    ask: str
    run: Callable[[Path, str], str]


def completed(directory: Path, *command: str) -> str:
    """Return the output of a command; it must succeed."""
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def in_bash(directory: Path, script: str) -> str:
    return completed(directory, "bash", "-euo", "pipefail", "-c", script)


def in_python(directory: Path, script: str) -> str:
    return completed(directory, sys.executable, "-c", script)


def in_node(directory: Path, script: str) -> str:
    """Compile strictly against the types of this API, and run the result."""
    (directory / "page.ts").write_text(script)
    (directory / "package.json").write_text('{"type": "module"}')
    call_command("engine_generate", "--lang=ts", f"--out={directory / 'engine.ts'}")
    compiler = next(package for package in NPM_PACKAGES if package.startswith("typescript@"))
    quietly = ["--prefer-offline", "--no-audit", "--no-fund", "--silent"]
    completed(directory, "npm", "install", *quietly, OPENAPI_FETCH, compiler)
    options = ["--strict", "--target", "es2022", "--module", "esnext", "--lib", LIBRARIES]
    resolution = ["--moduleResolution", "bundler"]
    completed(directory, "node_modules/.bin/tsc", *options, *resolution, "page.ts")
    return completed(directory, "node", "page.js")


OPENAPI_FETCH = "openapi-fetch@0.17.0"
LIBRARIES = "es2022,dom,dom.iterable,dom.asynciterable"

LANGUAGES = {
    "bash": Language("echo '{}'", "curl --silent {}", in_bash),
    "python": Language("print('{}')", "httpx.get('{}')", in_python),
    "ts": Language("console.log('{}');", "await fetch('{}');", in_node),
}
NEEDED = {"bash": ("curl", "jq"), "python": (), "ts": ("node", "npm")}


def allow_connections(allowed: bool) -> None:
    """Have PostgreSQL refuse those who connect to the database of the tests, or not."""
    name = Identifier(connection.settings_dict["NAME"])
    with psycopg.connect(server_url(), autocommit=True) as other:
        other.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, SQL(str(allowed))))


@contextmanager
def interruptions(server: Server) -> Iterator[tuple[str, list[int]]]:
    """Yield a URL that takes the database away until the server has said 503, and how often."""
    happened: list[int] = []

    def refusals() -> int:
        return server.said().count('" 503')

    class Interruption(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            before = refusals()
            allow_connections(False)
            try:
                self.send_response(204)
                self.end_headers()
                wait_until(lambda: refusals() > before)
                happened.append(503)
            finally:
                allow_connections(True)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Interruption) as control:
        Thread(target=control.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{control.server_port}/", happened
        finally:
            control.shutdown()


@pytest.mark.parametrize("language", CLIENTS)
def test_a_page_does_what_it_shows(language: str, transactional_db: None, tmp_path: Path) -> None:
    """Where a block has to do with 503, the database is away when it begins."""
    for program in NEEDED[language]:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    create_users()
    say, ask, run = LANGUAGES[language]
    with served("uvicorn", tmp_path) as server, interruptions(server) as (away, happened):
        script, expected = [], []
        for block, step in steps(CLIENTS[language], language):
            if "503" in block.text:
                script.append(ask.format(away))
            script += [block.text.replace(ADDRESS, server.address), say.format(END)]
            expected.append(step)
        printed = run(tmp_path, "\n".join(script)).split(f"{END}\n")
    assert printed == [*expected, ""]
    assert happened == [503]
    user = User.objects.get(username="demo")
    (entity,) = engine.list_entities(connection_id=str(user.pk))
    assert entity.name == "Contacts"
    engine.vectors.delete_index(index_name="articles")
