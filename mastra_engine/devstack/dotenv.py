"""The variables in the project's `.env`; other lines of the file are not changed."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from dotenv import dotenv_values, set_key


def read(directory: Path) -> dict[str, str]:
    """Return the variables with a value, or an empty dictionary if the file does not exist."""
    values = dotenv_values(directory / ".env", interpolate=False)
    return {name: value for name, value in values.items() if value}


def update(directory: Path, values: Mapping[str, str]) -> list[str]:
    """Set variables in a file that only its owner can read; return the names that changed."""
    current = read(directory)
    changed = [name for name, value in values.items() if current.get(name) != value]
    if changed:
        path = (directory / ".env").resolve()  # set_key would replace a symbolic link by a file.
        path.touch(mode=0o600)
        path.chmod(0o600)
    for name in changed:
        set_key(path, name, values[name])
    return changed


def in_words(changed: list[str]) -> str:
    """Return a message about the changes of `update`."""
    return f"Set {', '.join(changed)} in .env." if changed else ".env is up to date."


def is_kept_from_git(directory: Path) -> bool:
    """Return whether a `.gitignore` names `.env`; the last pattern that matches decides.

    It is the one of the directory, or of a parent inside of the same repository.
    """
    ignored = False
    for path in _ignore_files(directory):
        for pattern in path.read_text(encoding="utf-8").splitlines():
            name = pattern.strip().removeprefix("!").removeprefix("**/").removeprefix("/")
            if fnmatch(".env", name):
                ignored = not pattern.startswith("!")
    return ignored


def _ignore_files(directory: Path) -> list[Path]:
    """Return the `.gitignore` files that apply in a directory, the repository's own first."""
    directories = [directory, *directory.parents]
    roots = [number for number, parent in enumerate(directories) if (parent / ".git").exists()]
    inside = directories[: roots[0] + 1] if roots else [directory]
    paths = [parent / ".gitignore" for parent in reversed(inside)]
    return [path for path in paths if path.is_file()]
