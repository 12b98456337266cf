"""What the protocol demands of the server, over HTTP and over the standard streams."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client, override_settings
from django.urls import include, path

from mastra_engine import engine
from mastra_engine.exceptions import EngineConfigError, Unavailable
from mastra_engine.mcp.stdio import serve
from mastra_engine.mcp.views import McpView
from tests.mcp import urls
from tests.mcp.conftest import LATEST, MODERN, Host, envelope
from tests.mcp.data import Owner, calls

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
INITIALIZE = {
    "protocolVersion": LATEST,
    "capabilities": {},
    "clientInfo": {"name": "tests", "version": "1"},
}


def error_of(response: Any) -> tuple[int, int, Any]:
    body = response.json()
    assert set(body) == {"jsonrpc", "id", "error"}
    return response.status_code, body["error"]["code"], body["id"]


# Revisions


@pytest.mark.parametrize(
    ("requested", "negotiated"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
    ],
)
def test_the_handshake_negotiates_a_revision_without_a_session(
    host: Host, requested: str, negotiated: str
) -> None:
    params = {**INITIALIZE, "protocolVersion": requested}
    response = host.post({"jsonrpc": "2.0", "id": "a", "method": "initialize", "params": params})
    assert response.status_code == 200
    assert "Mcp-Session-Id" not in response
    result = response.json()["result"]
    assert result["protocolVersion"] == negotiated
    assert result["serverInfo"]["name"] == "mastra_engine"
    assert set(result["capabilities"]) == {"tools", "resources"}


def test_the_revision_without_a_handshake_is_discovered(host: Host) -> None:
    result = host.send("server/discover", version=MODERN)["result"]
    assert result["supportedVersions"] == ["2025-06-18", "2025-11-25", "2026-07-28"]
    assert result["resultType"] == "complete"
    assert result["cacheScope"] == "private"
    server = result["_meta"]["io.modelcontextprotocol/serverInfo"]
    assert server["name"] == "mastra_engine"


def test_a_request_without_a_revision_is_answered(host: Host) -> None:
    assert host.post(PING).json() == {"id": 1, "jsonrpc": "2.0", "result": {}}


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2099-01-01", "latest", ""])
def test_other_revisions_are_refused_with_those_that_are_served(host: Host, version: str) -> None:
    response = host.post(PING, **{"MCP-Protocol-Version": version})
    assert error_of(response) == (400, -32022, 1)
    supported = ["2025-06-18", "2025-11-25", "2026-07-28"]
    assert response.json()["error"]["data"] == {"supported": supported, "requested": version}


@pytest.mark.parametrize(
    ("changes", "meta", "code"),
    [
        ({"Mcp-Method": "tools/call"}, {}, -32020),
        ({"Mcp-Method": ""}, {}, -32020),
        ({"MCP-Protocol-Version": "2025-11-25"}, {}, -32020),
        ({"MCP-Protocol-Version": ""}, {}, -32020),
        ({}, {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}, -32020),
        ({}, {"io.modelcontextprotocol/clientCapabilities": 7}, -32602),
    ],
)
def test_headers_must_agree_with_the_body(
    host: Host, changes: dict[str, str], meta: dict[str, Any], code: int
) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/list",
        "params": {"_meta": {**envelope(), **meta}},
    }
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list", **changes}
    assert error_of(host.post(message, **headers)) == (400, code, 1)


@pytest.mark.parametrize(("version", "status"), [(LATEST, 200), (MODERN, 404)])
@pytest.mark.parametrize("method", ["prompts/list", "logging/setLevel", "nothing", "a\0", "\ud800"])
def test_methods_that_are_not_served_are_unknown(
    host: Host, method: str, version: str, status: int
) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"level": "info"}}
    if version == MODERN:
        if not method.isprintable():
            return  # a header cannot have it
        message["params"] = {"_meta": envelope()}
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": method} if version == MODERN else {}
    assert error_of(host.post(message, **headers)) == (status, -32601, 1)


# Messages


@pytest.mark.parametrize(
    "body",
    [
        [PING],
        [],
        {},
        7,
        None,
        {**PING, "id": None},
        {**PING, "id": 1.5},
        {**PING, "id": True},
        {**PING, "id": {}},
        {**PING, "jsonrpc": "1.0"},
        {**PING, "method": 7},
        {**PING, "params": []},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "method": 7},
    ],
)
def test_what_is_no_request_is_refused(host: Host, body: Any) -> None:
    assert error_of(host.post(body)) == (400, -32600, None)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "id": 2}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": NaN}}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "a\0b"}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b"1" * 5000,
    ],
)
def test_what_is_no_json_is_refused(host: Host, body: bytes) -> None:
    assert error_of(host.post(body)) == (400, -32700, None)


@pytest.mark.parametrize("id", ["", "a\0b", "\ud800", 10**400, -1, "é"])
def test_answers_have_the_id_of_their_request(host: Host, id: Any) -> None:
    response = host.post({**PING, "id": id})
    assert response.status_code == 200
    assert response.json()["id"] == id


@pytest.mark.parametrize("method", ["initialized", "cancelled", "progress", "surprise"])
@pytest.mark.parametrize("version", ["2025-06-18", LATEST, MODERN])
def test_notifications_are_accepted(host: Host, method: str, version: str) -> None:
    message = {"jsonrpc": "2.0", "method": f"notifications/{method}"}
    response = host.post(message, **{"MCP-Protocol-Version": version})
    assert (response.status_code, response.content) == (202, b"")


def test_notifications_do_nothing(host: Host, ann: Owner) -> None:
    params = {"name": "save_messages", "arguments": calls(ann)["save_messages"]}
    response = host.post({"jsonrpc": "2.0", "method": "tools/call", "params": params})
    assert response.status_code == 202
    assert len(engine.memory.list_messages(thread_id=ann.thread_id)) == 2


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("tools/call", {}, "Invalid parameters: params/name: Field required"),
        ("tools/call", {"name": 7}, "params/name"),
        ("tools/call", {"name": "recall", "arguments": []}, "params/arguments"),
        ("tools/call", {"name": "drop"}, "Unknown tool: drop"),
        ("tools/call", {"name": "\ud800"}, "Unknown tool: \\ud800"),
        ("tools/list", {"cursor": "x"}, "/cursor: is not a cursor of this list"),
        ("resources/list", {"cursor": "x"}, "/cursor: is not a cursor of this query"),
        ("resources/templates/list", {"cursor": "x"}, "/cursor: is not a cursor of this list"),
        ("initialize", {}, "params/"),
    ],
)
def test_parameters_that_are_not_valid_are_named(
    host: Host, method: str, params: Any, text: str
) -> None:
    error = host.send(method, params)["error"]
    assert error["code"] == -32602
    assert text in error["message"]


@pytest.mark.parametrize("kind", [RuntimeError, EngineConfigError])
def test_a_failure_of_the_server_is_logged_and_not_shown(
    host: Host,
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise kind("secret")

    monkeypatch.setattr(type(engine.memory), "list_threads", fail)
    error = host.send("tools/call", {"name": "list_threads"})["error"]
    assert error == {"code": -32603, "message": "Internal server error"}
    assert "secret" in caplog.text


@pytest.mark.parametrize("kind", [Unavailable, OperationalError])
def test_a_database_that_is_away_is_told_without_its_name(
    host: Host, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise kind("no route to secret")

    monkeypatch.setattr(type(engine.memory), "list_threads", away)
    answer = host.post({**PING, "method": "tools/call", "params": {"name": "list_threads"}})
    assert answer.status_code == 200
    assert Unavailable.default_message in answer.content.decode()
    assert "secret" not in answer.content.decode()
    assert "secret" not in json.dumps(host.send("resources/list"))


# HTTP


@pytest.mark.parametrize("method", ["get", "delete", "put", "patch", "options"])
@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_only_post_is_allowed(host: Host, method: str, accept: str) -> None:
    response = getattr(Client(), method)("/mcp/", headers={"Accept": accept})
    assert response.status_code == 405
    assert response["Allow"] == "POST, OPTIONS"


@pytest.mark.parametrize(
    "accept", ["application/json, text/event-stream", "*/*", "application/*", "application/json"]
)
def test_answers_are_json(host: Host, accept: str) -> None:
    response = host.post(PING, Accept=accept)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response["Cache-Control"] == "private"
    assert response["X-Request-ID"]


def test_other_media_types_are_refused(host: Host) -> None:
    assert host.post(PING, Accept="text/event-stream").status_code == 406
    response = Client().post(
        "/mcp/", PING, content_type="text/plain", headers={"Authorization": f"Token {host.token}"}
    )
    assert error_of(response) == (415, -32600, None)


def test_a_body_over_the_limit_is_413(host: Host, ann: Owner, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_BYTES": 1000}
    arguments = {**calls(ann)["save_messages"]}
    arguments["messages"] = [{"role": "user", "content": "x" * 1000}]
    params = {"name": "save_messages", "arguments": arguments}
    response = host.post({**PING, "method": "tools/call", "params": params})
    assert error_of(response) == (413, -32600, None)
    assert len(engine.memory.list_messages(thread_id=ann.thread_id)) == 2


def test_a_body_of_unknown_length_is_411(host: Host) -> None:
    response = Client().generic(
        "POST",
        "/mcp/",
        json.dumps(PING),
        content_type="application/json",
        headers={"Authorization": f"Token {host.token}", "Transfer-Encoding": "chunked"},
        CONTENT_LENGTH="",
    )
    assert error_of(response) == (411, -32600, None)


def test_tools_have_the_rates_of_the_api(host: Host, ann: Owner, settings: Any) -> None:
    cache.clear()
    rates = {"search": "1/min", "read": "3/min", "write": "1/min"}
    settings.MASTRA_ENGINE_API = {"THROTTLE_RATES": rates}

    def status(name: str) -> int:
        params = {"name": name, "arguments": calls(ann)[name]}
        response = host.post({**PING, "method": "tools/call", "params": params})
        if response.status_code == 429:
            assert int(response["Retry-After"]) <= 60
            assert error_of(response)[1:] == (-32600, None)
        return int(response.status_code)

    assert [status("recall"), status("search_records")] == [200, 429]
    assert [status("save_messages"), status("update_working_memory")] == [200, 429]
    assert [status("list_threads"), host.post(PING).status_code] == [200, 200]
    assert [host.post(b"{").status_code, host.post(b"{").status_code] == [400, 429]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://testserver:3000", 200),
        ("https://testserver", 200),
        ("http://evil.example", 403),
        ("http://testserver.evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
    ],
)
def test_the_origin_must_be_an_allowed_host(host: Host, origin: str, status: int) -> None:
    for client in (host, Host()):
        response = client.post(PING, Origin=origin)
        assert response.status_code == (401 if status == 200 and client.token is None else status)


def test_a_session_needs_no_csrf_token(ann: Owner) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ann.user)
    response = client.post("/mcp/", PING, content_type="application/json")
    assert response.status_code == 200
    refused = client.post(
        "/mcp/", PING, content_type="application/json", headers={"Origin": "http://evil.example"}
    )
    assert refused.status_code == 403


@pytest.mark.parametrize(
    ("challenge", "served", "header"),
    [
        (None, False, "Bearer"),
        (None, True, 'Bearer resource_metadata="{}"'),
        ("Token", True, 'Token, Bearer resource_metadata="{}"'),
        ('Bearer realm="api"', True, 'Bearer realm="api", resource_metadata="{}"'),
    ],
)
def test_a_challenge_names_the_oauth_metadata_of_the_project(
    challenge: str | None, served: bool, header: str, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    class Authentication:
        def authenticate(self, request: Any) -> None:
            return None

        def authenticate_header(self, request: Any) -> str | None:
            return challenge

    monkeypatch.setattr(McpView, "authentication_classes", [Authentication])
    where = ".well-known/oauth-protected-resource/mcp"
    result = [path(where, lambda request: None)] if served else []

    class Urls:
        urlpatterns = [*urls.urlpatterns, *result]

    with override_settings(ROOT_URLCONF=Urls):
        response = Host().post(PING)
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == header.format(f"http://testserver/{where}")
    assert error_of(response)[1:] == (-32600, None)


def test_the_address_may_have_no_slash_at_its_end(db: None) -> None:
    class Urls:
        urlpatterns = [path("mcp", include("mastra_engine.mcp.urls"))]

    with override_settings(ROOT_URLCONF=Urls):
        response = Client().post("/mcp", PING, content_type="application/json")
    assert error_of(response) == (401, -32600, None)


# Resources


def test_threads_are_listed_and_read(host: Host, ann: Owner) -> None:
    (resource,) = host.send("resources/list")["result"]["resources"]
    assert resource["uri"] == f"mastra-engine://threads/{ann.thread_id}"
    assert resource["title"] == ann.secret
    (contents,) = host.send("resources/read", {"uri": resource["uri"]})["result"]["contents"]
    assert contents["mimeType"] == "application/json"
    view = json.loads(contents["text"])
    assert [message["role"] for message in view["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize("version", [LATEST, MODERN])
def test_a_record_is_read_by_the_template(host: Host, ann: Owner, version: str) -> None:
    listed = host.send("resources/templates/list", version=version)["result"]["resourceTemplates"]
    assert [template["uriTemplate"] for template in listed] == [
        "mastra-engine://threads/{thread_id}",
        "mastra-engine://entities/{entity_id}/records/{external_id}",
    ]
    uri = f"mastra-engine://entities/{ann.entity_id}/records/c%2F1"
    result = host.send("resources/read", {"uri": uri}, version=version)["result"]
    assert json.loads(result["contents"][0]["text"])["data"]["age"] == 34


@pytest.mark.parametrize(("version", "code"), [(LATEST, -32002), (MODERN, -32602)])
def test_missing_and_foreign_resources_are_not_found(
    host: Host, bob: Owner, version: str, code: int
) -> None:
    for uri in (
        f"mastra-engine://threads/{bob.thread_id}",
        "mastra-engine://threads/nothing",
        f"mastra-engine://entities/{bob.entity_id}/records/c2",
        "file:///etc/passwd",
        "nothing",
    ):
        error = host.send("resources/read", {"uri": uri}, version=version)["error"]
        assert error == {"code": code, "message": "Resource not found", "data": {"uri": uri}}
    error = host.send("resources/read", {"uri": "mastra-engine://entities/x/records/y"})["error"]
    assert error["code"] == -32602


def test_resources_come_in_pages(host: Host, ann: Owner, bob: Owner) -> None:
    for number in range(100):
        engine.memory.create_thread(resource_id=ann.id, thread_id=f"{ann.secret}-{number}")
    first = host.send("resources/list")["result"]
    second = host.send("resources/list", {"cursor": first["nextCursor"]})["result"]
    assert (len(first["resources"]), len(second["resources"])) == (100, 1)
    assert "nextCursor" not in second
    refused = Host(bob.token).send("resources/list", {"cursor": first["nextCursor"]})
    assert refused["error"]["code"] == -32602


# Standard streams


def streamed(owner: Owner, *lines: bytes) -> list[Any]:
    target = BytesIO()
    serve(lambda: owner.user, BytesIO(b"\n".join(lines)), target)
    return [json.loads(line) for line in target.getvalue().splitlines()]


@pytest.mark.django_db(transaction=True)
def test_messages_are_answered_line_by_line(ann: Owner, settings: Any) -> None:
    settings.MASTRA_ENGINE_API = {"MAX_BYTES": 1000}
    ping = json.dumps(PING).encode()
    call = {"name": "recall", "arguments": {"query": "soup"}}
    answers = streamed(
        ann,
        json.dumps({**PING, "method": "initialize", "params": INITIALIZE}).encode(),
        b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        b"",
        b"x" * 5000,
        b"{",
        b"[]",
        json.dumps({**PING, "method": "tools/call", "params": call}).encode(),
        json.dumps({**PING, "method": "server/discover", "params": {"_meta": envelope()}}).encode(),
        ping,
    )
    assert answers[0]["result"]["protocolVersion"] == LATEST
    assert [answer["error"]["code"] for answer in answers[1:4]] == [-32600, -32700, -32600]
    assert ann.secret in answers[4]["result"]["content"][0]["text"]
    assert MODERN in answers[5]["result"]["supportedVersions"]
    assert answers[6]["result"] == {}
    assert len(answers) == 7
