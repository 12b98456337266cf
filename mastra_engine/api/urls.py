"""URLs of the API: `path("api/", include("mastra_engine.api.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from mastra_engine.api import (
    documentation,
    facts,
    memory,
    records,
    root,
    state,
    sync_runs,
    vectors,
)

app_name = "mastra_engine_api"

# The root comes last, because it has a pattern for all other paths.
_MODULES = (records, sync_runs, memory, state, facts, vectors, documentation, root)

urlpatterns = [path("v1/", include([route for module in _MODULES for route in module.urlpatterns]))]
