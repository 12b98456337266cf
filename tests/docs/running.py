"""Running the Python of a page."""

from __future__ import annotations

import ast
import re
import sys
from inspect import CO_COROUTINE, isfunction, signature
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from asgiref.sync import async_to_sync

from tests.docs.pages import name, steps


def run_python(page: Path, module: ModuleType, request: pytest.FixtureRequest) -> None:
    """Run the blocks of a page in one module; each has to print the output shown after it.

    Blocks may await. Then database calls run in this thread, in the transaction of the test.
    Tests that a block defines are called, and its `MASTRA_ENGINE` becomes the setting. A block that
    begins with the name of a file, as in `# shop/learning.py`, can be imported as that module.
    """
    capsys, settings = map(request.getfixturevalue, ("capsys", "settings"))
    monkeypatch = request.getfixturevalue("monkeypatch")
    for block, expected in steps(page, "python"):
        if file := re.match(r"# (\w+/\w+)\.py\n", block.text):
            monkeypatch.setitem(sys.modules, file[1].replace("/", "."), module)
        before = set(vars(module))
        source = "\n" * (block.line - 1) + block.text
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        execute(compile(source, str(page), "exec", flags, dont_inherit=True), module)
        if "MASTRA_ENGINE" in set(vars(module)) - before:
            settings.MASTRA_ENGINE = vars(module)["MASTRA_ENGINE"]
        call_tests(module, set(vars(module)) - before, request)
        assert capsys.readouterr().out == expected, f"{name(page)}, line {block.line}"


def execute(code: CodeType, module: ModuleType) -> None:
    async def awaiting() -> None:
        await eval(code, vars(module))

    if code.co_flags & CO_COROUTINE:
        async_to_sync(awaiting)()
    else:
        exec(code, vars(module))


def call_tests(module: ModuleType, names: set[str], request: pytest.FixtureRequest) -> None:
    """Call the tests among these names, each with the fixtures it asks for."""
    for test in sorted(names):
        function = getattr(module, test)
        if test.startswith("test_") and isfunction(function):
            function(
                **{item: request.getfixturevalue(item) for item in signature(function).parameters}
            )
