"""The project's own tools: the language measure and the release script."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from tools import prose, release


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that the language is measured in."""
    (tmp_path / "mastra_engine").mkdir()
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    return tmp_path


def test_phrases_are_counted_outside_of_code(house: Path) -> None:
    (house / "README.md").write_text(
        "It keeps what was said.\n\n```\nwhat was run\n```\n`what is`\n"
    )
    count = prose.measure_prose("docs")
    assert (len(count.matches), count.units) == (1, 6)
    assert count.matches[0].startswith("README.md:1: 'what was' is a noun clause")
    assert count.rate == pytest.approx(1_000 / 6)


def test_docstrings_and_comments_are_counted(house: Path) -> None:
    source = '"""Nobody sees it."""\n\n# Made anew.\nX = "nobody"  # noqa: nobody\n'
    (house / "mastra_engine" / "a.py").write_text(source)
    matches = prose.measure_prose("code").matches
    assert [match.split(" is a ")[0] for match in matches] == [
        "mastra_engine/a.py:1: 'Nobody'",
        "mastra_engine/a.py:3: 'anew'",
    ]


def test_names_are_counted(house: Path) -> None:
    source = "def found(given: int) -> int:\n    total = given\n    return total\n"
    (house / "mastra_engine" / "a.py").write_text(source)
    count = prose.measure_names()
    assert (len(count.matches), count.units) == (2, 3)


def test_migrations_are_left_out(house: Path) -> None:
    (house / "mastra_engine" / "migrations").mkdir()
    (house / "mastra_engine" / "migrations" / "a.py").write_text("# nobody\n")
    assert prose.measure_prose("code").units == 0


CHANGES = "# Changelog\n\n## Unreleased\n\n- Something.\n\n## 0.1.0 - 2026-01-01\n\n- First.\n"


def test_a_release_moves_the_entries_under_its_version() -> None:
    written = release.with_release(CHANGES, "0.2.0", datetime.date(2026, 12, 1))
    assert written.startswith(
        "# Changelog\n\n## Unreleased\n\n## 0.2.0 - 2026-12-01\n\n- Something.\n"
    )


def test_a_release_without_entries_is_refused() -> None:
    with pytest.raises(release.NotReady, match="no entries"):
        release.with_release(
            CHANGES.replace("- Something.\n", ""), "0.2.0", datetime.date(2026, 12, 1)
        )


@pytest.mark.parametrize("version", ["0.0.9", "1.0", "v1.0.0", "1.0.0rc1"])
def test_a_version_that_is_no_step_forward_is_refused(version: str) -> None:
    with pytest.raises(release.NotReady):
        release.with_version('__version__ = "0.1.0"\n', version)


def test_the_version_is_written() -> None:
    assert release.with_version('a\n__version__ = "0.1.0"\n', "0.2.0") == (
        'a\n__version__ = "0.2.0"\n'
    )
