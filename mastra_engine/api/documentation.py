"""The description of this API alone, and pages that show it without anything from elsewhere."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

from django.apps import apps
from django.templatetags.static import static
from django.urls import NoReverseMatch, URLPattern, include, path, reverse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)
from rest_framework.request import Request
from rest_framework.response import Response

import mastra_engine

TITLE = "Mastra Engine"
#: What drf-spectacular is told, whatever the project tells it for views of its own:
#: `manage.py spectacular --custom-settings mastra_engine.api.documentation.SETTINGS`.
SETTINGS: dict[str, Any] = {
    "TITLE": TITLE,
    "VERSION": mastra_engine.__version__,
    "DESCRIPTION": "Memory, vectors and synced records of AI agents.",
    "OAS_VERSION": "3.1.1",
    "POSTPROCESSING_HOOKS": [],
    "PREPROCESSING_HOOKS": [],
}
_ROUTE = "v1/schema/"
# drf-spectacular keeps its settings in one place for all threads.
_generating = Lock()


def description() -> dict[str, Any] | None:
    """Return the OpenAPI description of the API where the project has it; None for nowhere."""
    try:
        return _described(reverse("mastra_engine_api:schema"))
    except NoReverseMatch:
        return None


@lru_cache(maxsize=16)
def _described(url: str) -> dict[str, Any]:
    """Return the description that is shown at a URL, and the same to everybody."""
    mounted_at = url.removesuffix(_ROUTE).lstrip("/")
    patterns = [path(mounted_at, include("mastra_engine.api.urls"))]
    generator = SchemaGenerator(patterns=patterns)  # type: ignore[no-untyped-call]
    with _generating, patched_settings(SETTINGS):
        made: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return made


class Independent:
    """Free of the versions and throttles that the project has for its own views."""

    schema: Any = None
    versioning_class: Any = None
    throttle_classes: Any = ()
    title: Any = TITLE
    url: Any = "../schema/"


class SchemaView(Independent, SpectacularAPIView):
    """The OpenAPI description, as YAML or JSON by the `Accept` header or `?format=json`."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(_described(request.path), headers={"Content-Disposition": "inline"})


class SwaggerView(Independent, SpectacularSwaggerView):
    """Swagger UI from `drf-spectacular-sidecar`."""

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png")


class RedocView(Independent, SpectacularRedocView):
    """Redoc from `drf-spectacular-sidecar`, without the fonts that it would load from Google."""

    template_name = "mastra_engine/redoc.html"

    @staticmethod
    def _redoc_standalone() -> str:
        return static("drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js")


def pages() -> list[URLPattern]:
    """Return the pages for a browser, where what they are made of is installed."""
    if not all(map(apps.is_installed, ("drf_spectacular", "drf_spectacular_sidecar"))):
        return []
    return [
        path("swagger/", SwaggerView.as_view(), name="swagger"),
        path("redoc/", RedocView.as_view(), name="redoc"),
    ]


urlpatterns = [path(_ROUTE.removeprefix("v1/"), SchemaView.as_view(), name="schema"), *pages()]
