"""The base class of the API's views.

Of the project's settings for REST framework it uses the authentication classes only.
"""

from __future__ import annotations

import logging
import re
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponseBase
from django.urls import URLPattern, path
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from mastra_engine.api.access import Allowed, Scoped
from mastra_engine.api.errors import handle
from mastra_engine.api.operations import READING, Operation
from mastra_engine.api.parsers import JSON_LINES, JsonParser
from mastra_engine.api.renderers import JsonRenderer
from mastra_engine.api.request_id import request_id
from mastra_engine.api.schema import EngineSchema
from mastra_engine.conf import api_settings
from mastra_engine.postgres.cancellation import time_limit
from mastra_engine.web import non_atomic

logger = logging.getLogger("mastra_engine.api")


class Negotiation(DefaultContentNegotiation):
    """Choose the renderer by the `Accept` header; `?format=` is an argument of context windows."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)

    def get_accept_list(self, request: Request) -> list[str]:
        """Return the accepted types; errors are JSON for clients of JSON Lines, too."""
        accepted: list[str] = super().get_accept_list(request)
        return [kind.replace(JSON_LINES, JsonRenderer.media_type) for kind in accepted]


class Throttle(ScopedRateThrottle):
    """Limit reads, writes and searches separately, at the rates of `THROTTLE_RATES`."""

    # The project's own throttles may have scopes with the same names.
    cache_format = "mastra_engine_throttle_%(scope)s_%(ident)s"

    def allow_request(self, request: Request, view: Any) -> bool:
        self.scope = view.throttle_scope
        self.rate = api_settings().throttle_rates.get(self.scope)
        if self.rate is None:
            return True
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super(ScopedRateThrottle, self).allow_request(request, view)


def route(pattern: str, view: type[EngineView], *, name: str) -> URLPattern:
    """Return a named URL of a view, which takes only the variables of `pattern` as arguments."""
    variables = frozenset(re.findall(r"<\w+:(\w+)>", pattern))
    url: URLPattern = path(pattern, view.as_view(url_variables=variables), name=name)
    return url


class BaseView(APIView):
    """A view with limits of its own, outside of transactions, with a request id in logs."""

    #: The variables of the view's own route; None for all of the URL. The project may include the
    #: view under a prefix with variables of its own, which are not arguments of operations.
    url_variables: frozenset[str] | None = None
    #: Resources that are released at the end of the request.
    closing: ExitStack

    parser_classes: Any = [JsonParser]
    renderer_classes: Any = [JsonRenderer]
    throttle_classes = [Throttle]
    content_negotiation_class = Negotiation
    metadata_class = None
    versioning_class = None

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return non_atomic(super().as_view(**initkwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if self.url_variables is not None:
            kwargs = {name: kwargs[name] for name in self.url_variables}
        with request_id(request) as id, ExitStack() as self.closing:
            response = super().dispatch(request, *args, **kwargs)
            response["X-Request-ID"] = id
            # A shared cache does not know which headers identify the user.
            response.headers.setdefault("Cache-Control", "private")
            route = request.resolver_match.route if request.resolver_match else ""
            logger.info("%s %s %s", request.method, route, response.status_code)
        return response


class EngineView(Scoped, BaseView):
    """A view of an engine that is restricted to the user's scope."""

    permission_classes = [Allowed]
    renderer_classes: Any = [JsonRenderer, BrowsableAPIRenderer]
    schema = EngineSchema()

    @property
    def operation(self) -> Operation | None:
        """The operation of the request's method, or None."""
        method = "get" if self.request.method == "HEAD" else (self.request.method or "").lower()
        return getattr(getattr(self, method, None), "operation", None)

    @property
    def throttle_scope(self) -> str:
        if self.operation is not None and self.operation.searches:
            return "search"
        return "read" if self.request.method in READING else "write"

    def get_renderers(self) -> Any:
        """Return the renderers, without the browsable API if its templates are not installed."""
        renderers = super().get_renderers()
        return renderers if apps.is_installed("rest_framework") else renderers[:1]

    def get_exception_handler(self) -> Any:
        return handle

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the request, then limit the time of the statements that read or search for it.

        The server does not notice that a client has left, and would finish its statement.
        """
        super().initial(request, *args, **kwargs)
        if self.operation is None:
            return  # The view answers 405, and has no engine.
        reads = self.operation.searches or request.method in READING
        if reads and self.engine.database is not None:
            limit = time_limit(self.engine.database, api_settings().statement_timeout)
            self.closing.enter_context(limit)
