"""The root of the API, with links, and JSON errors for paths that do not exist."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.http import Http404, HttpResponseBase, HttpResponsePermanentRedirect
from django.urls import Resolver404, path, resolve
from rest_framework.exceptions import NotFound
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

import mastra_engine
from mastra_engine.api.converters import ANY_TEXT
from mastra_engine.api.documentation import Independent, pages
from mastra_engine.api.errors import handle
from mastra_engine.api.operations import READING
from mastra_engine.api.renderers import JsonRenderer


class PublicView(Independent, APIView):
    """A view without content of users, which needs no authentication."""

    authentication_classes: Any = []
    permission_classes: Any = []

    def get_renderers(self) -> Any:
        """Return JSON, and pages for a browser if their templates are installed."""
        browsable = [BrowsableAPIRenderer()] if apps.is_installed("rest_framework") else []
        return [JsonRenderer(), *browsable]

    def get_exception_handler(self) -> Any:
        return handle


class RootView(PublicView):
    """The start of the API: its version and its pages."""

    def get(self, request: Request, **kwargs: Any) -> Response:
        """Return the version, and the addresses of the OpenAPI document and its pages."""
        names = ["schema", *(str(page.name) for page in pages())]
        links = {name: request.build_absolute_uri(f"{request.path}{name}/") for name in names}
        return Response({"version": mastra_engine.__version__, **links})


class UnknownView(PublicView):
    """Any path that is not in the API: 404 as JSON, or a redirect to the path with a slash."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Redirect reads without the final slash; refuse all other requests."""
        self.lacks_slash = not request.path_info.endswith("/") and self._exists(request)
        if self.lacks_slash and request.method in READING:
            query = request.META.get("QUERY_STRING", "")
            return HttpResponsePermanentRedirect(f"{request.path}/{query and f'?{query}'}")
        return super().dispatch(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise the error of the path, whatever the method."""
        super().initial(request, *args, **kwargs)
        if self.lacks_slash:
            raise NotFound(f"The path must end with a slash: {request.path}/")
        raise Http404

    @staticmethod
    def _exists(request: Any) -> bool:
        try:
            match = resolve(f"{request.path_info}/", getattr(request, "urlconf", None))
        except Resolver404:
            return False
        return not issubclass(getattr(match.func, "cls", object), UnknownView)


urlpatterns = [
    path("", RootView.as_view(), name="root"),
    path(f"<{ANY_TEXT}:unknown_path>", UnknownView.as_view(), name="unknown"),
]
