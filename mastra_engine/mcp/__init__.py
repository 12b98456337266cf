"""A server of the Model Context Protocol: `path("mcp/", include("mastra_engine.mcp.urls"))`."""

from __future__ import annotations

from mastra_engine.optional_deps import require

require("mcp", "mcp", by="mastra_engine.mcp")
