"""The API under a prefix with variables that are not arguments of its operations."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("org/<slug:org>/of/<str:resource_id>/api/", include("mastra_engine.api.urls")),
]
