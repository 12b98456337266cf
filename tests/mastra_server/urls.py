"""The API and Mastra's routes under one prefix."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("api/", include("mastra_engine.api.urls")),
    path("api/", include("mastra_engine.contrib.mastra_server.urls")),
]
