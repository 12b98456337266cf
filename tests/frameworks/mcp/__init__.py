"""The MCP server, with the clients of the TypeScript SDK and the published conformance suite."""
