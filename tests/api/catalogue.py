"""Every operation of the API, from its URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, NamedTuple
from urllib.parse import quote

from django.urls import URLPattern, URLResolver
from rest_framework.test import APIClient

from mastra_engine.api import urls
from mastra_engine.api.operations import Operation

METHODS = ("get", "post", "put", "patch", "delete")


class Case(NamedTuple):
    """An operation where it is."""

    method: str
    route: str
    operation: Operation
    noun: str

    def url(self, path: dict[str, str]) -> str:
        def value(match: re.Match[str]) -> str:
            return quote(path[match[1]], safe="")

        return "/api/" + re.sub(r"<\w+:(\w+)>", value, self.route)

    @property
    def description(self) -> str:
        return cleandoc(self.operation.description)

    @property
    def for_staff(self) -> bool:
        """Whether users may not call the operation for their own objects."""
        permissions = self.operation.permissions
        return "add_syncrun" in permissions or any("_vectorindex" in name for name in permissions)

    @property
    def variables(self) -> list[str]:
        return re.findall(r"<\w+:(\w+)>", self.route)


def cases() -> list[Case]:
    """Return the operations in the order of their URLs."""
    return list(_found(urls.urlpatterns, ""))


def _found(patterns: Any, prefix: str) -> Iterator[Case]:
    for pattern in patterns:
        route = f"{prefix}{pattern.pattern}"
        if isinstance(pattern, URLResolver):
            yield from _found(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            view = pattern.callback.cls  # type: ignore[attr-defined]
            for method in METHODS:
                if operation := getattr(getattr(view, method, None), "operation", None):
                    yield Case(method, route, operation, view.__module__.rpartition(".")[2])


def sent(case: Case) -> dict[str, Any]:
    """Return the arguments of an operation's example, wherever they go."""
    example = case.operation.example
    return dict(example.query if case.method in ("get", "delete") else example.body or {})


def call(
    client: APIClient,
    case: Case,
    path: dict[str, str],
    *,
    value: dict[str, Any] | None = None,
    **headers: str,
) -> Any:
    """Call an operation as its example does, unless its arguments are `given`."""
    arguments = sent(case) if value is None else value
    send = getattr(client, case.method)
    if case.method in ("get", "delete"):
        return send(case.url(path), query_params=arguments, headers=headers)
    return send(case.url(path), arguments, format="json", headers=headers)
