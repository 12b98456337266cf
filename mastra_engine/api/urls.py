"""URLs of the API: `path("api/", include("mastra_engine.api.urls"))`."""

from __future__ import annotations

from django.urls import include, path

from mastra_engine.api import memory

app_name = "mastra_engine_api"

urlpatterns = [path("v1/", include([*memory.urlpatterns]))]
