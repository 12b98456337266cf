"""The base class of the views, and the decorator of their methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mastra_engine.api.parsers import require_length
from mastra_engine.api.renderers import JsonRenderer
from mastra_engine.api.views import EngineView
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.conf import api_settings
from mastra_engine.contrib.mastra_server.errors import handle
from mastra_engine.exceptions import InvalidInput, ThreadNotFound
from mastra_engine.handler import engines
from mastra_engine.validation.inputs import name


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of the client, with the permissions for which the access policy is asked."""

    permissions: tuple[str, ...]
    searches: bool = False
    all_owners: bool = False


def call(
    *permissions: str, searches: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Decorate a method that takes the variables of its URL and returns the body of the response.

    A thread that exists outside of the user's scope, or belongs to another resource than the
    request names, is refused with 403, as Mastra's server does.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Response]:
        @wraps(function)
        def handler(view: MastraView, request: Request, **in_path: str) -> Response:
            require_length(request)
            try:
                return Response(function(view, **in_path))
            except ThreadNotFound as error:
                if thread_exists(error.id):
                    message = "Access denied: the thread belongs to a different resource"
                    raise PermissionDenied(message) from None
                raise

        handler.operation = Call(permissions=permissions, searches=searches)  # type: ignore[attr-defined]
        return handler

    return decorate


def thread_exists(id: str | None) -> bool:
    """Return whether a thread exists, in or outside of the user's scope."""
    try:
        engines[api_settings().engine].memory.get_thread(thread_id=id or "")
    except (ThreadNotFound, InvalidInput):
        return False
    return True


class JsonAlways(BaseContentNegotiation):
    """Read and write JSON whatever the headers say: some clients send no content type."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], JsonRenderer.media_type


class MastraView(EngineView):
    """A view of an engine that is restricted to the user's scope, in Mastra's dialect."""

    renderer_classes = [JsonRenderer]
    content_negotiation_class = JsonAlways  # type: ignore[assignment]
    schema = None  # type: ignore[assignment] # no part of an OpenAPI document

    def get_exception_handler(self) -> Any:
        return handle

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent; raises InvalidInput."""
        body = self.request.data
        if not isinstance(body, dict):
            raise InvalidInput("must be a JSON object", path="")
        return dict(body)

    def memory_of(self, resource_id: Any) -> Memory:
        """Return the memory of the resource that the client names, or all in scope if it is None.

        The client's `resourceId` never widens the scope: another one is refused with 403.
        """
        memory = self.engine.memory
        if resource_id is None:
            return memory
        resource = name(resource_id, "/resourceId")
        if memory.resource_ids is not None and resource not in memory.resource_ids:
            raise PermissionDenied("Access denied: the resource belongs to another user")
        return memory.within(resource_ids=[resource])

    def owner(self, resource_id: Any) -> Any:
        """Return the named resource, or the user's own if there is exactly one."""
        if resource_id is not None:
            return resource_id
        owners = self.defaults(("resource_id",))
        if not owners:
            raise InvalidInput("is missing", path="/resourceId")
        return owners["resource_id"]
