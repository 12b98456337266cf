"""The tools and the resources that the conformance suite asks for by name."""

from __future__ import annotations

import time

from mcp.shared.uri_template import UriTemplate

from mastra_engine.exceptions import InvalidInput
from mastra_engine.mcp.callers import Caller
from mastra_engine.mcp.resources import TEMPLATES, Template
from mastra_engine.mcp.running_calls import INTERVAL
from mastra_engine.mcp.tools import TOOLS, tool
from mastra_engine.types import WorkingMemory


def nothing() -> None:
    """Take no arguments."""


def one(id: str = "") -> None:
    """Take the variable of a template."""


@tool(nothing)
def test_simple_text(caller: Caller) -> WorkingMemory:
    """Return a text."""
    return WorkingMemory(content="This is a simple text response for testing.")


@tool(nothing)
def test_error_handling(caller: Caller) -> WorkingMemory:
    """Raise an error of the engine."""
    raise InvalidInput("This tool intentionally returns an error for testing")


@tool(nothing)
def test_tool_with_progress(caller: Caller) -> WorkingMemory:
    """Take long enough for three notifications of progress."""
    time.sleep(3.5 * INTERVAL)
    return WorkingMemory(content="Done")


@tool(one)
def static(caller: Caller, id: str = "") -> WorkingMemory:
    """Return the variable of a template."""
    return WorkingMemory(content=f"The data of {id}")


def register() -> None:
    """Add the tools and the resources of the suite to those of the server."""
    tools = (test_simple_text, test_error_handling, test_tool_with_progress)
    TOOLS.update({tool.name: tool for tool in tools})
    for uri in ("test://static-text", "test://template/{id}/data"):
        TEMPLATES.append(Template(UriTemplate.parse(uri), static))
