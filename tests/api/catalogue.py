"""Every operation of the API, from its URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
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

    def url(self, path: dict[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            return quote(path[found[1]], safe="")

        return "/api/" + re.sub(r"<\w+:(\w+)>", value, self.route)

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
                    yield Case(method, route, operation)


def call(client: APIClient, case: Case, path: dict[str, str], **headers: str) -> Any:
    """Call an operation as its example does, with what the URL's variables stand for."""
    example = case.operation.example
    url = case.url(path)
    if case.method in ("get", "delete"):
        send = getattr(client, case.method)
        return send(url, query_params=example.query, headers=headers)
    body = {} if example.body is None else example.body
    return getattr(client, case.method)(url, body, format="json", headers=headers)
