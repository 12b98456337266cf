"""The REST API: `path("api/", include("mastra_engine.api.urls"))`. It calls the engine only."""
