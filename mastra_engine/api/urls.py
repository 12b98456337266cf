"""URLs of the API: `path("api/", include("mastra_engine.api.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from mastra_engine.api import documentation, memory, records, sync_runs, vectors

app_name = "mastra_engine_api"

_NOUNS = (records, sync_runs, memory, vectors, documentation)

urlpatterns = [path("v1/", include([route for noun in _NOUNS for route in noun.urlpatterns]))]
