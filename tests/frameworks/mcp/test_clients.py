"""Both clients of the TypeScript SDK run a scripted session against real servers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest

from mastra_engine.mcp.tools import TOOLS
from tests.frameworks.mcp.conftest import MODULES, output_of
from tests.mcp.data import Owner, calls
from tests.served.servers import COMMANDS, served

SCRIPT = Path(__file__).with_name("session.mjs")
#: The revision that each client negotiates.
CLIENTS = {
    "@modelcontextprotocol/sdk": "2025-11-25",
    "@modelcontextprotocol/client": "2026-07-28",
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("package", CLIENTS)
@pytest.mark.parametrize("server", COMMANDS)
def test_a_session_with_every_tool(
    package: str, server: str, ann: Owner, bob: Owner, tmp_path: Path
) -> None:
    # Packages are found from where the script is.
    script = shutil.copy(SCRIPT, MODULES.parent)
    thread = f"mastra-engine://threads/{ann.thread_id}"
    record = f"mastra-engine://entities/{ann.entity_id}/records/{quote('c/1', safe='')}"
    with served(server, tmp_path, "tests.frameworks.mcp.settings") as running:
        body = {
            "address": f"{running.address}/mcp/",
            "token": ann.token,
            "calls": calls(ann),
            "foreign": calls(bob),
            "uris": [thread, record],
        }
        results = json.loads(output_of("node", script, package, json.dumps(body)))
        assert "Traceback" not in running.said()
    assert results["version"] == CLIENTS[package]
    assert results["server"]["name"] == "mastra_engine"
    assert [tool["name"] for tool in results["tools"]] == list(TOOLS)
    assert [*results["called"]] == list(TOOLS)
    for name, result in results["called"].items():
        assert not result.get("isError"), (name, result)
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert bob.secret not in json.dumps(results["refused"])
    assert "Unknown tool: nothing" in results["unknown"]
    assert [resource["uri"] for resource in results["resources"]] == [thread]
    assert [one["name"] for one in results["resourceTemplates"]] == ["thread", "record"]
    for contents in results["read"]:
        assert ann.secret in contents["contents"][0]["text"]
