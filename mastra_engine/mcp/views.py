"""The view of the MCP server: Streamable HTTP without sessions, under WSGI and ASGI."""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import split_domain_port, validate_host
from django.urls import Resolver404, resolve
from mcp import types
from rest_framework.exceptions import (
    APIException,
    MethodNotAllowed,
    NotAuthenticated,
    ParseError,
    PermissionDenied,
)
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from mastra_engine.api.access import scoped_engine
from mastra_engine.api.errors import handle
from mastra_engine.api.parsers import require_length
from mastra_engine.api.views import BaseView
from mastra_engine.exceptions import InvalidInput
from mastra_engine.mcp.messages import Answer, ClientRequest, failure, parse
from mastra_engine.mcp.running_calls import EventStream, RunningCall
from mastra_engine.mcp.server import Server
from mastra_engine.mcp.tools import TOOLS

#: Where clients look for the authorization servers of a protected resource (RFC 9728).
METADATA = "/.well-known/oauth-protected-resource"
#: Hosts of `ALLOWED_HOSTS = []` with DEBUG, as in Django.
_LOCAL = [".localhost", "127.0.0.1", "[::1]"]


class Credentials(BasePermission):
    """Require a user or a token, unless the access policy allows anonymous users a tool."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the request may be answered at all; tools ask for their permissions."""
        if request.auth is not None or getattr(request.user, "is_authenticated", False):
            return True
        return any(scoped_engine(request, tool.permissions) for tool in TOOLS.values())


class McpView(BaseView):
    """One message of a client, and its answer."""

    permission_classes = [Credentials]
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the method and the origin before the user, then the rate.

        Without sessions there is no stream to open (GET) and nothing to end (DELETE).
        """
        if request.method != "POST":
            raise MethodNotAllowed(str(request.method))
        _check_origin(request)
        # A client has no CSRF token. In its place, the origin was checked, and a body of JSON
        # cannot be sent from another origin without the project's consent (CORS).
        request._request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
        super().initial(request, *args, **kwargs)

    def post(self, request: Request) -> HttpResponseBase:
        """Answer a message: with a stream of events if its client asks for progress."""
        if isinstance(self.message, Exception):
            raise self.message
        headers = {name.lower(): value for name, value in request.headers.items()}
        parsed = parse(self.message, headers)
        if isinstance(parsed, types.JSONRPCNotification):
            # A request that it might cancel is answered by another thread or process, and clients
            # choose the ids of their requests: it could be that of another client.
            return HttpResponse(status=202)
        answer = Server(request).answer
        if isinstance(parsed, ClientRequest) and _is_to_be_streamed(parsed, request):
            asynchronous = isinstance(request._request, ASGIRequest)
            return EventStream(RunningCall(parsed, answer), asynchronous=asynchronous)
        response = parsed if isinstance(parsed, Answer) else answer(parsed)
        return HttpResponse(response.dumps(), "application/json", response.status)

    @cached_property
    def message(self) -> Any:
        """The parsed body, or the error of a body that cannot be parsed."""
        try:
            require_length(self.request)
            return self.request.data
        except (APIException, InvalidInput) as error:
            return error

    @property
    def throttle_scope(self) -> str:
        """The rate of the tool that is called; other messages are reads."""
        params = self.message.get("params") if isinstance(self.message, dict) else None
        name = params.get("name") if isinstance(params, dict) else None
        tool = TOOLS.get(name) if isinstance(name, str) else None
        return "read" if tool is None else tool.throttle_scope

    def permission_denied(self, request: Request, **_: Any) -> None:  # type: ignore[override]
        """Ask for credentials."""
        raise NotAuthenticated

    def get_authenticate_header(self, request: HttpRequest) -> str:
        """Return the challenge of a 401, with the OAuth metadata that the project serves."""
        challenges = (
            scheme.authenticate_header(self.request) for scheme in self.get_authenticators()
        )
        challenge: str = next(filter(None, challenges), "Bearer")
        if (path := _metadata_path(request)) is None:
            return challenge
        metadata = f'resource_metadata="{request.build_absolute_uri(path)}"'
        scheme, _, parameters = challenge.partition(" ")
        if scheme.lower() != "bearer":
            return f"{challenge}, Bearer {metadata}"
        return f"{challenge}, {metadata}" if parameters else f"{challenge} {metadata}"

    def get_exception_handler(self) -> Any:
        return _handle


def _is_to_be_streamed(message: ClientRequest, request: Request) -> bool:
    """Return whether a client asks for the progress of a call, and can be told of it."""
    return (
        message.progress_token is not None
        and message.method == "tools/call"
        and message.params.name in TOOLS
        and request.accepts("text/event-stream")
    )


def _handle(exc: Exception, context: Any) -> Response | None:
    """Return the error of a request as a JSON-RPC message, with the REST API's status."""
    response = handle(exc, context)
    if response is None:
        return None
    unparsable = isinstance(exc, ParseError | InvalidInput)
    code = types.PARSE_ERROR if unparsable else types.INVALID_REQUEST
    text = "; ".join(error["detail"] for error in response.data["errors"])
    message = failure(code, text).message
    response.data = {"id": None, **message.model_dump(mode="json", exclude_none=True)}
    return response


def _check_origin(request: Request) -> None:
    """Raise PermissionDenied for a browser's page of a host that the project does not allow.

    A page of any site could otherwise reach a server on the user's own machine (DNS rebinding).
    """
    origin = request.headers.get("Origin")
    if origin is None:
        return
    allowed = settings.ALLOWED_HOSTS or (_LOCAL if settings.DEBUG else [])
    try:
        host, _ = split_domain_port(urlsplit(origin).netloc)
    except ValueError:
        host = ""
    if not (host and validate_host(host, allowed)):
        raise PermissionDenied("The Origin is not a host of ALLOWED_HOSTS")


def _metadata_path(request: HttpRequest) -> str | None:
    """Return the path of the project's OAuth metadata of this server, or None without any."""
    for path in (f"{METADATA}{request.path}", f"{METADATA}{request.path.rstrip('/')}", METADATA):
        try:
            resolve(path, getattr(request, "urlconf", None))
        except Resolver404:
            continue
        return path
    return None
