"""Packages of npm, and the fixtures of the other tests of the MCP server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.mcp.conftest import ann, bob, site

__all__ = ["ann", "bob", "site"]

#: Where the environment of these tests has the packages of npm.
MODULES = Path(sys.prefix) / "node_modules"


def output_of(*command: str | Path) -> str:
    """Return what a command prints; it has to succeed."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
