"""URLs of the example project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/", include("mastra_engine.api.urls")),
    path("", include("example_project.desk.urls")),
]
