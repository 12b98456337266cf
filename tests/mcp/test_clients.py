"""The client of the official SDK runs a scripted session against real servers."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from jsonschema import Draft202012Validator
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from mastra_engine import engine
from mastra_engine.mcp.tools import TOOLS
from tests.mcp.data import Owner, calls
from tests.served.servers import COMMANDS, ROOT, served
from tests.server import database_url

SETTINGS = "tests.mcp.settings"
#: The revision that the client negotiates in each of its modes.
MODES = {"auto": "2026-07-28", "legacy": "2025-11-25"}

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def over_http(address: str, owner: Owner, mode: Any) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Token {owner.token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(f"{address}/mcp/", http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


async def use_everything(client: Client, owner: Owner, other: Owner) -> None:
    """Call each tool and read each resource, of the owner and of another user."""
    listed = (await client.list_tools()).tools
    assert [tool.name for tool in listed] == list(TOOLS)
    for tool in listed:
        arguments = calls(owner)[tool.name]
        Draft202012Validator(tool.input_schema).validate(arguments)
        result = await client.call_tool(tool.name, arguments)  # checks it by the output schema
        assert not result.is_error, result.content
        assert result.structured_content
        foreign = await client.call_tool(tool.name, calls(other)[tool.name])
        assert other.secret not in foreign.model_dump_json()
    refused = await client.call_tool("recall", {"query": 7})
    assert refused.is_error
    with pytest.raises(MCPError, match="Unknown tool"):
        await client.call_tool("drop_tables", {})
    (thread,) = (await client.list_resources()).resources
    contents = (await client.read_resource(str(thread.uri))).contents
    assert owner.secret in contents[0].model_dump_json()
    templates = (await client.list_resource_templates()).resource_templates
    assert [template.name for template in templates] == ["thread", "record"]
    with pytest.raises(MCPError, match="not found"):
        await client.read_resource(f"mastra-engine://threads/{other.thread_id}")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("server", COMMANDS)
def test_a_session_over_http(
    server: str, mode: str, ann: Owner, bob: Owner, tmp_path: Path
) -> None:
    async def session(address: str) -> None:
        async with over_http(address, ann, mode) as client:
            assert client.protocol_version == MODES[mode]
            await use_everything(client, ann, bob)

    with served(server, tmp_path, SETTINGS) as running:
        anyio.run(session, running.address)
        assert "Traceback" not in running.said()


@pytest.mark.parametrize("server", COMMANDS)
def test_a_body_that_breaks_off_writes_nothing(server: str, ann: Owner, tmp_path: Path) -> None:
    params = {"name": "save_messages", "arguments": calls(ann)["save_messages"]}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    head = [
        "POST /mcp/ HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Token {ann.token}",
        "Content-Type: application/json",
        f"Content-Length: {len(body) + 1}",
    ]

    async def is_alive(address: str) -> None:
        async with over_http(address, ann, "legacy") as client:
            assert (await client.list_tools()).tools

    with served(server, tmp_path, SETTINGS) as running:
        host, port = running.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall("\r\n".join([*head, "", body]).encode())
        anyio.run(is_alive, running.address)
        assert "Traceback" not in running.said()
    assert len(engine.memory.list_messages(thread_id=ann.thread_id)) == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_session_over_the_standard_streams(mode: Any, ann: Owner, bob: Owner) -> None:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "django", "engine_mcp", "--user", ann.user.username],
        env={"DB_URL": database_url(), "DJANGO_SETTINGS_MODULE": SETTINGS},
        cwd=ROOT,
    )

    async def session() -> None:
        async with Client(parameters, mode=mode) as client:
            assert client.protocol_version == MODES[mode]
            await use_everything(client, ann, bob)

    anyio.run(session)
