"""The API by the rules of HTTP: versions, keys, limits, streams and unavailable databases."""

from __future__ import annotations

import asyncio
import json
import logging
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection, transaction
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.throttling import ScopedRateThrottle

from mastra_engine.api import parsers
from mastra_engine.api.memory import ThreadsView
from mastra_engine.api.records import ExportRecordsView, RecordsView
from mastra_engine.api.renderers import JsonLines, dumps
from mastra_engine.api.request_id import RequestIdFilter
from mastra_engine.api.views import Throttle
from mastra_engine.exceptions import Unavailable
from mastra_engine.web import close_connections
from tests.api.conftest import World, state

CHAT = "/api/v1/threads/chat-1/"
LINES = "application/x-ndjson"


def refusal(response: Any) -> tuple[int, str, str | None]:
    (error,) = response.json()["errors"]
    return response.status_code, error["code"], error["attr"]


# Versions


def test_a_change_of_another_version_is_not_made(world: World) -> None:
    tag = world.ann.get(CHAT)["ETag"]
    first = world.ann.patch(CHAT, {"title": "A"}, format="json", headers={"If-Match": tag})
    assert first.status_code == 200
    assert first["ETag"].startswith('"2-')
    late = world.ann.patch(CHAT, {"title": "B"}, format="json", headers={"If-Match": tag})
    assert refusal(late) == (412, "version_conflict", None)
    assert world.engine.memory.get_thread(thread_id="chat-1").title == "A"


@pytest.mark.parametrize("of", ["threads/chat-1", "resources/7"])
def test_working_memory_has_a_version_too(world: World, of: str) -> None:
    url = f"/api/v1/{of}/working-memory/"
    tag = world.ann.get(url)["ETag"]
    for status in (200, 412):
        answer = world.ann.put(url, {"content": "x"}, format="json", headers={"If-Match": tag})
        assert answer.status_code == status


@pytest.mark.parametrize("tag", ["1", '"x"', '"1-x"', '"1", "2"', '"٣"', '"-1"', '""'])
def test_what_is_no_tag_of_ours_is_refused(world: World, tag: str) -> None:
    answer = world.ann.patch(CHAT, {"title": "A"}, format="json", headers={"If-Match": tag})
    assert refusal(answer) == (400, "invalid_input", "/If-Match")


def test_nor_is_what_has_another_version_deleted(world: World) -> None:
    world.ann.patch(CHAT, {"title": "A"}, format="json")
    late = world.ann.delete(CHAT, headers={"If-Match": '"1"'})
    assert refusal(late) == (412, "version_conflict", None)
    assert world.ann.delete(CHAT, headers={"If-Match": '"2"'}).status_code == 200


@pytest.mark.parametrize("middleware", ["http.ConditionalGetMiddleware", "gzip.GZipMiddleware"])
def test_tags_stand_djangos_own_middleware(world: World, settings: Any, middleware: str) -> None:
    settings.MIDDLEWARE = [f"django.middleware.{middleware}", *settings.MIDDLEWARE]
    world.engine.memory.update_thread(thread_id="chat-1", title="x" * 200)
    tag = world.ann.get(CHAT, headers={"Accept-Encoding": "gzip"})["ETag"]
    texts: Any = [{"role": "user", "content": "How much is it?"}]
    world.engine.memory.save_memory(thread_id="chat-1", messages=texts)
    again = world.ann.get(CHAT, headers={"If-None-Match": tag})
    assert (again.status_code, again.json()["message_count"]) == (200, 3)
    headers = {"If-Match": tag}  # of the version, which messages do not change
    assert world.ann.patch(CHAT, {"title": "A"}, format="json", headers=headers).status_code == 200


# Arguments


def test_what_the_url_says_beside_records_counts(world: World) -> None:
    url = f"/api/v1/entities/{world.path['entity_id']}/records/"
    body: Any = {"records": [{"external_id": "c1", "data": {"city": "Rome"}}]}
    assert world.ann.post(f"{url}?mode=merge", body, format="json").json()["updated"] == 1
    assert world.ann.get(f"{url}c1/").json()["data"].keys() == {"name", "age", "city"}
    for query in ("mode=odd", "mode=merge&mode=merge", "records=[]"):
        refused = world.ann.post(f"{url}?{query}", {**body, "mode": "merge"}, format="json")
        assert refusal(refused)[0] == 400


