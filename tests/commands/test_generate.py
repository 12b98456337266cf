"""engine_generate: a file of types that is right, and a check that says when it is not."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import include, path, re_path

from mastra_engine import engine
from mastra_engine.devstack import codegen
from mastra_engine.handler import engines


def generate(out: Path, *arguments: str, lang: str = "openapi") -> str:
    output = StringIO()
    call_command("engine_generate", f"--lang={lang}", f"--out={out}", *arguments, stdout=output)
    return output.getvalue().strip()


def save(connection_id: str, name: str, *data: dict[str, Any]) -> None:
    records = [{"external_id": str(i), "data": item} for i, item in enumerate(data)]
    engine.sync_records(name=name, connection_id=connection_id, records=records)


@pytest.fixture(autouse=True, params=["PostgresEngine", "MockMastraEngine"])
def _records(request: Any, settings: Any, db: None) -> None:
    settings.MASTRA_ENGINE = {"default": {"BACKEND": f"mastra_engine.{request.param}"}}
    if request.param == "MockMastraEngine":
        engines["default"].reset()
    save("ann", "Contacts", {"name": "Ann", "phones": [{"number": 1}]}, {"name": "Bob"})
    save("bob", "Contacts", {"name": None})
    save("bob", "open tickets", {"id": 7})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "types"


def test_what_was_written_is_up_to_date(out: Path) -> None:
    assert generate(out) == f"Wrote {out}: 2 entities."
    written = out.stat().st_mtime_ns
    assert generate(out) == f"{out} is up to date."
    assert generate(out, "--check") == f"{out} is up to date."
    assert out.stat().st_mtime_ns == written


def test_without_a_file_the_types_are_printed_those_of_typescript_unless_said(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(out)
    printed = StringIO()
    call_command("engine_generate", lang="openapi", stdout=printed)
    assert printed.getvalue() == out.read_text()
    monkeypatch.setitem(codegen.LANGUAGES, "ts", lambda document: "TypeScript\n")
    call_command("engine_generate", stdout=(printed := StringIO()))
    assert printed.getvalue() == "TypeScript\n"
    with pytest.raises(CommandError, match="--out"):
        call_command("engine_generate", "--check")


def test_a_check_fails_when_records_have_another_shape(out: Path) -> None:
    generate(out)
    before = out.read_text()
    save("ann", "Contacts", {"name": "Ann", "age": 34})
    with pytest.raises(CommandError, match=rf"{out} is out of date(.|\n)*\+ *\"age\""):
        generate(out, "--check")
    assert out.read_text() == before
    generate(out)
    assert generate(out, "--check") == f"{out} is up to date."


def test_a_check_passes_when_there_are_more_of_the_same(out: Path) -> None:
    generate(out)
    save("eve", "Contacts", {"name": "Eve"}, {"name": None, "phones": []})
    assert generate(out, "--check") == f"{out} is up to date."


def test_a_check_fails_without_a_file_and_shows_a_part(out: Path) -> None:
    save("ann", "Wide", {f"key {number}": 1 for number in range(99)})
    with pytest.raises(CommandError) as caught:
        generate(out, "--check")
    *visible, more = str(caught.value).splitlines()
    assert len(visible) == 41
    assert more.startswith("… and ")
    assert not out.exists()


def test_python_has_a_model_of_each_entity(out: Path) -> None:
    generate(out, lang="python")
    assert "class ContactsData(BaseModel)" in out.read_text()
    assert "name: str | None" in out.read_text()
    assert "class OpenTicketsData(BaseModel)" in out.read_text()


def test_entities_and_connections_are_chosen(out: Path) -> None:
    generate(out, "--connection=ann", lang="python")
    assert "OpenTicketsData" not in out.read_text()
    assert "name: str\n" in out.read_text()
    generate(out, "--entity=open tickets", lang="python")
    assert "ContactsData" not in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--entity=Contact"], 'Entity "Contact" does not exist'),
        (["--connection=eve", "--entity=Contacts"], 'Entity "Contacts" does not exist'),
        (["--sample=0"], "/sample: must be between 1"),
        (["--engine=third"], 'unknown engine alias "third"'),
    ],
)
def test_what_makes_no_sense_writes_nothing(out: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        generate(out, *arguments)
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="Is a directory"):
        generate(tmp_path)


def test_a_connection_without_entities_is_an_error(out: Path) -> None:
    for connections in (["--connection=nope"], ["--connection=ann", "--connection=nope"]):
        with pytest.raises(CommandError, match='The connection "nope" has no entities'):
            generate(out, *connections)
    assert not out.exists()
    assert generate(out, "--connection=ann", "--connection=bob").endswith("2 entities.")


def paths(out: Path) -> dict[str, Any]:
    generate(out)
    document: dict[str, Any] = json.loads(out.read_text())
    return document["paths"]


@pytest.mark.urls("tests.api.prefixed_urls")
def test_variables_of_a_prefix_are_in_the_paths(out: Path) -> None:
    result = paths(out)
    prefix = "/org/{org}/of/{resource_id}/api/v1"
    assert all(path.startswith(f"{prefix}/") for path in result)
    operation = result[f"{prefix}/threads/{{thread_id}}/"]["get"]
    in_path = {item["name"]: item for item in operation["parameters"] if item["in"] == "path"}
    assert in_path.keys() == {"org", "resource_id", "thread_id"}
    assert all(item["required"] for item in in_path.values())
    listed = result[f"{prefix}/threads/"]["get"]["parameters"]
    assert {item["in"] for item in listed if item["name"] == "resource_id"} == {"path", "query"}


class Urls:
    """A URL configuration."""

    def __init__(self, *patterns: Any) -> None:
        self.urlpatterns = list(patterns)


API = "mastra_engine.api.urls"


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (path("api/", include(API)), "/api/v1/"),
        (re_path(r"^(?P<team>[a-z]+)/api/", include(API)), "/{team}/api/v1/"),
        (path("in/", include(([path("<int:n>/", include(API))], "outer"))), "/in/{n}/v1/"),
        (path("in/", include(([path("", include(API))], "outer"))), "/in/v1/"),
        (path("other/", include([])), None),
    ],
)
def test_the_api_is_found_wherever_it_is_included(
    out: Path, settings: Any, pattern: Any, prefix: str | None
) -> None:
    settings.ROOT_URLCONF = Urls(pattern)
    result = paths(out)
    assert bool(result) is (prefix is not None)
    assert all(path.startswith(prefix or "") for path in result)
