"""What the documentation shows can be done as it is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import connection
from psycopg.conninfo import make_conninfo

from mastra_engine.conf import database_from_url
from mastra_engine.registry import registry
from mastra_engine.signals import facts_changed, records_changed, tokens_used
from tests.docs.pages import (
    CLIENTS,
    DOCS,
    FRAMEWORKS,
    PAGES,
    ROOT,
    anchors,
    blocks,
    commands,
    links,
    name,
)
from tests.docs.running import run_python

#: What a page may tell a reader to run beside what is ours.
_TOOLS = {".", "cd", "createdb", "django-admin", "docker", "git", "mkdir", "psql", "source"}


def pages(*languages: str) -> list[Any]:
    """Return the pages that have such blocks, as parameters."""
    return [pytest.param(page, id=name(page)) for page in PAGES if blocks(page, *languages)]


#: Those that need neither a server nor a framework.
PYTHON = [
    page for page in pages("python") if page.values[0] not in {*CLIENTS.values(), *FRAMEWORKS}
]
every_page = pytest.mark.parametrize("page", PAGES, ids=name)


def is_test_module(page: Path) -> bool:
    """Tell whether the page shows tests that only pytest itself can run."""
    visible = "".join(block.text for block in blocks(page, "python"))
    return bool(re.search(r"^class Test|^@pytest\.", visible, re.MULTILINE))


# Python


@pytest.mark.django_db
@pytest.mark.parametrize("page", PYTHON)
def test_python_runs_and_prints_what_is_shown(
    page: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if is_test_module(page):
        return  # the next test runs it
    module = ModuleType("shown")
    vars(module)["BASE_DIR"] = tmp_path  # what pages show of settings relies on
    monkeypatch.setitem(sys.modules, module.__name__, module)
    # Until the collector comes, a page's receiver would hear of what another page does.
    for signal in (facts_changed, records_changed, tokens_used):
        monkeypatch.setattr(signal, "receivers", [*signal.receivers])
    with registry.empty():  # what the example project declares may have the same names
        run_python(page, module, request)


@pytest.mark.django_db
@pytest.mark.parametrize("page", [p for p in PYTHON if is_test_module(p.values[0])])
def test_tests_that_are_shown_pass(page: Path, tmp_path: Path) -> None:
    module = tmp_path / "test_shown.py"
    for block in blocks(page, "python"):
        if by_name := re.match(r"# (test_\w+\.py)\n", block.text):
            module = tmp_path / by_name[1]
        with module.open("a") as file:
            file.write(f"{block.text}\n\n")
    settings = {**connection.settings_dict["OPTIONS"], "dbname": "shown"}
    for key in ("USER", "PASSWORD", "HOST", "PORT"):
        if value := connection.settings_dict[key]:
            settings[key.lower()] = value
    environment = {
        **os.environ,
        "DB_URL": make_conninfo(**settings),  # pytest makes its own test database there
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("page", FRAMEWORKS, ids=name)
def test_pages_of_frameworks_run_with_the_versions_that_they_state(page: Path) -> None:
    folder = ROOT / "tests" / "frameworks" / FRAMEWORKS[page]
    assert f'run_snippets("{FRAMEWORKS[page]}"' in (folder / "test_snippets.py").read_text()
    pins = re.findall(
        r"^([\w.-]+)==(\S+)$", (folder / "requirements.txt").read_text(), re.MULTILINE
    )
    assert pins
    for package, version in pins:
        stated = rf"\b{re.escape(package)}\b.*\b{re.escape(version)}\b"
        assert re.search(stated, page.read_text()), (
            f"{name(page)} does not state {package} {version}"
        )


# Shell


@every_page
def test_commands_exist(page: Path) -> None:
    for words in commands(page):
        check_command(words)


def check_command(words: list[str]) -> None:
    tool, *arguments = words
    if tool == "make":
        targets = {word for word in arguments if "=" not in word}
        assert targets <= make_targets(), words
    elif tool.endswith("manage.py"):
        check_django_command(*arguments)
    elif tool in ("python", "python3") and arguments[0].endswith("manage.py"):
        check_django_command(*arguments[1:])
    elif tool in ("python", "python3") and arguments[0] == "-m":
        assert find_spec(arguments[1]), words
    elif tool.startswith(".") or (tool in ("python", "python3") and "/" in arguments[0]):
        check_file(words)
    elif tool == "pip":
        assert arguments[0] == "install", words
    else:
        assert tool in _TOOLS | {"pytest"}, words


def check_file(words: list[str]) -> None:
    """Check that a program of the repository exists, and the paths that it is given."""
    tool, *arguments = words
    if tool == ".venv/bin/python" and arguments[0] == "-m":
        assert find_spec(arguments[1]), words
        return
    paths = [word for word in arguments if re.match(r"[\w.]+/", word)]
    if not tool.startswith((".venv/", "python")):
        paths.append(tool)
    for path in paths:
        assert (ROOT / path).exists(), words


def make_targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def check_django_command(command: str, *arguments: str) -> None:
    """Parse the arguments as the command would; Django raises CommandError when it refuses."""
    parser = find_command(command).create_parser("manage.py", command)
    for action in parser._actions:
        if action.dest == "database":  # the reader's aliases are not ours
            action.choices = None
    parser.parse_args(list(arguments))


def find_command(command: str) -> BaseCommand:
    of_example = ROOT / "example_project" / "management" / "commands" / f"{command}.py"
    app = "example_project" if of_example.exists() else get_commands()[command]
    return app if isinstance(app, BaseCommand) else load_command_class(app, command)


@every_page
def test_extras_exist(page: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    words = re.findall(r"(?:django-mastra-engine|\.)\[([\w,-]+)\]", page.read_text())
    expected = {extra for extras in words for extra in extras.split(",")}
    assert expected <= project["optional-dependencies"].keys()


# Links


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_leads_to_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    site = DOCS / "index.md"  # includes that page for the documentation site
    assert set(DOCS.rglob("*.md")) - {index, site} <= linked


# The tests of this file must be able to fail.


@pytest.mark.parametrize(
    "words",
    [
        ["make", "tests"],
        ["python", "manage.py", "engine_remove"],
        ["python", "manage.py", "engine_add", "--embeded"],
        ["manage.py", "engine_add", "--port", "many"],
        ["python", "-m", "nothing_of_that_name"],
        ["pip", "instal", "x"],
        ["pyhton", "manage.py", "check"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_is_noticed(words: list[str]) -> None:
    with pytest.raises((Exception, SystemExit)):
        check_command(words)


def test_the_database_of_shown_tests_is_not_this_one() -> None:
    url = make_conninfo(dbname="shown", host="/tmp")
    assert f"test_{database_from_url(url)['NAME']}" != connection.settings_dict["NAME"]
