"""The shape of the package: what it exports, what it imports, how large its rooms are."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

import mastra_engine
from mastra_engine import MastraEngine, MockMastraEngine, PostgresEngine, exceptions
from mastra_engine.backends.base.erasure.service import ErasureService
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.backends.base.idempotency.service import Idempotency
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.record_search.service import RecordSearch
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.sync_runs.service import SyncRuns
from mastra_engine.backends.base.vectors.service import Vectors

ROOT = Path(mastra_engine.__file__).parent
SOURCES = [path for path in ROOT.rglob("*.py") if "migrations" not in path.parts]


def run(code: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    return process.stdout.strip()


def test_the_top_level_is_small() -> None:
    files = sorted(path.name for path in ROOT.glob("*.py"))
    assert len(files) <= 18, (
        f"The top level has {len(files)} files, at most 18 are allowed: {', '.join(files)}. It is "
        "for modules that a project imports or Django looks up; move others to a folder"
    )


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
    without = [name for name in plain if f"a{name}" not in methods]
    assert not without, (
        "Add the async variants at the end of mastra_engine/backends/base/engine.py: "
        + ", ".join(f"a{name} = derive_async({name})" for name in without)
    )
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
                assert hasattr(MastraEngine, name), (
                    f"{service.__name__}.{name} is public, but the engine lacks it. Delegate it in "
                    "mastra_engine/backends/base/engine.py."
                )
                delegated = getattr(MastraEngine, name)
                assert inspect.signature(delegated) == inspect.signature(method)  # type: ignore[arg-type]
                assert delegated.__doc__ == method.__doc__


def test_a_backend_only_constructs_and_connects() -> None:
    for engine in (PostgresEngine, MockMastraEngine):
        ours = [item for item in engine.__mro__ if item.__module__.startswith("mastra_engine")]
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
    assert sorted(drawn) == sorted(defined), (
        "The tree in the docstring of mastra_engine/exceptions.py differs from the errors below it"
    )


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, exceptions.EngineError)


def test_every_module_can_be_imported_and_says_what_it_is() -> None:
    result = pkgutil.walk_packages([str(ROOT)], "mastra_engine.", onerror=lambda _: None)
    for module in result:
        try:
            loaded = import_module(module.name)
        except exceptions.EngineConfigError:  # the framework is not installed here
            assert module.name.startswith("mastra_engine.contrib.")
            continue
        source = Path(loaded.__file__ or "")
        if source.read_text() and "migrations" not in module.name:
            assert loaded.__doc__, module.name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    text = path.read_text()
    lines = text.count("\n")
    assert lines <= 500, (
        f"{path.relative_to(ROOT.parent)} has {lines} lines, at most 500 are allowed. Move a group "
        "of its functions to a new module beside it; a class of the contract suite is listed in "
        "mastra_engine/testing/contract/__init__.py."
    )
    if "testing" in path.parts:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno
            assert length <= 50, (
                f"{node.name}() in {path.relative_to(ROOT.parent)} has {length} lines, at most 50 "
                "are allowed. Split it."
            )


def test_only_bulk_opens_a_copy() -> None:
    users = [path.name for path in SOURCES if "cursor.copy(" in path.read_text()]
    assert users == ["bulk.py"]


# Rooms: the files or folders of one noun on one floor, such as backends/base/records

#: Names that other packages document, although our modules have private names like them.
DOCUMENTED = {"_make": "typing.NamedTuple", "_request": "rest_framework.request.Request"}


def room(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "/".join(parts[:3] if parts[0] == "backends" else parts[:1])


def defined_names(tree: ast.AST) -> set[str]:
    """Return the names that a module defines or assigns, as attributes too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def private_uses(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and name of underscored names that are imported, or read from another object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and not is_own(node.value):
            yield node.lineno, node.attr


def is_own(value: ast.expr) -> bool:
    called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
    name = value.func if called else value  # type: ignore[attr-defined]
    return isinstance(name, ast.Name) and name.id in ("self", "cls", "super")


def test_no_room_uses_private_names_of_another() -> None:
    trees = {path: ast.parse(path.read_text()) for path in SOURCES}
    rooms: dict[str, set[str]] = {}
    for path, tree in trees.items():
        rooms.setdefault(room(path), set()).update(defined_names(tree))
    ours = set().union(*rooms.values())  # names like _meta belong to other packages
    uses = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in private_uses(tree)
        if name.startswith("_") and not name.endswith("__")
        if name in ours - rooms[room(path)] - DOCUMENTED.keys()
    ]
    assert not uses, (
        "A name with an underscore is private to its room. Give the method or function a public "
        "name and a docstring, or move it to the room that uses it:\n" + "\n".join(uses)
    )


