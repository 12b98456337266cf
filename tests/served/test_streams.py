"""JSON Lines under a real ASGI server and a real WSGI server, up and down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token

from mastra_engine import engine
from tests.served.servers import COMMANDS, Server, served
from tests.waiting import wait_until

every_server = pytest.mark.parametrize("name", COMMANDS)

LINES = "application/x-ndjson"
SYNC = "/api/v1/sync/?name=Numbers&mode=full"


class Client:
    """A user of the API, on one connection."""

    def __init__(self, server: Server) -> None:
        user = User.objects.get_or_create(username="ann")[0]
        self.id = str(user.pk)
        self.token = Token.objects.get_or_create(user=user)[0].key
        self.http = HTTPConnection(server.address.removeprefix("http://"), timeout=120)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HTTPResponse:
        self.send(method, path, body, **headers)
        return self.http.getresponse()

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> None:
        is_named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.http.request(method, path, body, {"Authorization": f"Token {self.token}", **is_named})

    def upload(self, number: int, *, size: int) -> Any:
        """Send so many records of so many bytes, in a file."""
        with TemporaryFile() as file:
            for id in range(number):
                data = {"external_id": f"{id:06}", "data": {"text": "x" * size}}
                file.write(json.dumps(data).encode() + b"\n")
            length = str(file.tell())
            file.seek(0)
            answer = self.ask("POST", SYNC, file, Content_Type=LINES, Content_Length=length)
            return json.loads(answer.read())

    def export(self) -> HTTPResponse:
        (entity,) = engine.list_entities(connection_id=self.id)
        return self.ask("GET", f"/api/v1/entities/{entity.id}/export/")


@pytest.fixture
def server(name: str, transactional_db: None, tmp_path: Path) -> Iterator[Server]:
    with served(name, tmp_path) as server:
        yield server
        assert "Traceback" not in server.said()


@every_server
def test_an_export_is_read_as_it_is_sent_and_ends_with_its_reader(server: Server) -> None:
    with Client(server) as ann:
        ann.upload(5_000, size=5_000)  # more than sockets hold, and more than two pages
        export = ann.export()
        assert json.loads(export.readline())["external_id"] == "000000"
        # Under ASGI a slow reader holds no connection between two pages; a WSGI thread keeps one.
        bound = 0 if server.name == "uvicorn" else 1
        wait_until(lambda: server.connections() == bound)
    wait_until(lambda: server.connections() == 0)
    with Client(server) as ann:
        export = ann.export()
        export.readline()
        (entity,) = engine.list_entities(connection_id=ann.id)
        assert engine.delete_records(entity_id=entity.id, external_ids=["004999"]) == 1
        *_, last = export
    assert json.loads(last)["external_id"] == "004998"


@every_server
def test_an_upload_that_breaks_off_writes_nothing(server: Server) -> None:
    lines = b'{"external_id": "1", "data": {}}\n' * 100_000
    with Client(server) as ann:
        ann.send("POST", SYNC, lines, Content_Type=LINES, Content_Length=str(len(lines) + 1))
    with Client(server) as ann:
        assert ann.ask("GET", "/api/v1/entities/").read() == b'{"items":[],"next_cursor":null}'
    wait_until(lambda: server.connections() == 0)
    assert not engine.list_entities(connection_id=ann.id)


@every_server
def test_an_upload_in_chunks_is_refused(server: Server) -> None:
    chunks = iter([b'{"external_id": "1", "data": {}}\n'])
    with Client(server) as ann:
        assert ann.ask("POST", SYNC, chunks, Content_Type=LINES).status == 411


@pytest.mark.long
@every_server
def test_the_memory_of_a_server_stays_flat(
    name: str, transactional_db: None, tmp_path: Path
) -> None:
    few, many = (peak(name, tmp_path, number) for number in (20_000, 100_000))
    assert many < 1.1 * few


def peak(name: str, directory: Path, number: int) -> int:
    """Return how many kB a server's largest process ever had, after so many records both ways."""
    with served(name, directory) as server:
        with Client(server) as ann:
            synced = ann.upload(number, size=500)
            assert synced["created"] + synced["unchanged"] == number
            assert sum(1 for _ in ann.export()) == number
        main = psutil.Process(server.process.pid)
        return max(high_water(item.pid) for item in (main, *main.children()))


def high_water(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
