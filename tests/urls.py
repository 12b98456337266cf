"""URLs of the test suite."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [path("api/", include("mastra_engine.api.urls")), path("admin/", admin.site.urls)]
