"""Calls of agent state with each argument that takes text, for text_arguments.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mastra_engine.testing.contract.text_arguments import Wrapped


def use_state(calls: Wrapped) -> None:
    """Call each method of agent state."""
    place: dict[str, Any] = {"namespace": ("ann", "prefs"), "key": "ui"}
    value = {"theme": "dark", "said": ["tea"]}
    calls.call("state", "put", **place, value=value, index=["theme", "said[*]"], expires_in=99)
    calls.call("state", "put", namespace=["ann"], key="other", value={"theme": "light"})
    calls.call("state", "get", **place)
    calls.call("state", "renew", **place)
    under = {"namespace_prefix": ("ann",)}
    calls.call("state", "search", **under, query="dark", filter={"theme": "dark"})
    page = calls.call("state", "list_items", **under, filter={"theme": {"$exists": True}}, limit=1)
    cursor = {"filter": {"theme": {"$exists": True}}, "cursor": page.next_cursor}
    calls.call("state", "list_items", **under, **cursor)
    pattern = {"prefix": ("*",), "suffix": ["ann"]}
    calls.call("state", "list_namespaces", **pattern)
    spaces = calls.call("state", "list_namespaces", limit=1)
    calls.call("state", "list_namespaces", cursor=spaces.next_cursor)
    operations = [
        {"op": "get", **place},
        {"op": "renew", **place},
        {"op": "put", "namespace": ["ann"], "key": "new", "value": value, "index": ["said"]},
        {"op": "search", **under, "query": "tea"},
        {"op": "list_namespaces", **pattern},
    ]
    calls.call("state", "batch", operations=operations)
    calls.call("state", "within", resource_ids=["ann"])
    calls.call("state", "delete", **place)
    calls.target.state.index_pending()  # how many wait depends on the engine
    calls.call("", "erase", resource_id="ann")
