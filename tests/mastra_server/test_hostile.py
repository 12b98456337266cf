"""Whatever is sent, the answer is JSON with an error of the client, and nothing is changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mastra_engine import MastraEngine
from tests.api.test_hostile import BODIES, TYPES, VALUES
from tests.mastra_server.conftest import Mastra, message
from tests.mastra_server.test_access import CALLS, EVERY, send

WRITES = {name: call for name, call in EVERY.items() if call[2] is not None}
READS = {name: call for name, call in EVERY.items() if call[0] == "get"}
#: The arguments of queries.
QUERIES = (
    *("page", "perPage", "orderBy", "orderBy[field]", "orderBy[direction]", "sortDirection"),
    *("resourceId", "metadata", "filter", "include", "searchQuery", "threadId", "limit"),
    *("memoryConfig", "agentId", "requestContext"),
)
#: Queries that Mastra's server answers with an error of its own.
WRONG_QUERIES = [
    *[
        ("memory/threads", name, value)
        for name in ("page", "perPage")
        for value in ("-1", "2.5", "x", "", "9" * 30, "1e3", "٣", "null", "NaN", "false ")
    ],
    ("memory/threads", "perPage", "1001"),
    ("memory/threads", "orderBy[field]", "title"),
    ("memory/threads", "orderBy[direction]", "down"),
    ("memory/threads", "orderBy", "title"),
    ("memory/threads", "orderBy", "{"),
    ("memory/threads", "orderBy", '{"field": {}}'),
    ("memory/threads", "metadata", "[]"),
    ("memory/threads", "metadata", "{"),
    ("memory/threads", "metadata", '{"a": 1, "a": 2}'),
    ("memory/threads", "metadata", '{"$where": 1}'),
    ("memory/threads", "metadata", '{"": 1}'),
    ("memory/threads", "metadata", '{"a": "\\u0000"}'),
    ("memory/threads/chat/messages", "perPage", "1001"),
    ("memory/threads/chat/messages", "orderBy", '{"field": "updatedAt"}'),
    ("memory/threads/chat/messages", "filter", "[]"),
    ("memory/threads/chat/messages", "filter", '{"roles": "user"}'),
    ("memory/threads/chat/messages", "filter", '{"roles": [1]}'),
    ("memory/threads/chat/messages", "filter", '{"dateRange": []}'),
    ("memory/threads/chat/messages", "filter", '{"dateRange": {"start": "soon"}}'),
    ("memory/threads/chat/messages", "filter", '{"dateRange": {"end": [1]}}'),
    ("memory/threads/chat/messages", "filter", '{"dateRange": {"end": 1e999}}'),
    ("memory/threads/chat/messages", "filter", '{"metadata": 1}'),
    ("memory/threads/chat/messages", "include", "{}"),
    ("memory/threads/chat/messages", "include", "[1]"),
    ("memory/threads/chat/messages", "include", '[{"id": null}]'),
    ("memory/threads/chat/messages", "include", '[{"id": "a", "withNextMessages": "x"}]'),
    ("memory/threads/chat/messages", "include", '[{"id": "a", "withNextMessages": -1}]'),
    ("memory/threads/chat/messages", "include", '[{"id": "a", "withPreviousMessages": 1e9}]'),
    ("memory/threads/chat/messages", "include", json.dumps([{"id": "a"}] * 1001)),
]


def state(engine: MastraEngine) -> Any:
    memory = engine.memory
    threads = memory.list_threads(resource_id="7").items
    return threads, [memory.list_messages(thread_id=thread.id) for thread in threads]


def refused(response: Any) -> bool:
    """Say whether a request was refused; every answer is JSON, and no error the server's."""
    answer = response.json()
    assert response.status_code < 500, answer
    if response.status_code < 400:
        return False
    assert isinstance(answer["error"], str)
    return True


@pytest.mark.parametrize(("path", "name", "value"), WRONG_QUERIES)
def test_a_wrong_query_is_refused(ann: Mastra, path: str, name: str, value: str) -> None:
    answer = ann.get(f"/{path}", expected=400, **{name: value})
    assert answer["issues"][0]["field"].partition(".")[0] == name.partition("[")[0]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_no_object_is_refused(
    ann: Mastra, staff: Mastra, engine: MastraEngine, body: str
) -> None:
    before = state(engine)
    harmless = "nothing", "unknown key", "key with a NUL", "key with a surrogate", "4,000 digits"
    for method, path, _ in WRITES.values():
        response = staff.raw(method, path, BODIES[body])
        assert refused(response) or body in harmless, path
        if body not in harmless:
            assert response.status_code == 400
    if body not in harmless:
        assert state(engine) == before


@pytest.mark.parametrize("kind", TYPES)
def test_a_body_is_json_whatever_its_type(ann: Mastra, kind: str) -> None:
    body = json.dumps({"title": "New"}).encode()
    response = ann.raw("patch", "/memory/threads/chat", body, TYPES[kind])
    assert (response.status_code, response.json()["title"]) == (200, "New")


def test_an_answer_is_json_whatever_is_accepted(ann: Mastra) -> None:
    for accept in ("text/html", "application/xml", "", "a/b/c", "*/*"):
        response = ann.client.get("/api/memory/threads", headers={"Accept": accept})
        assert response.status_code == 200
        assert response["Content-Type"] == "application/json"


