"""The settings of the tests of the MCP server."""

from __future__ import annotations

from tests.mcp.settings import *  # noqa: F403
