"""Operations of the API: an engine method with its permissions, arguments and response."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from functools import partial, wraps
from itertools import chain, islice
from typing import Any, get_type_hints

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from mastra_engine.api.access import read_permissions
from mastra_engine.api.arguments import Arguments
from mastra_engine.api.cursors import signed
from mastra_engine.api.idempotency_keys import HEADER, key_of, run_once
from mastra_engine.api.parsers import empty_upload, is_lines, require_length
from mastra_engine.api.renderers import JsonLines, dumps
from mastra_engine.exceptions import InvalidInput
from mastra_engine.validation.jsonb import content_hash

READING = {"GET", "HEAD"}
#: Arguments that come from a header, never from a body or a URL.
_HEADERS = {"if_version", "idempotency_key"}
#: A version and a hash, of which the version alone counts. Middleware that compresses a response
#: makes its ETag a weak one.
_TAG = re.compile(r'(?:W/)?"([0-9]{1,19})(?:-[0-9a-f]+)?"')


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request with its response; `path` holds the variables of the URL."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """The number of deleted objects."""

    deleted: int


@dataclass(frozen=True, slots=True)
class Counted:
    """The number of objects that match a filter."""

    count: int


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The definition of one method of a view."""

    name: str
    description: str
    permissions: tuple[str, ...]
    takes: Arguments
    gives: Any
    example: Example
    status: int
    fills: tuple[str, ...]
    versioned: bool
    repeatable: bool
    searches: bool
    lines: str
    all_owners: bool
    variables: Mapping[str, str]

    @property
    def writes(self) -> bool:
        """Whether the operation changes anything."""
        return any(not permission.startswith("view_") for permission in self.permissions)

    @property
    def keyed(self) -> bool:
        """Whether the operation accepts an `Idempotency-Key`."""
        return self.writes and not self.repeatable

    @property
    def tagged(self) -> bool:
        """Whether the response has an `ETag`."""
        return hasattr(self.gives, "version")

    def arguments(self, view: Any, request: Request, in_path: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request; `in_path` are the URL's own. Raises InvalidInput."""
        reads = request.method in READING or request.method == "DELETE"
        # An argument that is ignored could do harm: records would be replaced in spite of
        # `?mode=merge`. So an operation with a JSON body refuses arguments in its URL.
        reserved = in_path if reads or self.lines else self.takes.parameters
        arguments = self.takes.from_query(request.query_params, reserved=reserved)
        require_length(request)
        if self.lines and is_lines(request):
            # REST framework does not parse an empty body. It is not an empty list, which a client
            # would have to write.
            arguments[self.lines] = request.data or empty_upload(self.lines)
        elif not reads:
            arguments |= self.takes.from_body(request.data, reserved={*in_path, *arguments})
        if self.versioned:
            arguments["if_version"] = _version(request)
        return self.takes.completed({**arguments, **in_path}, view, self.fills)

    def key(self, request: Request) -> str | None:
        """Return the idempotency key of a request that writes; raises InvalidInput."""
        key = key_of(request) if self.writes else None
        if key is not None and not self.keyed:
            message = "is not accepted here: this request can be repeated without a key"
            raise InvalidInput(message, path=f"/{HEADER}")
        return key

    @contextmanager
    def callers_paths(self) -> Iterator[None]:
        """Make errors name the request's own parameters, not those of the engine's method."""
        try:
            yield
        except InvalidInput as error:
            first, slash, rest = error.path.removeprefix("/").partition("/")
            if first == "options":  # The options of a query are parameters of the request.
                error.path = f"{slash}{rest}"
            elif first in self.variables:
                error.path = f"/{self.variables[first]}{slash}{rest}"
            raise

    def response(self, view: Any, request: Request, result: Any) -> HttpResponseBase:
        """Return the result of the engine's method as a response."""
        if isinstance(result, Iterator):
            asynchronous = isinstance(request._request, ASGIRequest)
            # An error is a response of its own until the first bytes are sent. The first message
            # of a thread is in the second line, so two lines are read before.
            lines = chain([*islice(result, 2)], result)
            return JsonLines((_line(line) for line in lines), asynchronous=asynchronous)
        result = signed(result, view.principal)
        headers = {}
        if self.tagged:
            version = result["version"] if isinstance(result, dict) else result.version
            # New messages do not change a thread's version but its `message_count`, so the tag has
            # a hash of the response as well.
            headers["ETag"] = f'"{version}-{content_hash(dumps(result)).hex()}"'
        return Response(result, status=self.status, headers=headers)


def operation(
    method: Callable[..., Any],
    *permissions: str,
    example: Example,
    name: str | None = None,
    without: Collection[str] = (),
    fills: tuple[str, ...] = (),
    status: int = 200,
    versioned: bool = False,
    repeatable: bool = False,
    searches: bool = False,
    lines: str = "",
    all_owners: bool = False,
    variables: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponseBase]]:
    """Decorate a function that takes the arguments of an engine method, making it a view's method.

    The access policy is asked for each of `permissions`, and for the permissions to read the values
    that the function returns. `fills` are arguments that a user with just one resource, connection
    or namespace may omit. `versioned` accepts `If-Match`. `lines` is
    the argument that may be sent as JSON Lines, with the others in the URL. `all_owners` refuses
    users with a restricted scope, because the objects of all owners are changed. An operation that
    writes accepts an `Idempotency-Key`, unless it is `repeatable` without one. `variables` maps
    arguments of the engine's method to variables of the URL with another name.
    """
    variables = variables or {}

    def decorate(function: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        gives = get_type_hints(function)["return"]
        definition = Operation(
            name=name or method.__name__,
            description=function.__doc__ or "",
            permissions=tuple(dict.fromkeys((*permissions, *read_permissions(gives)))),
            takes=Arguments(method, without={*without, *_HEADERS, *variables}),
            gives=gives,
            example=example,
            status=status,
            fills=fills,
            versioned=versioned,
            repeatable=repeatable,
            searches=searches,
            lines=lines,
            all_owners=all_owners,
            variables=variables,
        )

        return _handler(definition, function)

    return decorate


def _handler(
    definition: Operation, function: Callable[..., Any]
) -> Callable[..., HttpResponseBase]:
    """Return the view's method that calls `function` as an operation."""

    @wraps(function)
    def handler(view: Any, request: Request, **in_path: str) -> HttpResponseBase:
        arguments = definition.arguments(view, request, dict(in_path))
        act = partial(function, view, **arguments)
        key = definition.key(request)
        with definition.callers_paths():
            result = act() if key is None else run_once(view, key, arguments, act)
            return definition.response(view, request, result)

    handler.operation = definition  # type: ignore[attr-defined]
    return handler


def _version(request: Request) -> int | None:
    """Return the version that `If-Match` requires; raises InvalidInput for an unknown tag."""
    tag = request.headers.get("If-Match", "*").strip()
    if tag == "*":
        return None
    match = _TAG.fullmatch(tag)
    if match is None:
        raise InvalidInput("must be an ETag of a response of this API, or *", path="/If-Match")
    return int(match[1])


def _line(value: Any) -> bytes:
    return dumps(value) if is_dataclass(value) else str(value).encode()
