"""The start of the API, and paths that do not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client, modify_settings, override_settings

from mastra_engine.api import parsers
from tests.api.conftest import World, state
from tests.api.test_http import LINES, refusal

JSON = "application/json"
COMMON = "django.middleware.common.CommonMiddleware"


def test_the_root_names_the_documents(client: Client) -> None:
    root = client.get("/api/v1/").json()
    assert set(root) == {"version", "schema", "swagger", "redoc"}
    for name in ("schema", "swagger", "redoc"):
        assert root[name] == f"http://testserver/api/v1/{name}/"
        assert client.get(root[name]).status_code == 200
    with modify_settings(INSTALLED_APPS={"remove": "drf_spectacular_sidecar"}):
        assert set(client.get("/api/v1/").json()) == {"version", "schema"}


def test_the_root_can_be_browsed(client: Client) -> None:
    page = client.get("/api/v1/", headers={"Accept": "text/html"})
    assert page["Content-Type"] == "text/html; charset=utf-8"
    assert "http://testserver/api/v1/swagger/" in page.content.decode()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
@pytest.mark.parametrize(
    "path", ["nothing/", "nothing", "threads/a/b/c/", "thr%0Aeads/", "é/", "//"]
)
def test_unknown_paths_are_json_errors(
    client: Client, method: str, path: str, *, debug: bool
) -> None:
    with override_settings(DEBUG=debug), modify_settings(MIDDLEWARE={"prepend": COMMON}):
        response = getattr(client, method)(f"/api/v1/{path}")
    assert (response.status_code, response["Content-Type"]) == (404, JSON)
    if method != "head":
        assert refusal(response) == (404, "not_found", None)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("middleware", [[COMMON], []], ids=["CommonMiddleware", "none"])
def test_a_path_without_its_slash(client: Client, middleware: list[str], *, debug: bool) -> None:
    changes = {"prepend": middleware}
    with override_settings(DEBUG=debug), modify_settings(MIDDLEWARE=changes):
        moved = client.get("/api/v1/threads?limit=1")
        assert (moved.status_code, moved["Location"]) == (301, "/api/v1/threads/?limit=1")
        for method in ("post", "put", "patch", "delete"):
            response = getattr(client, method)("/api/v1/threads")
            assert refusal(response) == (404, "not_found", None)
            assert "must end with a slash: /api/v1/threads/" in response.content.decode()


def test_ids_with_line_breaks_are_found(world: World) -> None:
    """A line break in a path is encoded as %0A."""
    id = "a\nb/c\n"
    world.engine.memory.create_thread(resource_id="7", thread_id="x\ny\n")
    world.engine.upsert_records(
        entity_id=world.path["entity_id"], records=[{"external_id": id, "data": {}}]
    )
    assert world.ann.get("/api/v1/threads/x%0Ay%0A/").json()["id"] == "x\ny\n"
    url = f"/api/v1/entities/{world.path['entity_id']}/records/a%0Ab/c%0A/"
    assert world.ann.get(url).json()["external_id"] == id


# Uploads


def full_disk(*_: Any) -> Any:
    return Path("/dev/full").open("w+b")


def no_directory(*_: Any) -> Any:
    raise FileNotFoundError("No usable temporary directory found")


@pytest.mark.parametrize("size", [1, 100_000])
@pytest.mark.parametrize("file", [full_disk, no_directory])
def test_an_upload_that_cannot_be_stored_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, file: Any, size: int
) -> None:
    monkeypatch.setattr(parsers, "TemporaryFile", file)
    before = state(world.engine)
    lines = b'{"external_id": "c9", "data": {}}\n' * size
    url = "/api/v1/sync/?name=Contacts&mode=full"
    response = world.ann.generic("POST", url, lines, LINES)
    assert refusal(response) == (507, "insufficient_storage", None)
    assert response["Retry-After"] == "1"
    assert state(world.engine) == before


# Times


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_times_are_in_utc_whatever_the_zone_of_the_database(world: World) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'")
    for url in ("threads/chat-1", f"entities/{world.path['entity_id']}/records/c1"):
        value = world.ann.get(f"/api/v1/{url}/").json()
        for name in ("created_at", "updated_at"):
            assert value[name].endswith("Z")
            assert "+" not in value[name]
    export = b"".join(world.ann.get("/api/v1/threads/chat-1/export/")).decode()
    assert "+05:30" not in export
