"""Each promise names tests, and they exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Row, rows

GUARANTEES = rows(DOCS / "guarantees.md", "Promise", "Limits", "Held by")


def exists(test: str) -> bool:
    """Tell whether `path::test` or `path::Class::test` is defined."""
    path, *names = test.split("::")
    file = ROOT / path
    if not names or not file.is_file():
        return False
    scope: list[ast.stmt] = ast.parse(file.read_text()).body
    for name in names:
        found = [node for node in scope if getattr(node, "name", None) == name]
        if not found:
            return False
        scope = found[0].body if isinstance(found[0], ast.ClassDef) else []
    return names[-1].startswith("test_")


@pytest.mark.parametrize("row", GUARANTEES, ids=lambda row: row.cells[0].content[:40])
def test_each_promise_is_held_by_tests_that_exist(row: Row) -> None:
    tests = row.spans(2)
    assert tests
    assert [test for test in tests if not exists(test)] == []


def test_there_are_promises() -> None:
    assert len(GUARANTEES) >= 10


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
