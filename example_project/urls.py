"""URLs of the example project."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path
from rest_framework.authtoken.views import obtain_auth_token

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/token/", obtain_auth_token),
    path("api/", include("mastra_engine.api.urls")),
    path("", include("example_project.desk.urls")),
]
