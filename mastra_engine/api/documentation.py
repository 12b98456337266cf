"""The OpenAPI document of this API, and pages that show it without loading foreign files."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import Any

from django.apps import apps
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.templatetags.static import static
from django.urls import URLPattern, include, path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import SPECTACULAR_DEFAULTS, patched_settings
from drf_spectacular.views import (
    SpectacularAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)
from rest_framework.request import Request
from rest_framework.response import Response

import mastra_engine

TITLE = "Mastra Engine"
#: Settings of drf-spectacular for this API, in place of the project's own:
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
# They choose the generator and the permissions of the views, not the content of the document.
_NOT_PATCHABLE = {
    name
    for name in SPECTACULAR_DEFAULTS
    if name.startswith("SERVE_") or name == "DEFAULT_GENERATOR_CLASS"
}
# drf-spectacular has one settings object, which all threads share.
_generating = Lock()


@lru_cache(maxsize=16)
def _document(url: str) -> dict[str, Any]:
    """Return the document of the API with its schema at `url`; all users get the same."""
    mounted_at = url.removesuffix(_ROUTE).lstrip("/")
    patterns = [path(mounted_at, include("mastra_engine.api.urls"))]
    generator = SchemaGenerator(patterns=patterns)  # type: ignore[no-untyped-call]
    # Settings of the project that this API does not set would change its document, too.
    settings = {
        name: value for name, value in SPECTACULAR_DEFAULTS.items() if name not in _NOT_PATCHABLE
    }
    with _generating, patched_settings(settings | SETTINGS):
        document: dict[str, Any] = generator.get_schema(public=True)  # type: ignore[no-untyped-call]
    return document


@receiver(setting_changed)
def _clear(*, setting: str, **_: Any) -> None:
    """Forget the documents when tests change settings, which the limits come from."""
    if setting == "MASTRA_ENGINE_API":
        _document.cache_clear()


class Independent:
    """A view without the versions and throttles of the project's own views."""

    schema: Any = None
    versioning_class: Any = None
    throttle_classes: Any = ()
    title: Any = TITLE
    url: Any = "../schema/"


class SchemaView(Independent, SpectacularAPIView):
    """Serve the OpenAPI document as YAML or JSON, by the `Accept` header or `?format=json`."""

    @staticmethod
    def document(url: str) -> dict[str, Any]:
        """Return the document of the API with its schema at `url`, without a request."""
        return _document(url)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the document, which is the same for all users."""
        return Response(_document(request.path), headers={"Content-Disposition": "inline"})


class SwaggerView(Independent, SpectacularSwaggerView):
    """Show Swagger UI from `drf-spectacular-sidecar`."""

    @staticmethod
    def _swagger_ui_resource(filename: str) -> str:
        return static(f"drf_spectacular_sidecar/swagger-ui-dist/{filename}")

    @staticmethod
    def _swagger_ui_favicon() -> str:
        return static("drf_spectacular_sidecar/swagger-ui-dist/favicon-32x32.png")


class RedocView(Independent, SpectacularRedocView):
    """Show Redoc from `drf-spectacular-sidecar`, without fonts from Google."""

    template_name = "mastra_engine/redoc.html"

    @staticmethod
    def _redoc_standalone() -> str:
        return static("drf_spectacular_sidecar/redoc/bundles/redoc.standalone.js")


def pages() -> list[URLPattern]:
    """Return the pages for a browser if `drf-spectacular-sidecar` is installed."""
    if not all(map(apps.is_installed, ("drf_spectacular", "drf_spectacular_sidecar"))):
        return []
    return [
        path("swagger/", SwaggerView.as_view(), name="swagger"),
        path("redoc/", RedocView.as_view(), name="redoc"),
    ]


urlpatterns = [path(_ROUTE.removeprefix("v1/"), SchemaView.as_view(), name="schema"), *pages()]
