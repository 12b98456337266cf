"""A development database in a container: the image of pgvector, run by `docker compose`."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from mastra_engine.devstack import dotenv
from mastra_engine.devstack.server import parameters
from mastra_engine.exceptions import EngineConfigError, Unavailable

COMPOSE_FILE = "mastra-pg.docker-compose.yaml"
TEMPLATE = Path(__file__).with_name("compose.yaml.template")
PORTS = range(5432, 5452)


@dataclass(frozen=True)
class DockerStack:
    """PostgreSQL in a container that only this machine can connect to."""

    directory: Path

    name: ClassVar[str] = "docker"
    development_only: ClassVar[bool] = False

    def configure(self, *, port: int | None) -> list[str]:
        """Choose a port and a password and write the compose file, unless they exist already."""
        require_docker()
        changed = dotenv.update(self.directory, self._variables(port))
        changed += dotenv.update(self.directory, {"DB_URL": self.url()})
        return [dotenv.in_words(changed), self._write_compose_file()]

    def url(self) -> str:
        """Return the URL with the port and the password in `.env`."""
        env = dotenv.read(self.directory)
        try:
            password, port = env["POSTGRES_PASSWORD"], env["POSTGRES_PORT"]
        except KeyError as missing:
            raise EngineConfigError(f"{missing} is not in .env. Run engine_add again.") from missing
        return f"postgresql://postgres:{quote(password, safe='')}@127.0.0.1:{port}/mastra"

    def owns(self, url: str) -> bool:
        """Return whether `url` is that of the compose file's database, with any port."""
        parts = parameters(url)
        return (parts.get("host"), parts.get("dbname")) == ("127.0.0.1", "mastra")

    def up(self, *, timeout: float) -> None:
        """Start the container with compose, which downloads the image the first time."""
        self._compose("up", "--detach")

    def down(self) -> None:
        """Remove the container with compose, and keep its named volume."""
        self._compose("down")

    def _variables(self, port: int | None) -> dict[str, str]:
        variables = dotenv.read(self.directory)
        return {
            "MASTRA_ENGINE_SERVER": self.name,
            "POSTGRES_PORT": _choose_port(port, variables.get("POSTGRES_PORT")),
            "POSTGRES_PASSWORD": variables.get("POSTGRES_PASSWORD") or secrets.token_urlsafe(24),
        }

    def _write_compose_file(self) -> str:
        path = self.directory / COMPOSE_FILE
        if path.exists():
            return f"{COMPOSE_FILE} exists already and is kept."
        text = TEMPLATE.read_text(encoding="utf-8")
        path.write_text(text.replace("{project}", compose_name(self.directory)), encoding="utf-8")
        return f"Wrote {COMPOSE_FILE}."

    def _compose(self, *arguments: str) -> None:
        # Compose prefers variables of the shell to those in .env, but DB_URL has those of .env.
        ours = {k: v for k, v in dotenv.read(self.directory).items() if k.startswith("POSTGRES_")}
        file = str(self.directory / COMPOSE_FILE)
        run_docker("compose", "-f", file, *arguments, environment={**os.environ, **ours})


def require_docker() -> None:
    """Raise Unavailable with a remedy if the Docker daemon does not answer."""
    try:
        run_docker("info", timeout=30)
    except Unavailable as error:
        raise Unavailable(
            f"Docker does not answer. Start it, or use `engine_add --embedded`.\n{error}"
        ) from error


def run_docker(
    *arguments: str, environment: dict[str, str] | None = None, timeout: float | None = None
) -> None:
    """Run `docker`; raises Unavailable with its error output if it fails."""
    command = ["docker", *arguments]
    try:
        subprocess.run(  # noqa: S603  no shell, and no argument comes from outside
            command, env=environment, timeout=timeout, check=True, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise Unavailable("The `docker` command is not installed.") from error
    except subprocess.SubprocessError as error:
        reason = getattr(error, "stderr", None) or error
        raise Unavailable(f"`{' '.join(command)}` failed:\n{reason}") from error


def compose_name(directory: Path) -> str:
    """Return a name for compose that is unique, so that directories of one name share no volume."""
    readable = re.sub(r"[^a-z0-9-]", "-", directory.name.lower()).strip("-") or "mastra"
    return f"{readable}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:6]}"


def _choose_port(requested: int | None, configured: str | None) -> str:
    if requested is None:
        return configured or str(_first_free_port())
    if str(requested) != configured and not (0 < requested < 65536 and _is_free(requested)):
        raise EngineConfigError(f"Port {requested} is taken or not a port.")
    return str(requested)


def _first_free_port() -> int:
    for port in PORTS:
        if _is_free(port):
            return port
    raise EngineConfigError(f"No port from {PORTS[0]} to {PORTS[-1]} is free. Name one by --port.")


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
