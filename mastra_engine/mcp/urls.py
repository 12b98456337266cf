"""URLs of the MCP server: `path("mcp/", include("mastra_engine.mcp.urls"))`."""

from __future__ import annotations

from django.urls import path

from mastra_engine.mcp.views import McpView

app_name = "mastra_engine_mcp"

urlpatterns = [path("", McpView.as_view(url_variables=frozenset()), name="mcp")]
