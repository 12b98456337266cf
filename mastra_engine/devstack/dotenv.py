"""The project's `.env`: read it, set a few variables, leave every other line alone."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from dotenv import dotenv_values, set_key


def read(directory: Path) -> dict[str, str]:
    """Return the variables that have a value; none when there is no file."""
    values = dotenv_values(directory / ".env", interpolate=False)
    return {name: value for name, value in values.items() if value}


def update(directory: Path, values: Mapping[str, str]) -> list[str]:
    """Set `values` in order, readable by the owner alone, and return the names that changed."""
    known = read(directory)
    changed = [name for name, value in values.items() if known.get(name) != value]
    if changed:
        path = (directory / ".env").resolve()  # set_key would replace a symbolic link by a file
        path.touch(mode=0o600)
        path.chmod(0o600)
    for name in changed:
        set_key(path, name, values[name])
    return changed


def in_words(changed: list[str]) -> str:
    """Say what `update` did."""
    return f"Set {', '.join(changed)} in .env." if changed else ".env is up to date."


def is_kept_from_git(directory: Path) -> bool:
    """Tell whether the directory's `.gitignore` names `.env`; True when there is no such file."""
    path = directory / ".gitignore"
    if not path.exists():
        return True
    patterns = path.read_text(encoding="utf-8").splitlines()
    return any(fnmatch(".env", pattern.strip().strip("/")) for pattern in patterns)