def test_a_body_may_not_be_too_large(ann: Mastra, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_BYTES": 1000, "MAX_ITEMS": 2, "MAX_PAGE": 3}
    response = ann.raw("post", "/memory/threads", b" " * 1001)
    assert response.status_code == 413
    assert response.json()["error"]
    many = {"messages": [message(str(number)) for number in range(3)]}
    ann.post("/memory/save-messages", many, expected=400)
    ann.get("/memory/threads", expected=400, perPage="4")
    assert ann.get("/memory/threads")["perPage"] == 3


def test_requests_are_throttled_as_those_of_the_api(ann: Mastra, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"THROTTLE_RATES": {"write": "1/day"}}
    cache.clear()
    ann.patch("/memory/threads/chat", {"title": "New"})
    response = ann.raw("patch", "/memory/threads/chat", b"{}")
    assert (response.status_code, "Retry-After" in response) == (429, True)
    assert response.json()["error"]
    assert ann.get("/memory/threads/chat")["title"] == "New"


def test_large_messages_are_listed_in_smaller_pages(ann: Mastra) -> None:
    """A response has 32 MiB of JSON at most, and one that copies or includes messages less."""
    for number in range(5):
        content = {"format": 2, "parts": [{"type": "data", "data": "x" * 8_500_000}]}
        body = {"messages": [message(str(number), content=content)]}
        ann.post("/memory/save-messages", body)
    messages = "/memory/threads/chat/messages"
    assert ann.get(messages, perPage="2", page="2")["total"] == 5
    assert ann.get(messages, expected=400)["issues"][0]["field"] == "perPage"
    include = json.dumps([{"id": "2", "withPreviousMessages": 2}])
    answer = ann.get(messages, expected=400, perPage="0", include=include)
    assert answer["issues"][0]["field"] == "include"
    clone = {"options": {"messageLimit": 5}}
    ann.post("/memory/threads/chat/clone", clone, expected=400)
    copied = ann.post("/memory/threads/chat/clone", {})["clonedMessages"]
    assert len(copied) == 3


def test_a_method_that_a_route_lacks_is_refused(ann: Mastra) -> None:
    for method, path in (
        ("put", "/memory/threads/chat"),
        ("delete", "/memory/threads"),
        ("get", "/memory/save-messages"),
        ("get", "/vector/default/query"),
        ("options", "/memory/threads"),
    ):
        response = getattr(ann.client, method)(f"/api{path}")
        assert response.status_code == 405
        assert response.json().keys() == {"error"}


@pytest.mark.parametrize("name", WRITES)
def test_hostile_values_of_fields_are_refused(
    ann: Mastra, staff: Mastra, engine: MastraEngine, name: str
) -> None:
    """Every ninth value for every field; those that are stored are well-formed."""
    method, path, example = WRITES[name]
    fields = {*example, "metadata", "title", "resourceId", "threadId", "options", "filter"}
    for field in sorted(fields):
        for number, (_, _, value) in enumerate(VALUES):
            if number % 29 == len(field) % 29:
                others = {key: item for key, item in example.items() if key != field}
                pairs = [f"{json.dumps(key)}: {json.dumps(item)}" for key, item in others.items()]
                inner = b", ".join([*map(str.encode, pairs), b'"%s": ' % field.encode() + value])
                refused(ann.raw(method, path, b"{" + inner + b"}"))
                ann.post("/memory/threads", {"resourceId": "7", "threadId": "chat"})


@pytest.mark.parametrize("name", READS)
def test_hostile_values_of_queries_are_refused(ann: Mastra, name: str) -> None:
    _, path, _ = READS[name]
    separator = "&" if "?" in path else "?"
    for argument in QUERIES:
        for number, (_, _, value) in enumerate(VALUES):
            if number % 29 == len(argument) % 29 and len(value) < 10_000:
                url = f"/api{path}{separator}{quote(argument)}={quote(value)}"
                refused(ann.client.get(url))


@pytest.mark.parametrize("id", ["a\0b", "%2e%2e", "ä", "x" * 600, " ", "'; --", "\u2028"])
def test_hostile_ids_in_paths_are_answered(ann: Mastra, id: str) -> None:
    for method, path, body in CALLS.values():
        if "/chat" in path:
            assert refused(send(ann, (method, path.replace("chat", quote(id)), body))) or (
                method == "get" and path.endswith("working-memory")
            )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        *("resourceId", "threadId", "title", "metadata", "messages", "messageIds", "options"),
        *("workingMemory", "memoryConfig", "newThreadId", "indexName", "dimension", "vectors"),
        *("ids", "queryVector", "topK", "filter", "includeVector", "metric"),
    ]
)


@given(call=st.sampled_from(list(WRITES.values())), body=st.dictionaries(KEYS, JSON, max_size=6))
@settings(
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_bodies_are_answered(ann: Mastra, staff: Mastra, call: Any, body: Any) -> None:
    method, path, example = call
    for user in (ann, staff):
        for sent in (body, {**example, **body}):
            refused(user.raw(method, path, json.dumps(sent).encode()))
