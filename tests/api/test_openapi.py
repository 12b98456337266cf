"""The description of the API: current, valid, whole, and shown without the internet."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, modify_settings
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.settings import patched_settings, spectacular_settings
from rest_framework.throttling import AnonRateThrottle
from rest_framework.versioning import NamespaceVersioning
from rest_framework.views import APIView

from mastra_engine.api import documentation
from mastra_engine.api.documentation import SETTINGS, pages
from tests.api.catalogue import cases

GOLDEN = Path(__file__).with_name("openapi.yaml")
JSON = "application/json"


def described(client: Client) -> Any:
    return client.get("/api/v1/schema/?format=json").json()


def test_the_golden_file_is_current(client: Client) -> None:
    """Clients rely on it, so every difference is to be read before it is committed."""
    written = OpenApiYamlRenderer().render(described(client)).decode()
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(written)
    assert written == GOLDEN.read_text(), f"Run `make openapi`, and read the changes of {GOLDEN}"


def test_it_is_valid_and_makes_no_warnings(tmp_path: Path) -> None:
    call_command(
        "spectacular",
        validate=True,
        fail_on_warn=True,
        file=str(tmp_path / "openapi.yaml"),
        custom_settings="mastra_engine.api.documentation.SETTINGS",
    )


def test_beside_the_views_of_a_project_it_makes_no_warnings_either(tmp_path: Path) -> None:
    """With drf-spectacular as it comes, which describes OpenAPI 3.0."""
    GENERATOR_STATS.reset()
    call_command("spectacular", fail_on_warn=True, file=str(tmp_path / "openapi.yaml"))


def test_every_operation_is_described_with_an_example(client: Client) -> None:
    paths = described(client)["paths"]
    values_by_key = {
        operation["operationId"]: operation
        for path in paths.values()
        for operation in path.values()
    }
    assert set(values_by_key) == {case.operation.name for case in cases()}
    for name, operation in values_by_key.items():
        assert operation["summary"], name
        good = next(item for code, item in operation["responses"].items() if code[0] == "2")
        for content in good.get("content", {}).values():
            assert content["examples"], name
        takes = operation.get("requestBody", {}).get("content", {}).get(JSON)
        assert takes is None or takes["examples"], name


def test_it_is_where_the_api_is(client: Client) -> None:
    assert all(path.startswith("/api/v1/") for path in described(client)["paths"])


def test_others_settings_stay_as_they_are(client: Client) -> None:
    with patched_settings({}):
        described(client)
    assert spectacular_settings.OAS_VERSION == "3.0.3" != SETTINGS["OAS_VERSION"]


#: Settings of a project that would change a document of drf-spectacular.
FOREIGN = {
    "CAMELIZE_NAMES": True,
    "COMPONENT_SPLIT_REQUEST": True,
    "EXTENSIONS_ROOT": {"x-a": 1},
    "OAS_VERSION": "3.0.3",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SCHEMA_PATH_PREFIX_INSERT": "/gateway",
    "SCHEMA_PATH_PREFIX_TRIM": True,
    "SECURITY": [{"basic": []}],
    "SERVERS": [{"url": "https://example.com"}],
    "SORT_OPERATIONS": False,
    "TAGS": [{"name": "a"}],
    "TITLE": "Another",
    "TOS": "https://example.com/tos",
}


def test_a_projects_settings_do_not_change_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = described(client)
    for name, value in FOREIGN.items():
        monkeypatch.setattr(spectacular_settings, name, value)
    documentation._document.cache_clear()
    assert described(client) == first
    assert spectacular_settings.TITLE == "Another"
    documentation._document.cache_clear()


def test_it_is_made_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    first = described(client)
    monkeypatch.setattr(documentation, "SchemaGenerator", None)
    assert described(client) == first


@pytest.mark.parametrize("page", ["schema", "swagger", "redoc"])
def test_versions_and_throttles_of_a_project_are_for_its_own_views(
    client: Client, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """These attributes are where REST framework keeps its settings."""
    monkeypatch.setattr(NamespaceVersioning, "allowed_versions", ["v1"])
    monkeypatch.setattr(APIView, "versioning_class", NamespaceVersioning)
    monkeypatch.setattr(AnonRateThrottle, "rate", "0/min", raising=False)
    monkeypatch.setattr(APIView, "throttle_classes", [AnonRateThrottle])
    assert client.get(f"/api/v1/{page}/").status_code == 200


@pytest.mark.parametrize("page", ["swagger", "redoc"])
def test_pages_load_nothing_from_elsewhere(client: Client, page: str) -> None:
    html = client.get(f"/api/v1/{page}/").content.decode()
    assert "../schema/" in html
    loaded = re.findall(r"""(?:src|href)=["']([^"'#]+)""", html)
    assert loaded
    assert [item for item in loaded if not item.startswith("/static/")] == []


@pytest.mark.parametrize("app", ["drf_spectacular", "drf_spectacular_sidecar"])
def test_there_are_no_pages_without_what_they_are_made_of(app: str) -> None:
    assert pages()
    with modify_settings(INSTALLED_APPS={"remove": app}):
        assert pages() == []
