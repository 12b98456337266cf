"""Each promise names tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT

PAGE = (DOCS / "guarantees.md").read_text(encoding="utf-8")


def promises(markdown: str) -> dict[str, list[str]]:
    """Return the tests that are listed below each heading of a promise."""
    sections = re.split(r"^### (.+)\n", markdown, flags=re.MULTILINE)[1:]
    return {
        heading: re.findall(r"^- `(\S+)`$", re.split(r"^## ", text, flags=re.MULTILINE)[0], re.M)
        for heading, text in zip(sections[::2], sections[1::2], strict=True)
    }


PROMISES = promises(PAGE)


def exists(test: str) -> bool:
    """Tell whether `path::test` or `path::Class::test` is defined."""
    path, *names = test.split("::")
    file = ROOT / path
    if not names or not file.is_file():
        return False
    scope: list[ast.stmt] = ast.parse(file.read_text()).body
    for name in names:
        matching = [node for node in scope if getattr(node, "name", None) == name]
        if not matching:
            return False
        scope = matching[0].body if isinstance(matching[0], ast.ClassDef) else []
    return names[-1].startswith("test_")


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_is_held_by_tests_that_exist(promise: str) -> None:
    assert PROMISES[promise]
    assert [test for test in PROMISES[promise] if not exists(test)] == []


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 50


def test_every_test_on_the_page_belongs_to_a_promise() -> None:
    mentioned = re.findall(r"`([\w/.]+\.py::\S+)`", PAGE)
    assert mentioned == [test for tests in PROMISES.values() for test in tests]


def test_a_promise_without_tests_is_noticed() -> None:
    page = "## Group\n\n### Kept\n\nTests:\n\n- `a.py::test_a`\n\n### Broken\n\nText.\n\n## Other\n"
    assert promises(page) == {"Kept": ["a.py::test_a"], "Broken": []}


def test_what_does_not_exist_is_noticed() -> None:
    here = str(Path(__file__).relative_to(ROOT))
    assert exists(f"{here}::test_there_are_promises")
    assert not exists(f"{here}::test_of_another_name")
    assert not exists(f"{here}::exists")
    assert not exists(f"{here}::TestClass::test_there_are_promises")
    assert not exists("tests/nowhere.py::test_there_are_promises")
    assert not exists(here)
    assert exists(
        "mastra_engine/testing/contract/syncs.py::TestSyncs::test_a_full_sync_deletes_the_rest"
    )
