"""The shape of the package: what it exports, what it imports, how large its rooms are."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import mastra_engine
from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine, exceptions
from mastra_engine.backends.base.erasure.service import ErasureService
from mastra_engine.backends.base.idempotency.service import Idempotency
from mastra_engine.backends.base.record_search.service import RecordSearch
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.sync_runs.service import SyncRuns

ROOT = Path(mastra_engine.__file__).parent
SOURCES = [path for path in ROOT.rglob("*.py") if "migrations" not in path.parts]


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    return done.stdout.strip()


def test_importing_the_facade_is_free() -> None:
    code = (
        "import sys, mastra_engine as m;"
        "m.MockMastraEngine().create_entity(name='a', connection_id='b');"
        "print([n for n in ('django.db', 'psycopg', 'rest_framework', 'mastra_engine.models')"
        " if n in sys.modules])"
    )
    assert run(code) == "[]"


def test_the_facade_is_complete_and_sorted() -> None:
    assert mastra_engine.__all__ == sorted(mastra_engine.__all__)
    for name in mastra_engine.__all__:
        assert getattr(mastra_engine, name) is not None
        assert name in dir(mastra_engine)
    with pytest.raises(AttributeError):
        mastra_engine.nothing  # noqa: B018


def public_methods(owner: type) -> dict[str, object]:
    return {
        name: value
        for name, value in vars(owner).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }


def test_every_method_has_an_async_variant_of_the_same_signature() -> None:
    methods = public_methods(MastraEngine)
    plain = [
        name
        for name, value in methods.items()
        if not is_async(value) and name not in ("within", "check")
    ]
    assert len(plain) > 20
    for name in plain:
        variant = methods[f"a{name}"]
        assert is_async(variant)
        expected = inspect.signature(methods[name]).parameters  # type: ignore[arg-type]
        assert inspect.signature(variant).parameters == expected  # type: ignore[arg-type]
        assert variant.__doc__ == f"See {name}()."
    assert len(methods) == 2 * len(plain) + 2


SERVICES = [Records, SyncRuns, RecordSearch, Idempotency, ErasureService]


def test_every_method_of_a_service_is_one_of_the_engine() -> None:
    own = {"in_scope", "write", "select", "index_changes", "delete_chunks"}
    for service in SERVICES:
        for name, method in public_methods(service).items():
            if name not in own:
                delegated = getattr(MastraEngine, name)
                assert inspect.signature(delegated) == inspect.signature(method)  # type: ignore[arg-type]
                assert delegated.__doc__ == method.__doc__


def test_a_backend_only_constructs_and_connects() -> None:
    for engine in (PostgresEngine, MockMastraEngine):
        ours = [each for each in engine.__mro__ if each.__module__.startswith("mastra_engine")]
        assert ours == [engine, MastraEngine]


def is_async(value: object) -> bool:
    return inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value)


def test_arguments_are_keyword_only() -> None:
    for name, method in inspect.getmembers(MastraEngine, inspect.isfunction):
        if not name.startswith("_"):
            arguments = list(inspect.signature(method).parameters.values())[1:]
            # Only the sync that is run and the cases of an evaluation may be positional.
            kinds = {
                argument.kind for argument in arguments if argument.name not in ("sync", "cases")
            }
            assert kinds <= {inspect.Parameter.KEYWORD_ONLY}, name


def test_the_error_tree_is_drawn_as_it_is() -> None:
    drawn = [
        line.lstrip("│├└─ ").split()[0]
        for line in (exceptions.__doc__ or "").splitlines()
        if line and line[0] in "E│├└"
    ]
    defined = [name for name, value in vars(exceptions).items() if _is_error(value)]
    assert sorted(drawn) == sorted(defined)


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, exceptions.EngineError)


def test_every_module_can_be_imported_and_says_what_it_is() -> None:
    for module in pkgutil.walk_packages([str(ROOT)], "mastra_engine."):
        loaded = import_module(module.name)
        source = Path(loaded.__file__ or "")
        if source.read_text() and "migrations" not in module.name:
            assert loaded.__doc__, module.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 600
    if "testing" in path.parts:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 60, f"{path.name}: {node.name}"


def test_only_bulk_opens_a_copy() -> None:
    users = [path.name for path in SOURCES if "cursor.copy(" in path.read_text()]
    assert users == ["bulk.py"]
