"""The site of the servers: the API, the MCP server, and a minimal view of REST framework."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mastra_engine.models import Thread

OWNER = 7


def somebody() -> User:
    """Return the same user for every request."""
    return User(pk=OWNER)


class BareView(APIView):
    """Read one row by its primary key."""

    def get(self, request: Request, pk: str) -> Response:
        return Response(Thread.objects.values("id", "resource_id", "title").get(pk=pk))


urlpatterns = [
    path("api/", include("mastra_engine.api.urls")),
    path("api/", include("mastra_engine.contrib.mastra_server.urls")),
    path("mcp/", include("mastra_engine.mcp.urls")),
    path("bare/<str:pk>/", BareView.as_view()),
]
