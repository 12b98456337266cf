"""The reference leaves nothing out and says what the code says."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class

import mastra_engine
from mastra_engine import (
    MastraEngine,
    MockMastraEngine,
    PostgresEngine,
    exceptions,
    health,
    types,
)
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.checks import OLDEST_POSTGRES
from mastra_engine.conf import AdminSettings, ApiSettings
from mastra_engine.conversations.media import MEDIA
from mastra_engine.conversations.messages import ROLES
from mastra_engine.conversations.parts import CALLS, INVOCATIONS, RESULTS, TEXTS, THOUGHTS
from mastra_engine.filters import ast as filter_ast
from mastra_engine.filters import parsing
from tests.docs.pages import DOCS, ROOT, Row, code_spans, headings, name, rows

REFERENCE = DOCS / "reference"
ENGINE, MEMORY, STATE, FACTS, VECTORS, FILTERS, ERRORS, SETTINGS, COMMANDS = (
    REFERENCE / f"{page}.md"
    for page in (
        "engine",
        "memory",
        "state",
        "facts",
        "vectors",
        "filters",
        "errors",
        "settings",
        "commands",
    )
)
PACKAGE = Path(mastra_engine.__file__).parent
ENGINE_COMMANDS = sorted(
    path.stem for path in (PACKAGE / "management" / "commands").glob("engine_*.py")
)


STATUS = [
    health.Health,
    health.Server,
    health.Table,
    health.Structure,
    health.Waiting,
    health.Runs,
    health.Run,
    health.Day,
]


def words(page: Path) -> set[str]:
    """Return the identifiers, operators and options in a page's code spans."""
    return {word for span in code_spans(page) for word in re.findall(r"[-$@\w.]+", span)}


# engine.md, memory.md


def is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def methods(engine: type) -> dict[str, Any]:
    result = inspect.getmembers(engine, inspect.isfunction)
    return {name: function for name, function in result if not name.startswith("_")}


def sync_methods(contract: type) -> dict[str, Any]:
    return {
        name: function for name, function in methods(contract).items() if not is_async(function)
    }


SYNC = sync_methods(MastraEngine)
OF_MEMORY = sync_methods(Memory)
OF_STATE = sync_methods(State)
OF_FACTS = sync_methods(Facts)
HEADED = [
    (page, *item)
    for page, methods_of in (
        (ENGINE, SYNC),
        (MEMORY, OF_MEMORY),
        (STATE, OF_STATE),
        (FACTS, OF_FACTS),
    )
    for item in methods_of.items()
]


def written(name: str, function: Any) -> str:
    """Return how the reference heads a method: its arguments, their defaults, what it returns."""
    described = inspect.signature(function)
    arguments = ", ".join(
        item.name if item.default is item.empty else f"{item.name}={item.default!r}"
        for item in list(described.parameters.values())[1:]
    ).replace("'", '"')
    return f"`{name}({arguments})` → `{described.return_annotation}`"


def test_everything_public_is_named() -> None:
    assert set(mastra_engine.__all__) <= set(re.findall(r"\w+", ENGINE.read_text()))


@pytest.mark.parametrize(
    ("page", "method", "function"),
    HEADED,
    ids=[f"{page.stem} {method}" for page, method, _ in HEADED],
)
def test_methods_are_headed_by_their_signature(page: Path, method: str, function: Any) -> None:
    heading = written(method, function)
    assert heading in headings(page), f"{page.relative_to(ROOT)} lacks the heading {heading}"


@pytest.mark.parametrize(
    ("page", "existing"),
    [
        (ENGINE, {*SYNC, *methods(MockMastraEngine)}),
        (MEMORY, {*OF_MEMORY}),
        (STATE, {*OF_STATE}),
        (FACTS, {*OF_FACTS}),
    ],
    ids=["engine", "memory", "state", "facts"],
)
def test_no_method_is_made_up(page: Path, existing: set[str]) -> None:
    signatures = [heading for heading in headings(page) if "→" in heading]
    assert {heading[1:].partition("(")[0] for heading in signatures} <= existing
    assert len(signatures) == len(set(signatures))


@pytest.mark.parametrize("contract", [MastraEngine, Memory, State, Facts])
def test_every_method_that_does_something_has_a_twin(contract: type) -> None:
    twins = {name for name, function in methods(contract).items() if is_async(function)}
    assert twins == {f"a{name}" for name in {*sync_methods(contract)} - {"within", "check"}}


def test_the_twin_that_reads_like_a_word_is_named() -> None:
    assert "async_records" in words(ENGINE)


def test_every_method_of_vectors_is_there() -> None:
    page = "\n".join(code_spans(VECTORS))
    vectors = methods(Vectors)
    for method, function in vectors.items():
        if method[0] != "a" or method[1:] not in vectors:
            assert f"{method}(" in page, method
            for argument in list(inspect.signature(function).parameters)[1:]:
                assert argument in words(VECTORS), f"{method}: {argument}"


LIKE = {
    "Options": types.QueryOptions,
    "RecordLike": types.RecordInput,
    "MessageLike": types.MessageInput,
}


def values() -> Iterator[type]:
    """Yield the dataclasses that methods take and return, and those inside them."""
    annotations = [text for _, _, method in HEADED for text in method.__annotations__.values()]
    seen: set[type] = set()
    while annotations:
        for word in re.findall(r"\w+", str(annotations.pop())):
            value = LIKE.get(word, getattr(types, word, None))
            if dataclasses.is_dataclass(value) and value not in seen:
                assert isinstance(value, type)
                seen.add(value)
                annotations += [field.type for field in dataclasses.fields(value)]
                yield value


