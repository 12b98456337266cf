"""URLs of the example project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView
from rest_framework.authtoken.views import obtain_auth_token

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/token/", obtain_auth_token),
    path("api/", RedirectView.as_view(pattern_name="mastra_engine_api:swagger")),
    path("api/v1/", RedirectView.as_view(pattern_name="mastra_engine_api:swagger")),
    path("api/", include("mastra_engine.api.urls")),
    path("api/", include("mastra_engine.contrib.mastra_server.urls")),
    path("mcp/", include("mastra_engine.mcp.urls")),
    path("", include("example_project.desk.urls")),
]
