"""The memory and vector routes of Mastra's server, for its unmodified client `@mastra/client-js`.

Include `mastra_engine.contrib.mastra_server.urls` under the prefix of the client, which is `api/`
unless its `apiPrefix` says otherwise.
"""
