"""A tool sends as many statements as the operation of the REST API that does the same.

The operation that queries records takes the entity by its id, and reads it first.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mastra_engine.mcp.tools import TOOLS
from tests.mcp.data import Owner, calls

JSON = "application/json"
OTHERS = {"query_records"}


def operation(tool: str, owner: Owner) -> tuple[str, str, dict[str, Any]]:
    """Return the method, the path and the arguments of the operation."""
    thread = f"threads/{owner.thread_id}"
    method, path, *in_path = {
        "recall": ("post", "recall/"),
        "save_messages": ("post", f"{thread}/messages/", "thread_id"),
        "get_context_window": ("get", f"{thread}/context/", "thread_id"),
        "get_working_memory": ("get", f"resources/{owner.id}/working-memory/", "resource_id"),
        "update_working_memory": ("patch", f"resources/{owner.id}/working-memory/", "resource_id"),
        "list_threads": ("get", "threads/"),
        "list_entities": ("get", "entities/"),
        "search_records": ("post", "search/"),
        "get_changes": ("get", f"entities/{owner.entity_id}/changes/", "entity_id"),
        "remember_fact": ("post", "facts/"),
        "search_facts": ("post", "facts/search/"),
        "search_vectors": ("post", "indexes/docs/query/", "index_name"),
    }[tool]
    arguments = calls(owner)[tool]
    return method, path, {name: arguments[name] for name in arguments.keys() - {*in_path}}


def statements(client: Client, method: str, path: str, body: Any) -> int:
    options = {} if method == "get" else {"content_type": JSON}
    with CaptureQueriesContext(connection) as captured:
        response = getattr(client, method)(path, body, **options)
    assert response.status_code in (200, 201), response.content
    return len(captured)


@pytest.mark.parametrize("tool", sorted(TOOLS.keys() - OTHERS))
def test_tools_cost_no_more_than_operations(tool: str, ann: Owner) -> None:
    client = Client()
    client.force_login(ann.user)
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": calls(ann)[tool]},
    }
    method, path, arguments = operation(tool, ann)

    def by_tool() -> int:
        return statements(client, "post", "/mcp/", message)

    def by_operation() -> int:
        return statements(client, method, f"/api/v1/{path}", arguments)

    by_tool()  # the first call indexes what was stored
    assert by_tool() == by_operation()
