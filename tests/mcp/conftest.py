"""Two users with data, and clients of the view."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.utils.module_loading import import_string

from mastra_engine import engine
from mastra_engine.mcp.views import McpView
from mastra_engine.registry import registry
from tests.mcp import settings as mcp
from tests.mcp.data import Owner, furnish
from tests.mcp.syncs import index_contacts, name_of

LATEST = "2025-11-25"
MODERN = "2026-07-28"


@dataclass(frozen=True)
class Host:
    """A client of the MCP server for one user, or for none."""

    token: str | None = None

    def post(self, body: Any, **headers: str) -> Any:
        """Send a body, which is JSON unless it is bytes."""
        if self.token:
            headers.setdefault("Authorization", f"Token {self.token}")
        raw = body if isinstance(body, bytes) else json.dumps(body)
        client = Client(raise_request_exception=False)
        return client.post("/mcp/", raw, content_type="application/json", headers=headers)

    def send(self, method: str, params: Any = None, *, version: str = LATEST) -> Any:
        """Send a request, and return the parsed body."""
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
        headers = {"MCP-Protocol-Version": version}
        if version == MODERN:
            message["params"] = {**message["params"], "_meta": envelope()}
            headers["Mcp-Method"] = method
            if name := message["params"].get("name") or message["params"].get("uri"):
                headers["Mcp-Name"] = name
        return self.post(message, **headers).json()

    def call(self, tool: str, arguments: Any = None, **options: Any) -> Any:
        """Call a tool, and return its result."""
        return self.send("tools/call", {"name": tool, "arguments": arguments or {}}, **options)[
            "result"
        ]


def envelope() -> dict[str, Any]:
    """Return what a request of the revision without a handshake says of its client."""
    prefix = "io.modelcontextprotocol"
    return {
        f"{prefix}/protocolVersion": MODERN,
        f"{prefix}/clientCapabilities": {},
        f"{prefix}/clientInfo": {"name": "tests", "version": "1"},
    }


@pytest.fixture(autouse=True)
def site(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Configure what the live servers have in their settings."""
    settings.ROOT_URLCONF = mcp.ROOT_URLCONF
    settings.MASTRA_ENGINE = mcp.MASTRA_ENGINE
    classes = mcp.REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"]
    monkeypatch.setattr(McpView, "authentication_classes", [*map(import_string, classes)])
    with registry.empty():
        index_contacts(name_of)
        yield


@pytest.fixture
def ann(db: None) -> Owner:
    return furnish(engine, "ann")


@pytest.fixture
def bob(db: None) -> Owner:
    return furnish(engine, "bob")


@pytest.fixture
def host(ann: Owner) -> Host:
    return Host(ann.token)
