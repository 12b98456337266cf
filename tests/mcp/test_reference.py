"""The reference of the MCP server shows the tools and resources as they are."""

from __future__ import annotations

from inspect import signature
from operator import attrgetter

from mastra_engine import MastraEngine
from mastra_engine.mcp.resources import TEMPLATES
from mastra_engine.mcp.tools import TOOLS, Tool
from tests.docs.pages import DOCS, rows

PAGE = DOCS / "reference" / "mcp.md"
COLUMNS = ("Tool", "Method of the engine", "Permissions", "Rate", "Effect")


def effect(tool: Tool) -> str:
    if not tool.writes:
        return "reads"
    return "replaces" if tool.destructive else "appends"


def test_the_table_has_every_tool_as_it_is() -> None:
    visible = {row.spans(0)[0]: row for row in rows(PAGE, *COLUMNS)}
    assert list(visible) == list(TOOLS)
    for name, tool in TOOLS.items():
        row = visible[name]
        assert row.spans(2) == list(tool.permissions)
        assert row.spans(3) == [tool.throttle_scope]
        assert row.cells[4].content == effect(tool)


def test_every_tool_has_the_arguments_of_its_method(mock_engine: MastraEngine) -> None:
    for row in rows(PAGE, *COLUMNS):
        method = attrgetter(row.spans(1)[0])(mock_engine)
        arguments = {*signature(method).parameters}
        if "options" in arguments:
            arguments |= {"filters", "sort", "limit", "offset", "cursor", "fields"}
            arguments.remove("options")
        assert {*TOOLS[row.spans(0)[0]].takes.parameters} == arguments


def test_the_table_has_every_resource() -> None:
    visible = [row.spans(0)[0] for row in rows(PAGE, "URI", "Contents")]
    assert visible == [str(template.uri) for template in TEMPLATES]
