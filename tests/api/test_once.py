"""A request that is repeated with its `Idempotency-Key` has one effect and the same response."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from mastra_engine import failpoints as pausing
from mastra_engine.types import Scope
from tests.api.catalogue import Case, call, cases, sent
from tests.api.conftest import World, state
from tests.api.test_access import SECRETS, content_of
from tests.api.test_http import LINES, refusal
from tests.waiting import PATIENCE

CHAT = "/api/v1/threads/chat-1/"
KEYED = [case for case in cases() if case.operation.keyed]
every_keyed_operation = pytest.mark.parametrize("case", KEYED, ids=lambda case: case.operation.name)
DINNER = {"thread_id": "chat-2", "title": "Dinner"}
SUPPER = {"thread_id": "chat-2", "title": "Supper"}


def under(key: str, **headers: str) -> dict[str, Any]:
    return {"format": "json", "headers": {"Idempotency-Key": key, **headers}}


def owner_of(case: Case, world: World) -> APIClient:
    return world.staff if case.for_staff else world.ann


@every_keyed_operation
def test_every_operation_is_answered_again(case: Case, world: World) -> None:
    client, path = owner_of(case, world), world.path_of(case)
    first = content_of(call(client, case, path, **{"Idempotency-Key": "1"}))
    processed = state(world.engine)
    assert first[0] == case.operation.status
    assert content_of(call(client, case, path, **{"Idempotency-Key": "1"})) == first
    assert state(world.engine) == processed


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@every_keyed_operation
def test_a_key_of_somebody_elses_is_another(case: Case, world: World) -> None:
    path = world.path_of(case)
    assert call(owner_of(case, world), case, path, **{"Idempotency-Key": "1"}).status_code < 300
    bobs = content_of(call(world.bob, case, path, **{"Idempotency-Key": "1"}))
    request = json.dumps(sent(case))  # An error may repeat the request's own arguments.
    visible = [secret for secret in SECRETS if secret.encode() in bobs[1]]
    assert [secret for secret in visible if secret not in request] == []
    if set(case.variables) - {"index_name"}:
        assert bobs[0] == (403 if case.for_staff else 404)
    nobodys = content_of(call(world.nobody, case, path, **{"Idempotency-Key": "1"}))
    assert nobodys[0] in (401, 403)


def test_reading_takes_no_notice_of_a_key(world: World) -> None:
    body: dict[str, Any] = {"ids": ["m-1"]}
    assert len(world.ann.post("/api/v1/messages/read/", body, **under("1")).json()["items"]) == 1
    body = {"ids": []}
    assert world.ann.post("/api/v1/messages/read/", body, **under("1")).json()["items"] == []


def test_building_takes_no_key(world: World) -> None:
    assert {case.operation.name for case in cases() if case.operation.writes} == {
        "build_index",
        *(case.operation.name for case in KEYED),
    }
    refused = world.staff.post("/api/v1/indexes/docs/build/", {}, **under("1"))
    assert refusal(refused) == (400, "invalid_input", "/Idempotency-Key")


# What is the same


def test_other_arguments_are_refused(world: World) -> None:
    assert world.ann.post("/api/v1/threads/", DINNER, **under("1")).status_code == 201
    for body in (SUPPER, {**DINNER, "resource_id": "7", "metadata": {}}, {}):
        refused = world.ann.post("/api/v1/threads/", body, **under("1"))
        assert refusal(refused) == (422, "idempotency_conflict", None)
        assert not refused.has_header("Retry-After")


def test_the_same_arguments_are_the_same_however_they_are_written(world: World) -> None:
    first = world.ann.post("/api/v1/threads/", DINNER, **under("1"))
    written = '{ "title": "D\\u0069nner", "thread_id": "chat-2", "resource_id": "7" }'
    headers = {"Idempotency-Key": "1"}
    again = world.ann.generic(
        "POST", "/api/v1/threads/", written, "application/json", headers=headers
    )
    assert content_of(again) == content_of(first)


def test_a_version_is_one_of_the_arguments(world: World) -> None:
    first = world.ann.patch(CHAT, {"title": "A"}, **under("1", **{"If-Match": '"1"'}))
    again = world.ann.patch(CHAT, {"title": "A"}, **under("1", **{"If-Match": '"1"'}))
    assert content_of(again) == content_of(first)
    assert first["ETag"].startswith('"2-')
    other = world.ann.patch(CHAT, {"title": "A"}, **under("1", **{"If-Match": '"2"'}))
    assert refusal(other) == (422, "idempotency_conflict", None)


def test_a_key_is_of_one_url_and_method(world: World) -> None:
    body = {"messages": [{"role": "user", "content": "How much?"}]}
    world.ann.post("/api/v1/threads/", DINNER, **under("1"))
    for thread in ("chat-1", "chat-2"):
        saved = world.ann.post(f"/api/v1/threads/{thread}/messages/", body, **under("1")).json()
        assert saved["items"][0]["thread_id"] == thread
    mind = "/api/v1/resources/7/working-memory/"
    assert world.ann.patch(mind, {"patch": {"a": 1}}, **under("1")).json()["version"] == 2
    assert world.ann.put(mind, {"content": "x"}, **under("1")).json()["version"] == 3


def test_uploads_are_compared_by_their_bytes(world: World) -> None:
    url, headers = "/api/v1/sync/?name=Contacts&mode=full", {"Idempotency-Key": "1"}
    lines = b'{"external_id": "c9", "data": {}}\n' * 3

    def upload(body: bytes, url: str = url) -> Any:
        return world.ann.generic("POST", url, body, LINES, headers=headers)

    first = upload(lines)
    assert first.json()["deleted"] == 2
    assert content_of(upload(lines)) == content_of(first)
    assert refusal(upload(lines + b"\n")) == (422, "idempotency_conflict", None)
    other_arguments = upload(lines, url.replace("full", "incremental"))
    assert refusal(other_arguments) == (422, "idempotency_conflict", None)


# Stored responses


def test_messages_sent_again_are_not_appended_again(world: World) -> None:
    url, body = f"{CHAT}messages/", {"messages": [{"role": "user", "content": "How much?"}]}
    first, again = (world.ann.post(url, body, **under("turn-2")) for _ in range(2))
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    world.engine.memory.delete_messages(ids=[first.json()["items"][0]["id"]])
    assert world.ann.post(url, body, **under("turn-2")).content == first.content
    assert world.engine.memory.get_thread(thread_id="chat-1").message_count == 2


def test_a_refusal_is_not_remembered(world: World) -> None:
    url, body = "/api/v1/threads/chat-2/messages/", {"messages": [{"role": "user", "content": "a"}]}
    missing = world.ann.post(url, body, **under("1"))
    assert refusal(missing) == (404, "thread_not_found", None)
    world.engine.memory.create_thread(resource_id="7", thread_id="chat-2")
    for _ in range(2):
        assert world.ann.post(url, body, **under("1")).status_code == 201
    assert world.engine.memory.get_thread(thread_id="chat-2").message_count == 1


def test_how_long_is_a_setting(world: World, settings: Any) -> None:
    mind, body = "/api/v1/resources/7/working-memory/", {"content": "x"}
    settings.MASTRA_ENGINE_API = {"IDEMPOTENCY_TTL": 0}
    versions = [world.ann.put(mind, body, **under("1")).json()["version"] for _ in range(2)]
    settings.MASTRA_ENGINE_API = {"IDEMPOTENCY_TTL": 3600}
    versions += [world.ann.put(mind, body, **under("1")).json()["version"] for _ in range(2)]
    assert versions == [2, 3, 4, 4]


def test_what_was_erased_is_not_answered_again(world: World) -> None:
    mind, body = "/api/v1/resources/7/working-memory/", {"content": "Likes soup."}
    world.ann.put(mind, body, **under("1"))
    world.engine.erase(resource_id="7")
    refused = world.ann.put(mind, body, **under("1"))
    assert refusal(refused) == (409, "conflict", None)
    assert world.engine.memory.get_working_memory(resource_id="7").version == 0


def test_what_one_may_touch_no_longer_is_not_answered_again(world: World, settings: Any) -> None:
    reach = ["7", "8"]

    def policy(request: Any, permission: str) -> Scope:
        return Scope(resource_ids=frozenset(reach))

    stored = world.engine  # the mock's store is there as long as its engine
    settings.MASTRA_ENGINE = {
        "default": {**settings.MASTRA_ENGINE["default"], "ACCESS_POLICY": policy}
    }
    url, body = "/api/v1/resources/7/working-memory/", {"content": "Ann's own"}
    assert world.bob.put(url, body, **under("1")).status_code == 200
    reach.remove("7")
    assert world.bob.put(url, body, **under("1")).status_code == 404
    assert stored.memory.get_working_memory(resource_id="7").version == 2


# Keys


@pytest.mark.parametrize("key", ["1", "x" * 255, '"quoted"', "a,b;c=d", "%00", "../~!"])
def test_a_key_is_any_visible_text(world: World, key: str) -> None:
    for _ in range(2):
        assert world.ann.post("/api/v1/threads/", DINNER, **under(key)).status_code == 201


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "a b", "a\tb", "a\nb", "\0", "\x7f", "é", "٣", "\ud800"]
)
def test_other_keys_are_refused(world: World, key: str) -> None:
    refused = world.ann.post("/api/v1/threads/", DINNER, **under(key))
    assert refusal(refused) == (400, "invalid_input", "/Idempotency-Key")
    assert world.ann.get("/api/v1/threads/chat-2/").status_code == 404


# At once


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Event, Event]]:
    """An operation with a key waits before its response is stored, until the test lets it go on."""
    arrived, go = Event(), Event()

    def handler(name: str) -> None:
        if name == "acted" and not arrived.is_set():
            arrived.set()
            assert go.wait(PATIENCE)

    monkeypatch.setattr(pausing, "handler", handler)
    yield arrived, go
    go.set()


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_under_way_is_not_begun_again(
    world: World, settings: Any, events: tuple[Event, Event]
) -> None:
    settings.MASTRA_ENGINE_API = {"RETRY_AFTER": 3}
    arrived, go = events

    def ask() -> Any:
        try:
            return world.ann.post("/api/v1/threads/", DINNER, **under("1"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask)
        assert arrived.wait(PATIENCE)
        for body in (DINNER, SUPPER):
            refused = world.ann.post("/api/v1/threads/", body, **under("1"))
            assert refusal(refused) == (409, "in_flight", None)
            assert refused["Retry-After"] == "3"
        assert world.ann.post("/api/v1/threads/", {}, **under("2")).status_code == 201
        go.set()
        assert first.result().status_code == 201
    assert content_of(ask()) == content_of(first.result())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_what_was_done_is_kept_whatever_the_project_says_of_transactions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    response = world.ann.post("/api/v1/threads/", {"thread_id": "chat-1"}, **under("1"))
    assert response.status_code == 409
    with monkeypatch.context() as broken:

        def fail(*_: Any) -> None:
            raise RuntimeError("Later in the request")

        broken.setattr("mastra_engine.api.operations.Operation.response", fail)
        assert world.ann.post("/api/v1/threads/", DINNER, **under("1")).status_code == 500
    first, again = (world.ann.post("/api/v1/threads/", DINNER, **under("1")) for _ in range(2))
    assert first.status_code == 201
    assert content_of(again) == content_of(first)
    assert world.engine.memory.get_thread(thread_id=first.json()["id"]).version == 1
