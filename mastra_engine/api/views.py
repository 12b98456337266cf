"""What all views of the API have in common; nothing of it depends on the project's own settings
for REST framework but who its users are."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

from django.apps import apps
from django.http import HttpRequest, HttpResponseBase
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from mastra_engine.api import request_id as requestid
from mastra_engine.api.access import Allowed
from mastra_engine.api.errors import handle
from mastra_engine.api.operations import READING, Operation
from mastra_engine.api.parsers import JSON_LINES, JsonParser
from mastra_engine.api.renderers import JsonRenderer
from mastra_engine.api.schema import EngineSchema
from mastra_engine.atomic_requests import non_atomic
from mastra_engine.backends.base import MastraEngine
from mastra_engine.conf import api_settings
from mastra_engine.filters.cursors import fingerprint

logger = logging.getLogger("mastra_engine.api")


class Negotiation(DefaultContentNegotiation):
    """By the `Accept` header alone: `?format=` is an argument of context windows."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)

    def get_accept_list(self, request: Request) -> list[str]:
        """Take those who ask for JSON Lines to read JSON too, which errors come in."""
        accepted: list[str] = super().get_accept_list(request)
        return [each.replace(JSON_LINES, JsonRenderer.media_type) for each in accepted]


class Throttle(ScopedRateThrottle):
    """Counts reading, writing and searching apart, each at the rate the settings say, if any."""

    def allow_request(self, request: Request, view: Any) -> bool:
        self.scope = view.throttled_as
        self.rate = api_settings().throttle_rates.get(self.scope)
        if self.rate is None:
            return True
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super(ScopedRateThrottle, self).allow_request(request, view)


class EngineView(APIView):
    """A view of the engine, confined to what its user may touch."""

    engine: MastraEngine
    #: What is over with the request.
    closing: ExitStack

    permission_classes = [Allowed]
    parser_classes: Any = [JsonParser]
    renderer_classes: Any = [JsonRenderer, BrowsableAPIRenderer]
    throttle_classes = [Throttle]
    content_negotiation_class = Negotiation
    metadata_class = None
    versioning_class = None
    schema = EngineSchema()

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        return non_atomic(super().as_view(**initkwargs))

    @property
    def operation(self) -> Operation | None:
        """The operation that is asked for, if there is one."""
        method = "get" if self.request.method == "HEAD" else (self.request.method or "").lower()
        return getattr(getattr(self, method, None), "operation", None)

    @property
    def throttled_as(self) -> str:
        if self.operation is not None and self.operation.searches:
            return "search"
        return "read" if self.request.method in READING else "write"

    @property
    def reach(self) -> dict[str, frozenset[str] | None]:
        """What its user may touch; None is everything."""
        return {
            "resource_id": self.engine.memory.resource_ids,
            "connection_id": self.engine.connection_ids,
            "namespace": self.engine.vectors.namespaces,
        }

    @property
    def principal(self) -> str:
        """Stands for the user and for what they may touch."""
        reach = (None if each is None else sorted(each) for each in self.reach.values())
        return fingerprint(str(getattr(self.request.user, "pk", None)), *reach)

    def usual(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return what these arguments are for a user who has just one of each."""
        reach = self.reach
        return {name: min(owned) for name in names if (owned := reach[name]) and len(owned) == 1}

    def get_renderers(self) -> Any:
        """Leave out the browsable API where its templates are not installed."""
        found = super().get_renderers()
        return found if apps.is_installed("rest_framework") else found[:1]

    def get_exception_handler(self) -> Any:
        return handle

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with requestid.taken_from(request) as id, ExitStack() as self.closing:
            response = super().dispatch(request, *args, **kwargs)
            response["X-Request-ID"] = id
            # Who asks may be told by any header, a token's too, which no shared cache knows of.
            response.headers.setdefault("Cache-Control", "private")
            route = request.resolver_match.route if request.resolver_match else ""
            logger.info("%s %s %s", request.method, route, response.status_code)
        return response
