"""Reading and changing the project's `.env`; lines of other variables are kept."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from dotenv import dotenv_values, set_key


def read(directory: Path) -> dict[str, str]:
    """Return the variables that have a value; without a file, an empty dict."""
    values = dotenv_values(directory / ".env", interpolate=False)
    return {name: value for name, value in values.items() if value}


def update(directory: Path, values: Mapping[str, str]) -> list[str]:
    """Set variables in order and return the changed names; only the owner can read the file."""
    current = read(directory)
    changed = [name for name, value in values.items() if current.get(name) != value]
    if changed:
        path = (directory / ".env").resolve()  # set_key() would replace a symbolic link by a file.
        path.touch(mode=0o600)
        path.chmod(0o600)
    for name in changed:
        set_key(path, name, values[name])
    return changed


def summary(changed: list[str]) -> str:
    """Return a sentence about the variables that update() changed."""
    return f"Set {', '.join(changed)} in .env." if changed else ".env is up to date."


def is_ignored_by_git(directory: Path) -> bool:
    """Return whether the directory's `.gitignore` has `.env`; True without a `.gitignore`."""
    path = directory / ".gitignore"
    if not path.exists():
        return True
    patterns = path.read_text(encoding="utf-8").splitlines()
    return any(fnmatch(".env", pattern.strip().strip("/")) for pattern in patterns)
