"""A project's `.env` belongs to its author: only the lines asked for change."""

from __future__ import annotations

from pathlib import Path

import pytest

from mastra_engine.devstack import dotenv


def test_other_lines_stay(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("# mine\nexport TOKEN='a b' # why\nPORT=1\n\nLAST=no newline")
    assert dotenv.update(tmp_path, {"PORT": "2", "NEW": "x"}) == ["PORT", "NEW"]
    lines = env.read_text().splitlines()
    assert lines[:2] == ["# mine", "export TOKEN='a b' # why"]
    assert lines[3:5] == ["", "LAST=no newline"]
    assert dotenv.read(tmp_path) == {
        "TOKEN": "a b",
        "PORT": "2",
        "LAST": "no newline",
        "NEW": "x",
    }


def test_open_file_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / ".env").touch(mode=0o644)
    dotenv.update(tmp_path, {"SECRET": "x"})
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_nothing_to_change_touches_nothing(tmp_path: Path) -> None:
    dotenv.update(tmp_path, {"A": "it's \\ $HOME"})
    before = (tmp_path / ".env").stat()
    assert dotenv.update(tmp_path, {"A": "it's \\ $HOME"}) == []
    assert (tmp_path / ".env").stat() == before


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "shared.env")
    dotenv.update(tmp_path, {"A": "1"})
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "shared.env").read_text() == "A='1'\n"


@pytest.mark.parametrize(
    ("ignored", "is_kept"),
    [
        ("*.pyc\n", False),
        ("/.env\n", True),
        ("**/.env\n", True),
        ("a\n.env*\n", True),
        (".env*\n!.env\n", False),
        ("!.env\n.env\n", True),
        (".env/\n", False),
        ("# .env\n", False),
        ("", False),
        (None, False),
    ],
)
def test_gitignore_is_understood(tmp_path: Path, ignored: str | None, is_kept: bool) -> None:
    if ignored is not None:
        (tmp_path / ".gitignore").write_text(ignored)
    assert dotenv.is_kept_from_git(tmp_path) is is_kept


@pytest.mark.parametrize(
    ("repository", "own", "is_kept"),
    [(".env\n", None, True), (".env\n", "!.env\n", False), ("", "*.env\n", True)],
)
def test_gitignore_of_the_repository_counts(
    tmp_path: Path, repository: str, own: str | None, is_kept: bool
) -> None:
    (tmp_path / ".gitignore").write_text("" if is_kept else ".env\n")  # outside of the repository
    root = tmp_path / "repository"
    project = root / "sites" / "shop"
    project.mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".gitignore").write_text(repository)
    if own is not None:
        (project / ".gitignore").write_text(own)
    assert dotenv.is_kept_from_git(project) is is_kept
