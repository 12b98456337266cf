"""The development database of a project, for engine_add, engine_up and engine_down.

Each project directory has one server, a container or the embedded PostgreSQL, which its `.env`
names in `MASTRA_ENGINE_SERVER`. Every function may be repeated, killed at any time, and run by
several processes at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from django.conf import settings
from django.core.files import locks

from mastra_engine.conf import database_from_url
from mastra_engine.devstack import dotenv
from mastra_engine.devstack.docker import DockerStack
from mastra_engine.devstack.embedded import EmbeddedStack
from mastra_engine.devstack.server import address, answers, is_down, wait_until_ready
from mastra_engine.exceptions import EngineConfigError

__all__ = [
    "Stack",
    "add",
    "address",
    "choose",
    "configured_stack",
    "down",
    "next_step",
    "project_dir",
    "up",
]


class Stack(Protocol):
    """A PostgreSQL server that belongs to one project directory."""

    name: ClassVar[str]
    # Whether the server is unsafe for production.
    development_only: ClassVar[bool]

    @property
    def directory(self) -> Path: ...

    def configure(self, *, port: int | None) -> list[str]:
        """Write the files of the server and return a message for each change."""

    def url(self) -> str:
        """Return the URL of the server, which need not be running."""

    def owns(self, url: str) -> bool:
        """Return whether `url` has the form of the URLs that this stack writes."""

    def up(self, *, timeout: float) -> None:
        """Start the server unless it runs; it may not accept connections yet on return."""

    def down(self) -> None:
        """Stop the server if it runs, and keep its data."""


CHOICE = "MASTRA_ENGINE_SERVER"
STACKS: dict[str, type[DockerStack] | type[EmbeddedStack]] = {
    stack.name: stack for stack in (DockerStack, EmbeddedStack)
}


def project_dir(directory: str | None = None) -> Path:
    """Return `directory`, or by default the project's `BASE_DIR`, or the current directory."""
    return Path(directory or getattr(settings, "BASE_DIR", None) or ".").resolve()


def choose(directory: Path, *, kind: str | None = None) -> Stack:
    """Return the stack of a kind; None means the configured kind, or else Docker."""
    return _stack(directory, kind or dotenv.read(directory).get(CHOICE, DockerStack.name))


def configured_stack(directory: Path) -> Stack:
    """Return the stack that `.env` in `directory` names; raises EngineConfigError without one."""
    kind = dotenv.read(directory).get(CHOICE)
    if kind is None:
        raise EngineConfigError(f"{directory} has no development database. Run engine_add first.")
    return _stack(directory, kind)


def next_step(conninfo: str) -> str:
    """Return how to start the project's development database if that is the one that is down."""
    directory = project_dir()
    kind = dotenv.read(directory).get(CHOICE)
    if kind in STACKS and STACKS[kind](directory).owns(conninfo) and is_down(conninfo):
        return "Start the development database: manage.py engine_up"
    return ""


def add(stack: Stack, *, port: int | None = None) -> list[str]:
    """Set up `stack` in its directory and return a message for each change."""
    with _alone(stack.directory):
        _refuse_foreign_url(stack.directory)
        _refuse_to_abandon_another(stack)
        messages = stack.configure(port=port)
    if not dotenv.is_kept_from_git(stack.directory):
        messages.append(
            "Add .env to .gitignore: it holds the address and password of the database."
        )
    return messages


def up(stack: Stack, *, timeout: float) -> str:
    """Start the database, wait until it answers a query, and return its URL."""
    with _alone(stack.directory):
        _refuse_foreign_url(stack.directory)
        stack.up(timeout=timeout)
        # The address changes when the project is moved or its port is edited.
        dotenv.update(stack.directory, {"DB_URL": stack.url()})
    wait_until_ready(stack.url(), timeout=timeout)
    return stack.url()


def down(stack: Stack) -> None:
    """Stop the database if it runs, and keep its data."""
    with _alone(stack.directory):
        stack.down()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock the project against other processes; the system releases the lock of a dead one."""
    home = directory / ".mastra"
    home.mkdir(exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    with (home / "lock").open("w") as file:
        locks.lock(file, locks.LOCK_EX)
        yield


def _stack(directory: Path, kind: str) -> Stack:
    try:
        return STACKS[kind](directory)
    except KeyError:
        raise EngineConfigError(
            f"{CHOICE} in .env must be docker or embedded, got {kind!r}"
        ) from None


def _refuse_foreign_url(directory: Path) -> None:
    env = dotenv.read(directory)
    url = env.get("DB_URL", "")
    for configured in filter(None, (os.environ.get("DB_URL"), url)):
        database_from_url(configured)  # The commands would not use the new database.
    ours = CHOICE in env and any(kind(directory).owns(url) for kind in STACKS.values())
    if url and not ours:
        raise EngineConfigError(
            f"DB_URL in {directory / '.env'} points at a database that engine_add did not set up. "
            "Keep using that one, or remove the line and try again."
        )


def _refuse_to_abandon_another(stack: Stack) -> None:
    before = choose(stack.directory)
    url = dotenv.read(stack.directory).get("DB_URL")
    if before.name != stack.name and url and answers(url):
        raise EngineConfigError(
            f"The {before.name} database of this project is running. "
            "Stop it with engine_down before you choose another."
        )
