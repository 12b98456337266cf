"""One operation of the API: a method of the engine, what it asks for and what it gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial, wraps
from itertools import chain, islice
from typing import Any, get_type_hints

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from mastra_engine.api.arguments import Arguments
from mastra_engine.api.cursors import signed, unsigned
from mastra_engine.api.keys import HEADER, key_of, run_once
from mastra_engine.api.parsers import is_lines, need_length
from mastra_engine.api.renderers import JsonLines, dumps
from mastra_engine.conf import api_settings
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Page
from mastra_engine.validation.jsonb import content_hash

READING = {"GET", "HEAD"}
#: What is read from a header, never from a body or a URL.
_HEADERS = {"if_version", "idempotency_key"}
#: A version, which alone counts, and a hash; what compresses an answer makes its tag a weak one.
_TAG = re.compile(r'(?:W/)?"([0-9]{1,19})(?:-[0-9a-f]+)?"')


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request and its answer; `path` has what the URL's variables stand for."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    answer: Any = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many there were."""

    deleted: int


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What there is to know about a view's method."""

    name: str
    description: str
    asks: tuple[str, ...]
    takes: Arguments
    gives: Any
    example: Example
    status: int
    fills: tuple[str, ...]
    versioned: bool
    repeatable: bool
    searches: bool
    lines: str

    @property
    def writes(self) -> bool:
        return any(not permission.startswith("view_") for permission in self.asks)

    @property
    def keyed(self) -> bool:
        """Whether it takes an `Idempotency-Key`."""
        return self.writes and not self.repeatable

    @property
    def tagged(self) -> bool:
        """Whether its answer has an `ETag`."""
        return hasattr(self.gives, "version")

    def given(self, view: Any, request: Request, known: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request; raises InvalidInput."""
        reads = request.method in READING or request.method == "DELETE"
        # A URL that says what nobody reads is refused, lest `?mode=merge` replace records.
        elsewhere = known if reads or self.lines else self.takes.parameters
        given = self.takes.from_query(request.query_params, known=elsewhere)
        need_length(request)
        if self.lines and is_lines(request):
            given[self.lines] = request.data or []
        elif not reads:
            given |= self.takes.from_body(request.data, known={*known, *given})
        given = {**view.usual(self.fills), **given}
        if given.get("cursor") is not None:
            given["cursor"] = unsigned(given["cursor"], view.principal)
        if self.versioned:
            given["if_version"] = _version(request)
        given |= known
        self.takes.need(given)
        self.takes.bound(given, api_settings())
        return given

    def key(self, request: Request) -> str | None:
        """Return the key of a request that writes; raises InvalidInput."""
        key = key_of(request) if self.writes else None
        if key is not None and not self.keyed:
            raise InvalidInput("is not taken here: once or twice is the same", path=f"/{HEADER}")
        return key

    def answer(self, view: Any, request: Request, result: Any) -> HttpResponseBase:
        """Return what the engine gave as an answer."""
        if isinstance(result, Iterator):
            asynchronous = isinstance(request._request, ASGIRequest)
            # Until something is sent, what goes wrong is an answer: a thread has its first message
            # in the second line.
            lines = chain([*islice(result, 2)], result)
            return JsonLines((_line(each) for each in lines), asynchronous=asynchronous)
        if isinstance(result, Page):
            result = replace(result, next_cursor=signed(result.next_cursor, view.principal))
        headers = {}
        if self.tagged:
            version = result["version"] if isinstance(result, dict) else result.version
            # A thread of the same version may have other messages, and says how many.
            headers["ETag"] = f'"{version}-{content_hash(dumps(result)).hex()}"'
        return Response(result, status=self.status, headers=headers)


def operation(
    method: Callable[..., Any],
    *asks: str,
    example: Example,
    name: str | None = None,
    without: Collection[str] = (),
    fills: tuple[str, ...] = (),
    status: int = 200,
    versioned: bool = False,
    repeatable: bool = False,
    searches: bool = False,
    lines: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponseBase]]:
    """Make a view's method of a function that is called with the arguments of an engine's method.

    `asks` are the permissions that the access policy is asked for, one after the other. `fills`
    are arguments that a user with just one resource, connection or namespace need not give.
    `versioned` takes `If-Match`, `lines` names an argument that may come as JSON Lines, with the
    others in the URL. What writes takes an `Idempotency-Key`, unless it is `repeatable` as it is.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        described = Operation(
            name=name or method.__name__,
            description=function.__doc__ or "",
            asks=asks,
            takes=Arguments(method, without={*without, *_HEADERS}),
            gives=get_type_hints(function)["return"],
            example=example,
            status=status,
            fills=fills,
            versioned=versioned,
            repeatable=repeatable,
            searches=searches,
            lines=lines,
        )

        @wraps(function)
        def handler(view: Any, request: Request, **known: str) -> HttpResponseBase:
            given = described.given(view, request, dict(known))
            act = partial(function, view, **given)
            key = described.key(request)
            result = act() if key is None else run_once(view, key, given, act)
            return described.answer(view, request, result)

        handler.operation = described  # type: ignore[attr-defined]
        return handler

    return decorate


def _version(request: Request) -> int | None:
    """Return the version that `If-Match` asks for; raises InvalidInput for any other tag."""
    tag = request.headers.get("If-Match", "*").strip()
    if tag == "*":
        return None
    found = _TAG.fullmatch(tag)
    if found is None:
        raise InvalidInput("must be an ETag that was given out here", path="/If-Match")
    return int(found[1])


def _line(value: Any) -> bytes:
    return dumps(value) if is_dataclass(value) else str(value).encode()
