"""URLs of the tests of the MCP server."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("api/", include("mastra_engine.api.urls")),
    path("mcp/", include("mastra_engine.mcp.urls")),
]
