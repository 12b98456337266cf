"""The MCP server, with the official Python SDK."""