@pytest.mark.parametrize("url", ["/api/v1/recall/?top_k=1", f"{CHAT}?title=A"])
def test_a_url_that_says_what_nobody_reads_is_refused(world: World, url: str) -> None:
    send = world.ann.patch if url.startswith(CHAT) else world.ann.post
    assert refusal(send(url, {"title": "B"}, format="json"))[:2] == (400, "invalid_input")


# Request ids


@pytest.mark.parametrize("value", ["abc-1", "x" * 128, "a:b.c_d"])
def test_a_request_id_comes_back_and_is_logged(
    world: World, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    with caplog.at_level(logging.INFO, "mastra_engine.api"):
        answer = world.ann.get(CHAT, headers={"X-Request-ID": value})
    assert answer["X-Request-ID"] == value
    (line,) = [record for record in caplog.records if record.name == "mastra_engine.api"]
    assert line.request_id == value  # type: ignore[attr-defined]
    assert line.getMessage() == "GET api/v1/threads/<str:thread_id>/ 200"  # without an id


@pytest.mark.parametrize("value", ["", "x" * 129, "a b", "a\nb", "é"])
def test_an_odd_request_id_is_replaced(world: World, value: str) -> None:
    created = world.ann.get(CHAT, headers={"X-Request-ID": value})["X-Request-ID"]
    assert len(created) == 32


# Queries


@pytest.mark.parametrize(
    ("body", "attr"),
    [
        ({"filters": {"name": {"$regex": "A"}}}, "/filters/name/$regex"),
        ({"sort": [{"field": "name", "direction": "up"}]}, "/sort/0/direction"),
    ],
    ids=["filters", "sort"],
)
def test_what_is_wrong_with_a_query_is_named_by_its_place_in_the_body(
    world: World, body: Any, attr: str
) -> None:
    url = f"/api/v1/entities/{world.path['entity_id']}/query/"
    answer = world.ann.post(url, body, format="json")
    assert refusal(answer) == (400, "invalid_filter", attr)


# Limits


@pytest.mark.parametrize(
    ("limit", "url", "body", "attr"),
    [
        (
            "MAX_ITEMS",
            f"{CHAT}messages/",
            {"messages": [{"role": "user", "content": "a"}] * 3},
            "messages",
        ),
        ("MAX_ITEMS", "/api/v1/messages/read/", {"ids": ["a", "b", "c"]}, "ids"),
        ("MAX_PAGE", "/api/v1/recall/", {"query": "a", "top_k": 3}, "top_k"),
        ("MAX_PAGE", "/api/v1/recall/", {"query": "a", "top_k": 2**70}, "top_k"),
    ],
)
def test_more_than_the_settings_allow_is_refused(
    world: World, settings: Any, limit: str, url: str, body: Any, attr: str
) -> None:
    settings.MASTRA_ENGINE_API = {limit: 2}
    assert refusal(world.ann.post(url, body, format="json")) == (400, "invalid_input", f"/{attr}")


def test_a_page_is_no_longer_than_the_settings_allow(world: World, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_PAGE": 1}
    url = f"/api/v1/entities/{world.path['entity_id']}/records/"
    for query in ({}, {"limit": ""}):
        assert len(world.ann.get(url, query).json().get("items", [1])) == 1
    assert (
        len(world.ann.post(f"{url[:-8]}query/", {"limit": None}, format="json").json()["items"])
        == 1
    )


def test_a_body_is_read_no_further_than_the_limit(world: World, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_BYTES": 100, "MAX_UPLOAD_BYTES": 150}
    large = {"messages": [{"role": "user", "content": "x" * 100}]}
    assert refusal(world.ann.post(f"{CHAT}messages/", large, format="json"))[:2] == (
        413,
        "too_large",
    )
    url = f"/api/v1/entities/{world.path['entity_id']}/records/"
    for body in (b'{"external_id": "x"}\n' * 20, b"x" * 120):
        answer = world.ann.generic("POST", url, body, LINES)
        assert refusal(answer)[:2] == (413, "too_large")


def test_depth_is_a_setting(world: World, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_DEPTH": 3}
    deep = {"metadata": {"a": {"b": {}}}}
    assert world.ann.patch(CHAT, deep, format="json").status_code == 200
    deep = {"metadata": {"a": {"b": {"c": {}}}}}
    assert world.ann.patch(CHAT, deep, format="json").status_code == 400


def test_who_asks_too_often_is_told_when_to_come_back(world: World, settings: Any) -> None:
    cache.clear()
    settings.MASTRA_ENGINE_API = {"THROTTLE_RATES": {"read": "2/min"}}
    answers = [world.ann.get(CHAT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) <= 60
    assert world.ann.patch(CHAT, {"title": "A"}, format="json").status_code == 200
    assert world.staff.get(CHAT).status_code == 200


def test_a_database_that_is_away_is_503(
    world: World, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise Unavailable("The database cannot do this now (SQLSTATE 57P01)")

    settings.MASTRA_ENGINE_API = {"RETRY_AFTER": 7}
    monkeypatch.setattr(type(world.engine.memory), "get_thread", away)
    answer = world.ann.get(CHAT)
    assert refusal(answer) == (503, "unavailable", None)
    assert answer["Retry-After"] == "7"
    assert "SQLSTATE" not in answer.content.decode()


@pytest.mark.parametrize("method", ["put", "patch", "delete", "options"])
def test_methods_that_a_path_lacks_are_405(world: World, method: str) -> None:
    answer = getattr(world.ann, method)("/api/v1/threads/")
    assert refusal(answer) == (405, "method_not_allowed", None)
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"


# Streams


@pytest.mark.parametrize("lines_type", [LINES, f"{LINES}; charset=utf-8", LINES.upper()])
def test_lines_are_upserted_and_exported(world: World, lines_type: str) -> None:
    url = f"/api/v1/entities/{world.path['entity_id']}/"
    lines = b'{"external_id": "c1", "data": {"city": "Rome"}}\n\n{"external_id": "c9", "data": {}}'
    answer = world.ann.generic("POST", f"{url}records/?mode=merge", lines, lines_type)
    assert answer.json() == {"created": 1, "updated": 1, "unchanged": 0}
    exported = b"".join(world.ann.get(f"{url}export/")).splitlines()
    records = [json.loads(line) for line in exported]
    assert [record["external_id"] for record in records] == ["c1", "c2", "c9"]
    assert records[0]["data"] == {"name": "Alice", "age": 34, "city": "Rome"}


def test_an_export_may_be_asked_for_as_what_it_is(world: World) -> None:
    headers = {"Accept": f"{LINES};q=0.9"}
    assert world.ann.get(f"{CHAT}export/", headers=headers)["Content-Type"] == LINES
    refused = world.bob.get(f"{CHAT}export/", headers=headers)
    assert refusal(refused) == (404, "thread_not_found", None)
    assert refused["Content-Type"] == "application/json"


def test_a_thread_is_exported_and_imported(world: World) -> None:
    lines = b"".join(world.ann.get(f"{CHAT}export/"))
    response = world.ann.generic("POST", "/api/v1/import/", lines, LINES)
    assert refusal(response) == (409, "thread_exists", None)
    copied = world.ann.generic("POST", "/api/v1/import/?thread_id=copy", lines, LINES)
    assert (copied.status_code, copied.json()["message_count"]) == (201, 2)
    assert b"".join(world.ann.get("/api/v1/threads/copy/export/")).count(b"vegan") == 1
    # Bob owns the threads that he imports.
    assert world.bob.generic("POST", "/api/v1/import/?thread_id=b", lines, LINES).status_code == 201
    assert world.engine.memory.get_thread(thread_id="b").resource_id == "8"


def test_what_is_imported_is_no_longer_than_a_body(world: World, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_BYTES": 100}
    lines = b'{"id": "long", "resource_id": "7"}\n' + b'{"role": "user", "content": "x"}\n' * 3
    answer = world.ann.generic("POST", "/api/v1/import/", lines, LINES)
    assert refusal(answer)[:2] == (413, "too_large")
    broken = world.ann.generic("POST", "/api/v1/import/", lines[:40], LINES)
    assert refusal(broken) == (400, "invalid_input", "/lines/1")


def test_a_bad_line_stops_everything_and_is_named(world: World) -> None:
    url = "/api/v1/sync/?name=Contacts&mode=full"
    lines = b'{"external_id": "c1", "data": {}}\n{"external_id": ""}\n'
    answer = world.ann.generic("POST", url, lines, LINES)
    assert refusal(answer) == (400, "invalid_input", "/records/1/data")
    broken = world.ann.generic("POST", url, b'{"external_id": "c1", "data": {}}\n{', LINES)
    assert refusal(broken) == (400, "invalid_input", "/records/1")
    assert world.engine.get_record(entity_id=world.path["entity_id"], external_id="c2")


@pytest.mark.parametrize("body", [b"", b"\n", b" \n\n"])
def test_an_empty_upload_deletes_nothing(world: World, body: bytes) -> None:
    url = "/api/v1/sync/?name=Contacts&mode=full"

    def send(url: str) -> Any:
        headers = {"Content-Length": str(len(body))}
        return world.ann.generic("POST", url, body, LINES, headers=headers)

    before = state(world.engine)
    refused = send(url)
    assert refusal(refused) == (409, "sync_aborted", None)
    assert "allow_empty" in refused.content.decode()
    assert state(world.engine) == before
    assert send("/api/v1/sync/?name=New&mode=full").status_code == 200
    assert send("/api/v1/sync/?name=Contacts").json()["deleted"] == 0
    assert send(f"{url}&allow_empty=true").json()["deleted"] == 2


def test_an_empty_list_is_the_complete_set(world: World) -> None:
    body = {"name": "Contacts", "mode": "full", "records": []}
    assert world.ann.post("/api/v1/sync/", body, format="json").json()["deleted"] == 2


@pytest.mark.parametrize("headers", [{"Transfer-Encoding": "chunked"}, {}])
def test_a_body_of_unknown_length_is_not_taken_for_none(
    world: World, headers: dict[str, str]
) -> None:
    before = state(world.engine)
    answer = world.ann.generic(
        "POST", "/api/v1/sync/?name=Contacts&mode=full", b"", LINES, headers=headers
    )
    assert refusal(answer) == (411, "length_required", None)
    assert state(world.engine) == before


def test_an_upload_can_be_read_again() -> None:
    """As when its transaction lost to another one and starts again."""
    upload = parsers.Upload(BytesIO(b'{"external_id": "c1"}\n'), digest="", path="/records")
    assert [*upload] == [*upload] == [{"external_id": "c1"}]


class Upload:
    """A body that is made as it is read."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.lines, self.rest = lines, b""

    def read(self, size: int = -1) -> bytes:
        while len(self.rest) < size and (line := next(self.lines, b"")):
            self.rest += line
        block, self.rest = self.rest[:size], self.rest[size:]
        return block


def peaks(world: World, number: int) -> tuple[int, int]:
    """Return how many bytes are held at most on an upload and on an export of so many records."""
    text = b"x" * 550
    lines = (b'{"external_id": "%d", "data": {"text": "%s"}}\n' % (i, text) for i in range(number))
    entity = world.engine.create_entity(name=f"{number} records", connection_id="7")
    factory, ann = APIRequestFactory(), User(pk=7)
    key = {"Idempotency-Key": f"{number}"}
    upload, export = factory.generic("POST", "/", b"-", LINES, headers=key), factory.get("/")
    upload._stream = Upload(lines)  # type: ignore[attr-defined]
    for request in (upload, export):
        force_authenticate(request, ann)
    tracemalloc.start()
    answer = RecordsView.as_view()(upload, entity_id=str(entity.id))
    _, uploading = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    streamed = ExportRecordsView.as_view()(export, entity_id=str(entity.id))
    size = sum(len(block) for block in streamed)
    _, exporting = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.data["created"] == number
    assert size > number * len(text)
    return uploading, exporting


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.parametrize("number", [30_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_memory_stays_flat_on_an_upload_and_an_export(world: World, number: int) -> None:
    few, many = peaks(world, 15_000), peaks(world, number)
    assert many[0] < 1.1 * few[0]
    assert many[1] < 1.3 * few[1]


def test_lines_are_not_read_all_at_once_under_asgi() -> None:
    read: list[int] = []

    def lines() -> Iterator[bytes]:
        for number in range(5_000):
            read.append(number)
            yield b"{}"

    async def first_block() -> bytes:
        async for block in JsonLines(lines(), asynchronous=True):
            return block
        raise AssertionError

    assert asyncio.run(first_block()) == b"{}\n" * 1_000
    assert len(read) == 1_000


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_holds_no_connection_under_asgi(world: World) -> None:
    """Each block of lines reads its page and closes the connection, until the client reads on."""
    records: Any = [{"external_id": f"{number:05}", "data": {}} for number in range(5_000)]
    entity = world.engine.sync_records(name="Many", connection_id="7", records=records).entity
    lines = world.engine.iter_records(entity_name="Many", connection_id="7")
    assert entity.rev == 5_000

    async def read() -> list[bool]:
        response = JsonLines((dumps(line) for line in lines), asynchronous=True)
        return [connection.connection is not None async for _ in response]

    assert async_to_sync(read)() == [False] * 5
    with transaction.atomic():
        close_connections()
        assert connection.connection is not None


# Projects


def test_a_projects_own_throttles_count_apart(world: World, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"THROTTLE_RATES": {"read": "2/min"}}

    class Own(ScopedRateThrottle):
        scope = "read"
        THROTTLE_RATES = {"read": "1/min"}

    request = Request(APIRequestFactory().get("/"))
    request.user = User(pk=7)
    cache.clear()
    try:
        keys = {throttle.cache_format for throttle in (Own, Throttle)}
        assert len(keys) == 2
        for status in (200, 200, 429):
            assert world.ann.get(CHAT).status_code == status
        view = SimpleNamespace(throttle_scope="read")
        assert Own().allow_request(request, view)  # type: ignore[arg-type]
        assert not Own().allow_request(request, view)  # type: ignore[arg-type]
    finally:
        cache.clear()


@pytest.mark.urls("tests.api.prefixed_urls")
def test_the_api_may_be_included_under_a_prefix_with_variables(world: World) -> None:
    """A variable that an operation has, too, is not an argument of the operation."""
    prefix = "/org/acme/of/nobody/api/v1"
    assert world.ann.get(f"{prefix}/threads/chat-1/").json()["title"] == "Lunch"
    assert world.ann.get(f"{prefix}/threads/").json()["items"][0]["id"] == "chat-1"
    created = world.ann.post(f"{prefix}/threads/", {"title": "A"}, format="json")
    assert (created.status_code, created.json()["resource_id"]) == (201, "7")
    entity = f"{prefix}/entities/{world.path['entity_id']}"
    assert world.ann.get(f"{entity}/records/c1/").json()["data"]["name"] == "Alice"
    assert world.ann.get(f"{prefix}/threads/nothing/").status_code == 404
    for page in ("schema/?format=json", "swagger/", "redoc/"):
        assert world.ann.get(f"{prefix}/{page}").status_code == 200
    paths = world.ann.get(f"{prefix}/schema/?format=json").json()["paths"]
    assert all(path.startswith(prefix) for path in paths)


# In a browser


def test_it_can_be_browsed(world: World) -> None:
    page = world.ann.get("/api/v1/threads/", headers={"Accept": "text/html"})
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "chat-1" in page.content.decode()
    assert world.ann.get("/api/v1/threads/", headers={"Accept": "text/csv"}).status_code == 406


def test_without_its_templates_there_is_no_browsing(world: World, settings: Any) -> None:
    settings.INSTALLED_APPS = [item for item in settings.INSTALLED_APPS if item != "rest_framework"]
    page = world.ann.get("/api/v1/threads/", headers={"Accept": "text/html,*/*"})
    assert page["Content-Type"] == "application/json"
    assert len(ThreadsView().get_renderers()) == 1
