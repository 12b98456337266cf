"""Running the page of a framework, docs/howto/use-with-<framework>.md, in its environment."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from mastra_engine.registry import registry
from tests.docs.pages import FRAMEWORKS
from tests.docs.running import run_python


def run_snippets(framework: str, request: pytest.FixtureRequest, **names: Any) -> None:
    """Run the Python of the page; `names` are defined before it, such as a scripted model.

    The framework is named as its folder. The test that calls this is to be marked with
    `django_db`, and named in a module `test_snippets.py` of that folder.
    """
    (page,) = [page for page, folder in FRAMEWORKS.items() if folder == framework]
    module = ModuleType("shown")
    vars(module).update(names)
    request.getfixturevalue("monkeypatch").setitem(sys.modules, module.__name__, module)
    with registry.empty():
        run_python(page, module, request)
