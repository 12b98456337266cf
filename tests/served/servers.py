"""Projects under real servers, on the database of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection
from psycopg.conninfo import make_conninfo

from tests.server import database_url
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]

#: How each server is started on a socket that listens already.
COMMANDS = {
    "gunicorn": "gunicorn django.core.wsgi:get_wsgi_application() --bind=fd://{} --threads=4 "
    "--access-logfile=- --keep-alive=60",  # or a client may reuse a connection as it is closed
    "uvicorn": "uvicorn django.core.asgi:get_asgi_application --factory --fd={} --lifespan=off",
}


@dataclass(frozen=True)
class Server:
    """A server that runs, and its output so far."""

    name: str
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def connections(self) -> int:
        """Return how many connections to the database it has."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
        with connection.cursor() as cursor:
            cursor.execute(sql, [self.name])
            (number,) = cursor.fetchone()
        return int(number)


@contextmanager
def served(name: str, directory: Path, settings: str = "tests.served.settings") -> Iterator[Server]:
    """Serve a project; requests that come too early wait in the socket's queue."""
    environment = {
        **os.environ,
        "DB_URL": make_conninfo(database_url(), application_name=name),
        "DJANGO_SETTINGS_MODULE": settings,
    }
    log = directory / f"{name}.log"
    with log.open("wb") as out, socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        number = listener.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[name].format(number).split()],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=[number],
        )
    server = Server(name, address, process, log)
    try:
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)
        wait_until(lambda: server.connections() == 0)
