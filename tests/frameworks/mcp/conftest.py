"""Packages of npm, and the fixtures of the other tests of the MCP server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mcp.conftest import ann, bob, site

__all__ = ["ann", "bob", "npm", "site"]

#: The versions that the tests are written for.
PACKAGES = {
    "@modelcontextprotocol/sdk": "1.32.2",
    "@modelcontextprotocol/client": "2.4.0",
    "@modelcontextprotocol/conformance": "0.1.16",
    "node": "22.23.3",
}


def completed(directory: Path, *command: str) -> str:
    """Return what a command prints; it has to succeed."""
    ended = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def npm(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that installs packages, and returns their folder."""

    def install(*packages: str) -> Path:
        pinned = [f"{package}@{PACKAGES[package]}" for package in packages]
        quietly = ["--prefer-offline", "--no-audit", "--no-fund", "--silent"]
        completed(tmp_path, "npm", "install", *quietly, *pinned)
        return tmp_path

    return install