@pytest.mark.parametrize("value", list(values()), ids=lambda value: value.__name__)
def test_values_are_listed_with_their_fields(value: type) -> None:
    fields = ", ".join(field.name for field in dataclasses.fields(value))
    listed = [span for page in (ENGINE, MEMORY, STATE, FACTS, VECTORS) for span in code_spans(page)]
    span = f"{value.__name__}({fields})"
    assert span in listed, f"List `{span}` under Values in docs/reference/engine.md or memory.md"


def test_every_part_and_key_of_a_message_is_there() -> None:
    fields = {field.name for field in dataclasses.fields(types.MessageInput)}
    assert {*TEXTS, *CALLS, *RESULTS, *INVOCATIONS, *THOUGHTS, *MEDIA, *ROLES, *fields} <= words(
        MEMORY
    )


# filters.md


def test_every_operator_and_column_is_there() -> None:
    table = rows(FILTERS, "List form", "Mapping", "Holds when")
    lists = {operator for row in table for operator in row.spans(0)}
    mappings = {operator for row in table for operator in row.spans(1)}
    assert lists == set(parsing._LIST_OPERATORS)
    assert mappings == {"$and", "$or", "$nor", *(o for o in parsing._OPERATORS if o[0] == "$")}
    assert {f"@{column}" for column in filter_ast.RECORD_COLUMNS} <= words(FILTERS)


EXAMPLES = rows(FILTERS, "Filter", "Matches", "Does not match")


@pytest.mark.django_db
@pytest.mark.parametrize("engine", ["mock_engine", "postgres_engine"])
@pytest.mark.parametrize("row", EXAMPLES, ids=lambda row: row.spans(0)[0][:60])
def test_filters_match_what_they_are_said_to(row: Row, engine: str, request: Any) -> None:
    store: MastraEngine = request.getfixturevalue(engine)
    (where,) = map(ast.literal_eval, row.spans(0))
    documents = {
        f"{side} {i}": ast.literal_eval(span)
        for side, column in (("hit", 1), ("miss", 2))
        for i, span in enumerate(row.spans(column))
    }
    assert documents
    records = [{"external_id": id, "data": data} for id, data in documents.items()]
    store.sync_records(name="Examples", connection_id="docs", records=records)
    result = store.get_records(
        entity_name="Examples", connection_id="docs", options={"filters": where}
    )
    hits = [record.external_id for record in result]
    assert hits == sorted(id for id in documents if id.startswith("hit"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 30


@pytest.mark.parametrize("row", rows(FILTERS, "Refused", "At"), ids=lambda row: row.spans(0)[0])
def test_filters_are_refused_where_they_are_said_to_be(row: Row) -> None:
    with pytest.raises(exceptions.InvalidFilter) as caught:
        parsing.parse_options({"filters": ast.literal_eval(row.spans(0)[0])})
    assert caught.value.path == row.spans(1)[0]


# errors.md, settings.md, commands.md


def test_every_error_is_there() -> None:
    defined = {
        name
        for name, value in vars(exceptions).items()
        if inspect.isclass(value) and issubclass(value, exceptions.EngineError)
    }
    assert defined <= words(ERRORS)


@pytest.mark.parametrize("engine", [PostgresEngine, MockMastraEngine])
def test_every_option_of_an_engine_is_a_setting(engine: type) -> None:
    options = set(inspect.signature(engine).parameters) - {"alias"}
    assert {"BACKEND", *(option.upper() for option in options)} <= words(SETTINGS)


def test_every_setting_of_the_api_is_there() -> None:
    listed = [row.spans(0)[0] for row in rows(SETTINGS, "API key", "Default", "Meaning")]
    assert listed == [field.name.upper() for field in dataclasses.fields(ApiSettings)]


def test_every_setting_of_the_admin_is_there() -> None:
    listed = [row.spans(0)[0] for row in rows(SETTINGS, "Admin key", "Default", "Meaning")]
    assert listed == [field.name.upper() for field in dataclasses.fields(AdminSettings)]


def test_every_check_is_there_and_no_other() -> None:
    source = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    ids = r"mastra_engine\.[EW]\d{3}"
    assert set(re.findall(ids, source)) == set(re.findall(ids, SETTINGS.read_text()))


@pytest.mark.parametrize("command", ENGINE_COMMANDS)
def test_every_command_is_there_with_its_options(command: str) -> None:
    parser = load_command_class("mastra_engine", command).create_parser("manage.py", command)
    of_django = load_command_class("django.core", "check").create_parser("manage.py", "check")
    common = {option for action in of_django._actions for option in action.option_strings}
    options = {
        option
        for action in parser._actions
        for option in action.option_strings
        if option not in common - {"--database"}
    }
    assert {command, *options} <= words(COMMANDS)


@pytest.mark.parametrize("value", STATUS, ids=lambda value: value.__name__)
def test_every_key_of_the_status_is_there(value: type) -> None:
    assert {field.name for field in dataclasses.fields(value)} <= words(COMMANDS)


def test_no_command_is_made_up() -> None:
    is_named = {word for word in words(COMMANDS) if word.startswith("engine_")}
    assert is_named == set(ENGINE_COMMANDS)


# README.md


def test_requirements_are_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    readme = (ROOT / "README.md").read_text()
    djangos = re.findall(r"Django :: (\d\.\d)", "\n".join(project["classifiers"]))
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in readme
    assert f"Django {djangos[0]} to {djangos[-1]}" in readme
    assert f"PostgreSQL {OLDEST_POSTGRES // 10000} or newer" in readme


def test_the_first_screen_shows_what_it_is() -> None:
    first = "\n".join((ROOT / "README.md").read_text().splitlines()[:55])
    for visible in ("make demo", "make test", "from mastra_engine import", "MockMastraEngine"):
        assert visible in first, name(ROOT / "README.md")
