"""Generated types: valid and true whatever the keys and names, and written whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mastra_engine.devstack import codegen
from mastra_engine.devstack.shapes import infer
from mastra_engine.exceptions import EngineConfigError, Unavailable
from mastra_engine.management.commands.engine_generate import api_document
from mastra_engine.testing.hostile import DOCUMENTS, TEXTS

Documents = Mapping[str, list[dict[str, Any]]]

needs_node = pytest.mark.skipif(shutil.which("npx") is None, reason="Node.js is not installed")

#: Keys that mean something to one of the languages, or to one of the generators.
KEYS = [
    *(text.value for text in TEXTS),
    *("", "_", "_id", "__v", "__doc__", "class", "None", "self", "int", "list", "Any", "Field"),
    *("BaseModel", "model_config", "model_x", "toString", "$ref", "type", "properties", "a b"),
    *("a-b", "aB", "a_b", "*/ injected", '"""', "'''", "`${x}`", "new\nline", "back\\slash"),
    *("\x1c", "\x85", "\u2028", "\x0c", "\ufb01", "fi", "联系人", "e\u0301", "AData", "ADataA"),
]
NAMES = [*KEYS[:-2], "A", "1 2", "../x", "Record", "import", "object", "²", "𝔘", "๑", "aData"]


def document(documents: Documents) -> codegen.Document:
    return codegen.document({name: infer(document) for name, document in documents.items()})


def type_of(name: str, documents: Documents) -> str:
    return codegen.type_names(documents, reserved={"RecordData"})[name]


def hostile() -> Documents:
    """Entities of every name, with records of every key."""
    is_named = {name: [{name: 1, "nested": {name: [{name: None}]}}] for name in NAMES if name}
    awkward = {item.name: [item.value] for item in DOCUMENTS if item.name != "1 MB of text"}
    return {**is_named, "A": [{key: key for key in KEYS}], **awkward, "Nothing": []}


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Contacts", "ContactsData"),
        ("open tickets", "OpenTicketsData"),
        ("open_tickets-2", "OpenTickets2Data"),
        ("API keys", "APIKeysData"),
        ("class", "ClassData"),
        ("1 2", "Entity12Data"),
        ("../x", "XData"),
        ("*/", "EntityData"),
        ("Füße", "FüßeData"),
        ("联系人", "联系人Data"),
    ],
)
def test_a_name_becomes_an_identifier(name: str, expected: str) -> None:
    assert codegen.type_names({name: None}, reserved=set()) == {name: expected}


def test_names_that_would_be_the_same_are_numbered() -> None:
    names = dict.fromkeys(["a b", "a-b", "A_B", "ab", "record"])
    assert list(codegen.type_names(names, reserved={"RecordData"}).values()) == [
        "ABData",
        "ABData2",
        "ABData3",
        "AbData4",
        "RecordData2",
    ]


@given(st.sets(st.text(st.characters(exclude_categories=["Cs"])), max_size=9))
def test_names_are_identifiers_and_different(names: set[str]) -> None:
    created = codegen.type_names(dict.fromkeys(names), reserved=set()).values()
    assert all(name.isidentifier() for name in created)
    assert len({name.casefold() for name in created}) == len(names)


def test_what_the_api_has_is_kept() -> None:
    api = {
        "openapi": "3.1.0",
        "paths": {"/threads": {}},
        "components": {"schemas": {"TicketData": {}}, "securitySchemes": {"token": {}}},
    }
    before = json.dumps(api)
    created = codegen.document({"Ticket": infer([{"id": 1}])}, api=api)
    assert json.dumps(api) == before
    assert created["paths"] == api["paths"]
    assert created["components"]["securitySchemes"] == {"token": {}}
    assert set(created["components"]["schemas"]) == {"TicketData", "TicketData2", "RecordData"}


# Python


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    created = ModuleType("generated")
    monkeypatch.setitem(sys.modules, created.__name__, created)  # where pydantic looks names up
    return created


def check_models(documents: Documents, module: ModuleType) -> None:
    """Make the models, and let each document go in and come out as it was."""
    vars(module).clear()
    vars(module)["__name__"] = "generated"
    exec(codegen.python(document(documents)), vars(module))
    for name, item in documents.items():
        model = getattr(module, type_of(name, documents))
        for data in item:
            stored = model.model_validate(data)
            assert stored.model_dump(by_alias=True, exclude_unset=True) == data


def test_records_go_through_the_models_unchanged(module: ModuleType) -> None:
    check_models(hostile(), module)


_ANY_KEY = st.sampled_from(KEYS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5
)
_ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ANY_KEY, inner, max_size=3),
    max_leaves=6,
)
_ANY_DOCUMENTS = st.lists(st.dictionaries(_ANY_KEY, _ANY_VALUE, max_size=4), max_size=3)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@example(documents={"廾": []})  # a letter that stands for twenty
@example(documents={"A": [{"::\u00aa": None, "::A": None}]})  # of which Python reads two as "a"
@example(documents={"\u1fe2": []})  # a letter whose capital is three characters
@example(documents={"\U00031350": []})  # one that Python knows from 3.12 on
@given(st.dictionaries(_ANY_KEY.filter(bool), _ANY_DOCUMENTS, min_size=1, max_size=3))
def test_any_records_go_through_the_models_unchanged(
    module: ModuleType, documents: Documents
) -> None:
    check_models(documents, module)


def test_models_refuse_what_is_of_another_shape(module: ModuleType) -> None:
    check_models({"A": [{"name": "x", "size": 1}]}, module)
    for wrong in {"name": "x"}, {"name": "x", "size": "large"}:
        with pytest.raises(ValueError, match="size"):
            module.AData.model_validate(wrong)


