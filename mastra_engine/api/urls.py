"""URLs of the API: `path("api/", include("mastra_engine.api.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from mastra_engine.api import documentation, memory, records, vectors
from mastra_engine.api import sync_runs as syncs

app_name = "mastra_engine_api"

_ROOMS = (records, syncs, memory, vectors, documentation)

urlpatterns = [path("v1/", include([each for room in _ROOMS for each in room.urlpatterns]))]
