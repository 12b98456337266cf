"""The development database of a project directory: what engine_add, engine_up and engine_down do.

One choice per directory, written down in its `.env` (`MASTRA_ENGINE_SERVER`): a container or the
embedded PostgreSQL. Every function may be repeated, killed and run by several processes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from django.conf import settings
from django.core.files import locks

from mastra_engine.devstack import dotenv
from mastra_engine.devstack.docker import DockerStack
from mastra_engine.devstack.embedded import EmbeddedStack
from mastra_engine.devstack.server import address, answers, wait_until_ready
from mastra_engine.exceptions import EngineConfigError

__all__ = ["Stack", "add", "address", "choose", "chosen", "down", "project_dir", "up"]


class Stack(Protocol):
    """A PostgreSQL server that belongs to one project directory."""

    name: ClassVar[str]
    # Would it be careless to serve real users from it?
    development_only: ClassVar[bool]

    @property
    def directory(self) -> Path: ...

    def configure(self, *, port: int | None) -> list[str]:
        """Write the files it needs and return what was done, in words."""

    def url(self) -> str:
        """Return where the server answers when it is up."""

    def owns(self, url: str) -> bool:
        """Tell whether `url` has the shape of the ones this stack writes."""

    def up(self, *, timeout: float) -> None:
        """Start the server unless it runs; it may still be starting afterwards."""

    def down(self) -> None:
        """Stop the server if it runs; the data stays."""


CHOICE = "MASTRA_ENGINE_SERVER"
STACKS: dict[str, type[DockerStack] | type[EmbeddedStack]] = {
    stack.name: stack for stack in (DockerStack, EmbeddedStack)
}


def project_dir(given: str | None = None) -> Path:
    """Return the directory asked for, else the project's `BASE_DIR`, else the current one."""
    return Path(given or getattr(settings, "BASE_DIR", None) or ".").resolve()


def choose(directory: Path, *, kind: str | None = None) -> Stack:
    """Return the stack of that kind; of the kind chosen before, else Docker, when it is None."""
    return _stack(directory, kind or dotenv.read(directory).get(CHOICE, DockerStack.name))


def chosen(directory: Path) -> Stack:
    """Return the stack chosen in `directory`; raise EngineConfigError when none was."""
    kind = dotenv.read(directory).get(CHOICE)
    if kind is None:
        raise EngineConfigError(f"{directory} has no development database. Run engine_add first.")
    return _stack(directory, kind)


def add(stack: Stack, *, port: int | None = None) -> list[str]:
    """Set `stack` up in its directory and return what was done, in words."""
    with _alone(stack.directory):
        _refuse_foreign_url(stack.directory)
        _refuse_to_abandon_another(stack)
        done = stack.configure(port=port)
    if not dotenv.is_kept_from_git(stack.directory):
        done.append("Add .env to .gitignore: it holds the address and password of the database.")
    return done


def up(stack: Stack, *, timeout: float) -> str:
    """Start the database, wait until it answers a query and return its URL."""
    with _alone(stack.directory):
        _refuse_foreign_url(stack.directory)
        stack.up(timeout=timeout)
        # The address follows the project when it is moved or its port is edited.
        dotenv.update(stack.directory, {"DB_URL": stack.url()})
    wait_until_ready(stack.url(), timeout=timeout)
    return stack.url()


def down(stack: Stack) -> None:
    """Stop the database if it runs; the data stays."""
    with _alone(stack.directory):
        stack.down()


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes from touching the same project; the system frees a dead one's lock."""
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
        raise EngineConfigError(f"{CHOICE} in .env is {kind!r}, not docker or embedded") from None


def _refuse_foreign_url(directory: Path) -> None:
    env = dotenv.read(directory)
    url = env.get("DB_URL", "")
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