USE_IN_PYTHON = """
from types_of_records import ContactsData

contact = ContactsData.model_validate({"name": "Ann", "phones": [{"number": 1}]})
phone: int | None = contact.phones[0].number if contact.phones else None
"""


def test_models_pass_mypy(tmp_path: Path) -> None:
    contacts = [{"name": "Ann", "phones": [{"number": 1}]}, {"name": "Bob"}]
    for name, documents in ("hostile", hostile()), ("records", {"Contacts": contacts}):
        (tmp_path / f"types_of_{name}.py").write_text(codegen.python(document(documents)))
    api = codegen.python(codegen.document({}, api=api_document()))
    assert "class Thread(BaseModel)" in api
    (tmp_path / "types_of_api.py").write_text(api)
    (tmp_path / "use.py").write_text(USE_IN_PYTHON)
    assert check_types(tmp_path) == (0, "")
    wrong = USE_IN_PYTHON.replace("int | None", "str").replace("contact.phones[0]", "contact")
    (tmp_path / "use.py").write_text(wrong)
    code, output = check_types(tmp_path)
    assert code == 1
    assert '"ContactsData" has no attribute "number"' in output


def check_types(directory: Path) -> tuple[int, str]:
    """Run mypy as a process: in this one it would undo `gc.freeze`, for all tests that follow."""
    cache = f"--cache-dir={directory / 'cache'}"
    files = [str(path) for path in directory.glob("*.py")]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    process = subprocess.run([*command, cache, *files], capture_output=True, text=True, check=False)
    assert not process.stderr
    return process.returncode, process.stdout


def test_without_the_generator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datamodel_code_generator", None)
    with pytest.raises(EngineConfigError, match=r"django-mastra-engine\[generate\]"):
        codegen.python(document({}))


# TypeScript


def compile_typescript(directory: Path, **sources: str) -> str:
    """Return what `tsc --strict` has to say of these files."""
    for name, source in sources.items():
        (directory / f"{name}.ts").write_text(source, encoding="utf-8")
    packages = [f"--package={package}" for package in codegen.NPM_PACKAGES]
    process = subprocess.run(
        ["npx", "--yes", *packages, "tsc", "--strict", "--noEmit", "--target", "es2022"]
        + [f"{name}.ts" for name in sources],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode == 0) == (process.stdout == ""), process.stderr
    return process.stdout


def typescript_values(documents: Documents) -> str:
    """Return a module that says of each document which type it has."""
    lines = ['import type { components } from "./types";', 'type S = components["schemas"];']
    for number, (name, document) in enumerate(documents.items()):
        lines += [
            f'const v{number}_{i}: S["{type_of(name, documents)}"] = {json.dumps(data)};'
            for i, data in enumerate(document)
        ]
        lines.append(f'type N{number} = S["RecordData"][{json.dumps(name)}];')
    return "\n".join([*lines, "export {};"])


@needs_node
def test_records_have_the_types_of_typescript_and_others_have_not(tmp_path: Path) -> None:
    contacts = {"Contacts": [{"size": 1, "name": "x"}, {"size": 2, "name": None}, {"size": 3}]}
    documents = {**hostile(), **contacts}
    wrong = {"Contacts": [{"size": "large"}, {"name": "y"}, {"size": 3}]}
    output = compile_typescript(
        tmp_path,
        types=codegen.typescript(document(documents)),
        api=codegen.typescript(codegen.document({}, api=api_document())),
        right=typescript_values(documents),
        wrong=typescript_values(wrong),
    )
    errors = [line.partition(",")[0] for line in output.splitlines() if "error TS" in line]
    assert errors == ["wrong.ts(3", "wrong.ts(4"]


@needs_node
def test_generators_write_the_same_again() -> None:
    created = document(hostile())
    for generate in codegen.LANGUAGES.values():
        assert generate(created) == generate(created)


def test_without_node_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(EngineConfigError, match=r"Node\.js 20 or newer(.|\n)*--lang openapi"):
        codegen.typescript(document({}))


def test_when_npx_fails_it_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    npx = tmp_path / "npx"
    npx.write_text("#!/bin/sh\necho 'ENOTFOUND registry' >&2; exit 1\n")
    npx.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(Unavailable, match="ENOTFOUND registry"):
        codegen.typescript(document({}))


# The file


def test_a_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "types.ts"
    assert codegen.write(path, "a\n")
    written = path.stat().st_mtime_ns
    assert not codegen.write(path, "a\n")
    assert path.stat().st_mtime_ns == written
    assert codegen.write(path, "b\n")
    assert path.read_text() == "b\n"
    assert [item.name for item in path.parent.iterdir()] == ["types.ts"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link.ts"
    link.symlink_to(tmp_path / "types.ts")
    assert codegen.write(link, "a\n")
    assert link.is_symlink()
    assert (tmp_path / "types.ts").read_text() == "a\n"


def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "types.ts"
    codegen.write(path, "old\n")

    def full(self: Path, text: str, **options: Any) -> int:
        with self.open("w") as file:
            file.write(text[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        codegen.write(path, "new\n")
    assert path.read_text() == "old\n"
    assert [item.name for item in tmp_path.iterdir()] == ["types.ts"]


def test_a_difference_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "types.ts"
    assert codegen.difference(path, "a\n")[-1] == "+a"
    codegen.write(path, "a\nb\nc\n")
    assert codegen.difference(path, "a\nb\nc\n") == []
    assert codegen.difference(path, "a\nB\nc\n")[2:] == ["@@ -2 +2 @@", "-b", "+B"]
