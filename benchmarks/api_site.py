"""What the servers serve: the API, and beside it the least that a view of REST framework can do."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mastra_engine.models import Thread

OWNER = 7


def somebody() -> User:
    """Return who asks, whoever it is."""
    return User(pk=OWNER)


class BareView(APIView):
    """One read by primary key."""

    def get(self, request: Request, pk: str) -> Response:
        return Response(Thread.objects.values("id", "resource_id", "title").get(pk=pk))


urlpatterns = [
    path("api/", include("mastra_engine.api.urls")),
    path("bare/<str:pk>/", BareView.as_view()),
]