# Every public method has tests that compare both engines

CONTRACT = ROOT / "testing" / "contract"
#: Modules of the suite that call all methods, and say nothing about their results.
SURVEYS = {
    "event_loop.py",
    "fact_arguments.py",
    "hostile_memory.py",
    "state_arguments.py",
    "text_arguments.py",
}
STATE_MACHINES = Path(__file__).parents[1] / "property"
#: Methods that a suite cannot call, and the reason.
NOT_IN_CONTRACT = {"vacuum": "cannot run in the transaction around each test"}
NOT_IN_STATE_MACHINES = {
    "check": "reads the configuration only",
    "evaluate": "measures the results of a search that it is given, and stores nothing",
    "close": "would close the connection of the transaction around each example",
    "vacuum": "cannot run in the transaction around each example",
}
#: Methods without a test in a narrower scope, and the reason.
IN_EVERY_SCOPE = {
    **dict.fromkeys(["check", "close", "evaluate"], "reads no stored data"),
    **dict.fromkeys(["run_idempotent", "expire_idempotency_records"], "the owner is an argument"),
    **dict.fromkeys(["vacuum", "prepare_indexes", "prepare_index"], "is about tables and indexes"),
    "working_memory_tool": "calls methods of working memory",
    "bulk_load": "calls other methods of vectors",
    **dict.fromkeys(
        ["list_indexes", "describe_index", "build_index", "truncate_index", "delete_index"],
        "indexes are shared by all scopes",
    ),
    **dict.fromkeys(
        ["create_declared_indexes", "reembed", "reindex"], "indexes are shared by all scopes"
    ),
    **dict.fromkeys(["index_pending", "list_indexings"], "TestIndexing tests them in a scope"),
}


def mentioned(paths: Iterable[Path]) -> set[str]:
    """Return the attributes that modules read, and their text constants."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names


def sync_methods(owner: type) -> set[str]:
    methods = {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if name[0] != "_"}
    return {name for name in methods if not (name[0] == "a" and name[1:] in methods)}


@pytest.mark.parametrize("owner", [MastraEngine, Memory, Vectors, State, Facts])
@pytest.mark.parametrize(
    ("folder", "exempt"),
    [(CONTRACT, NOT_IN_CONTRACT), (STATE_MACHINES, NOT_IN_STATE_MACHINES)],
    ids=["contract suite", "state machines"],
)
def test_every_public_method_is_tested_on_both_engines(
    owner: type, folder: Path, exempt: dict[str, str]
) -> None:
    paths = [path for path in folder.glob("*.py") if path.name not in SURVEYS]
    missing = sync_methods(owner) - mentioned(paths) - exempt.keys()
    assert not missing, (
        f"No module in {folder} calls {', '.join(sorted(missing))}. Add a test to "
        "mastra_engine/testing/contract/ and a rule to a state machine in tests/property/, or give "
        "the reason in tests/architecture/test_house.py."
    )


@pytest.mark.parametrize("owner", [MastraEngine, Memory, Vectors, State, Facts])
def test_every_public_method_is_tested_in_a_scope(owner: type) -> None:
    files = (
        "scoped_engine.py",
        "scoped_memory.py",
        "state.py",
        "fact_sources.py",
        "fact_extraction.py",
        "fact_consolidation.py",
    )
    paths = [CONTRACT / file for file in files]
    missing = sync_methods(owner) - mentioned(paths) - IN_EVERY_SCOPE.keys()
    assert not missing, (
        f"No test calls {', '.join(sorted(missing))} in a narrower scope. Add one to "
        "mastra_engine/testing/contract/scoped_engine.py or scoped_memory.py, or give the reason "
        "in tests/architecture/test_house.py."
    )
