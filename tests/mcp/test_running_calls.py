"""Clients are told of the progress of calls that take long, and can cancel them.

A call takes long here because another transaction holds the lock of its thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO

import anyio
import psycopg
import pytest
from django.db import connection
from mcp import Client

from mastra_engine import engine
from mastra_engine.mcp import running_calls
from mastra_engine.mcp.stdio import serve
from tests.mcp.conftest import LATEST, MODERN, Host, envelope
from tests.mcp.data import Owner, calls
from tests.mcp.test_clients import MODES, SETTINGS, over_http
from tests.served.servers import COMMANDS, served
from tests.server import database_url
from tests.waiting import wait_until

BOTH = "application/json, text/event-stream"
committing = pytest.mark.django_db(transaction=True)


def message(owner: Owner, tool: str = "save_messages", **changes: Any) -> dict[str, Any]:
    """Return a call of a tool whose client asks for progress."""
    params = {"name": tool, "arguments": calls(owner).get(tool, {})}
    params["_meta"] = {"progressToken": "abc", **changes.pop("meta", {})}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params, **changes}


def events(body: bytes) -> list[Any]:
    """Return the messages of a stream of events."""
    lines = body.decode().split("\r\n")
    assert set(lines[0::3]) - {""} == {"event: message"}
    return [json.loads(line.removeprefix("data: ")) for line in lines[1::3]]


@contextmanager
def busy(owner: Owner) -> Iterator[psycopg.Connection[Any]]:
    """Let those wait who write to the owner's thread."""
    with psycopg.connect(database_url()) as other:
        other.execute(
            "SELECT FROM mastra_engine_thread WHERE id = %s FOR UPDATE", [owner.thread_id]
        )
        yield other


def waiting() -> int:
    """Return how many statements wait for a lock."""
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def number_of_messages(owner: Owner) -> int:
    return len(engine.memory.list_messages(thread_id=owner.thread_id))


@committing
@pytest.mark.parametrize("tool", ["save_messages", "recall"])
@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_a_call_with_a_progress_token_is_a_stream(
    host: Host, ann: Owner, tool: str, version: str
) -> None:
    headers = {"Accept": BOTH, "MCP-Protocol-Version": version}
    meta = {}
    if version == MODERN:
        meta = envelope()
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
    response = host.post(message(ann, tool, meta=meta), **headers)
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    assert response["Cache-Control"] == "no-cache, no-transform"
    (answer,) = events(response.getvalue())
    assert answer["id"] == 7
    assert not answer["result"].get("isError")
    assert number_of_messages(ann) == (3 if tool == "save_messages" else 2)


@pytest.mark.parametrize(
    ("changes", "accept"),
    [
        ({}, "application/json"),
        ({"meta": {"progressToken": True}}, BOTH),
        ({"meta": {"progressToken": 1.5}}, BOTH),
        ({"method": "tools/list", "params": {"_meta": {"progressToken": 1}}}, BOTH),
        ({"params": {"name": "drop_tables", "_meta": {"progressToken": 1}}}, BOTH),
        ({"params": {"name": 7, "_meta": {"progressToken": 1}}}, BOTH),
    ],
)
def test_other_answers_are_one_message(
    host: Host, ann: Owner, changes: dict[str, Any], accept: str
) -> None:
    response = host.post(message(ann, **changes), Accept=accept)
    assert response["Content-Type"] == "application/json"
    assert response.json()["id"] == 7


@committing
def test_progress_is_told_until_the_call_has_ended(
    host: Host, ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_calls, "INTERVAL", 0.05)
    with busy(ann) as other:
        stream = host.post(message(ann), Accept=BOTH).streaming_content
        body = b"".join(next(stream) for _ in range(3))
        other.rollback()
        body += b"".join(stream)
    *notifications, answer = events(body)
    assert {each["method"] for each in notifications} == {"notifications/progress"}
    assert {each["params"]["progressToken"] for each in notifications} == {"abc"}
    progress = [each["params"]["progress"] for each in notifications]
    assert progress == sorted({*progress})
    assert not answer["result"].get("isError")
    assert number_of_messages(ann) == 3


@committing
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("server", COMMANDS)
def test_the_official_client_is_told_of_progress(
    server: str, mode: str, ann: Owner, tmp_path: Path
) -> None:
    reported: list[float] = []

    async def session(address: str) -> None:
        with busy(ann) as other:

            async def report(progress: float, total: float | None, text: str | None) -> None:
                reported.append(progress)
                if len(reported) == 2:
                    other.rollback()

            async with over_http(address, ann, mode) as client:
                await save(client, ann, report)

    with served(server, tmp_path, SETTINGS) as running:
        anyio.run(session, running.address)
        assert "Traceback" not in running.said()
    assert reported[:2] == [1, 2]
    assert number_of_messages(ann) == 3


async def save(client: Client, owner: Owner, report: Any) -> None:
    arguments = calls(owner)["save_messages"]
    result = await client.call_tool("save_messages", arguments, progress_callback=report)
    assert not result.is_error


@committing
@pytest.mark.parametrize("server", COMMANDS)
def test_a_closed_connection_cancels_the_call(server: str, ann: Owner, tmp_path: Path) -> None:
    with served(server, tmp_path, SETTINGS) as running, busy(ann):
        http = HTTPConnection(running.address.removeprefix("http://"))
        headers = {"Authorization": f"Token {ann.token}", "Content-Type": "application/json"}
        http.request("POST", "/mcp/", json.dumps(message(ann)), {**headers, "Accept": BOTH})
        response = http.getresponse()
        wait_until(lambda: waiting() == 1)
        response.close()
        http.close()
        wait_until(lambda: waiting() == 0)
        wait_until(lambda: running.connections() == 0)
        assert "Traceback" not in running.said()
    assert number_of_messages(ann) == 2


@committing
def test_a_call_over_the_standard_streams_is_cancelled(
    ann: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_calls, "INTERVAL", 0.05)

    with pipe() as (source, into), pipe() as (out, target), busy(ann):
        server = Thread(target=lambda: serve(lambda: ann.user, source, target))
        server.start()
        send(into, cancel("nothing"), message(ann), message(ann, id=8))
        told = json.loads(out.readline())
        assert told["params"] == {"progressToken": "abc", "progress": 0.05}
        wait_until(lambda: waiting() == 1)
        send(into, {"jsonrpc": "2.0", "id": 9, "method": "ping"}, cancel(8), cancel(7))
        while "method" in (answer := json.loads(out.readline())):
            pass  # progress until the call is cancelled
        assert answer == {"jsonrpc": "2.0", "id": 9, "result": {}}
        assert waiting() == 0
        into.close()
        server.join()
    assert number_of_messages(ann) == 2


@contextmanager
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Yield the end of a pipe to read from, and the one to write to."""
    reading, writing = os.pipe()
    with open(reading, "rb", 0) as source, open(writing, "wb", 0) as target:
        yield source, target


def send(target: BinaryIO, *messages: dict[str, Any]) -> None:
    target.write(b"".join(json.dumps(each).encode() + b"\n" for each in messages))


def cancel(id: Any) -> dict[str, Any]:
    method = "notifications/cancelled"
    return {"jsonrpc": "2.0", "method": method, "params": {"requestId": id}}
