"""The OpenAPI document describes every operation, parameter and property in HTTP terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from mastra_engine import MastraEngine
from mastra_engine.api.descriptions import COMPONENTS, NAMES
from mastra_engine.conf import api_settings
from tests.api.catalogue import cases

#: Words that only a reader of the Python code understands.
PYTHON = re.compile(
    r"\bNone\b|\bTrue\b|\bFalse\b|\bdicts?\b|\btuples?\b|\w\(|\bUNSET\b|\bNumPy\b|__\w+__"
    r"|\b[Mm]appings?\b|\b[Rr]aises?\b|\b[A-Z]\w+(?:NotFound|Exists|Conflict|Mismatch|Expired)\b"
)
METHODS = {name for name in dir(MastraEngine) if not name.startswith("_") and "_" in name}


@pytest.fixture
def document(client: Client) -> Any:
    return client.get("/api/v1/schema/?format=json").json()


def operations(document: Any) -> Iterator[tuple[str, Any]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def texts(document: Any) -> Iterator[tuple[str, str]]:
    """Yield each place that must have a description, and the description, which may be empty."""
    for name, operation in operations(document):
        yield name, operation.get("description", "")
        for parameter in operation.get("parameters", ()):
            yield f"{name}.{parameter['name']}", parameter.get("description", "")
        for status, response in operation["responses"].items():
            yield f"{name}.{status}", response.get("description", "")
    for name, schema in document["components"]["schemas"].items():
        yield name, schema.get("description", "")
        for key, field in schema.get("properties", {}).items():
            yield f"{name}.{key}", field.get("description", "")


def test_every_place_has_a_description_in_http_terms(document: Any) -> None:
    result = dict(texts(document))
    assert len(result) > 400
    assert [place for place, text in result.items() if not text.strip().endswith(".")] == []
    assert [(place, text) for place, text in result.items() if PYTHON.search(text)] == []
    words = {place: set(re.findall(r"\w+", text)) for place, text in result.items()}
    assert [place for place in words if words[place] & METHODS] == []


def test_the_check_knows_python_words() -> None:
    for text in ("None means all.", "A dict.", "Call export_thread().", "Raises ThreadNotFound."):
        assert PYTHON.search(text), text
    assert "get_record" in METHODS
    assert not PYTHON.search("A JSON object (RFC 7396) of the client's own; null removes a key.")


def test_descriptions_do_not_repeat_summaries(document: Any) -> None:
    for name, operation in operations(document):
        summary, description = operation["summary"], operation["description"]
        assert re.fullmatch(".*[^.]", summary), name
        assert summary.lower() not in description.lower(), name


def test_every_text_is_used(document: Any) -> None:
    """A text that is left over describes something that no longer exists."""
    schemas = document["components"]["schemas"]
    assert set(COMPONENTS) == set(schemas)
    places = {place for place, _ in texts(document)}
    of_requests = {
        f"{name}.{key}"
        for name, operation in operations(document)
        for schema in [schemas.get("".join(map(str.title, name.split("_"))) + "Request")]
        if schema and "requestBody" in operation
        for key in schema["properties"]
    }
    existing = places | of_requests | {place.partition(".")[2] for place in places}
    assert set(NAMES) - existing == set()


def test_limits_are_those_of_the_api(client: Client, settings: Any) -> None:
    def maximum(name: str) -> set[Any]:
        document = client.get("/api/v1/schema/?format=json").json()
        return {
            parameter["schema"].get("maximum")
            for _, operation in operations(document)
            for parameter in operation.get("parameters", ())
            if parameter["name"] == name
        }

    for name in ("limit", "last", "top_k"):
        assert maximum(name) == {api_settings().max_page} == {1_000}
    assert maximum("max_tokens") == {1_000_000}
    settings.MASTRA_ENGINE_API = {"MAX_PAGE": 7}
    assert maximum("limit") == {7}


def routes() -> list[tuple[str, list[str]]]:
    """Return the name and the variables of each URL of the API."""
    resolvers = get_resolver().namespace_dict["mastra_engine_api"][1].url_patterns
    return [
        (str(pattern.name), list(pattern.pattern.converters))
        for resolver in resolvers
        for pattern in resolver.url_patterns
    ]


def test_every_route_has_a_name() -> None:
    names = [name for name, _ in routes()]
    assert len(set(names)) == len(names) >= 40
    assert {case.route.removeprefix("v1/") for case in cases()}
    for name, variables in routes():
        url = reverse(f"mastra_engine_api:{name}", kwargs=dict.fromkeys(variables, "x"))
        assert url.startswith("/api/v1/")
    with pytest.raises(NoReverseMatch):
        reverse("mastra_engine_api:None")
