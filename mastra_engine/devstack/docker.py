"""A development database in a container: pgvector's image under `docker compose`."""

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
    """PostgreSQL in a container, reachable from this machine only."""

    directory: Path

    name: ClassVar[str] = "docker"
    development_only: ClassVar[bool] = False

    def configure(self, *, port: int | None) -> list[str]:
        """Choose port and password and write the compose file, each unless it is there already."""
        require_docker()
        changed = dotenv.update(self.directory, self._variables(port))
        changed += dotenv.update(self.directory, {"DB_URL": self.url()})
        return [dotenv.in_words(changed), self._write_compose_file()]

    def url(self) -> str:
        """Return the URL that the port and password in `.env` make."""
        env = dotenv.read(self.directory)
        try:
            password, port = env["POSTGRES_PASSWORD"], env["POSTGRES_PORT"]
        except KeyError as missing:
            raise EngineConfigError(f"{missing} is not in .env. Run engine_add again.") from missing
        return f"postgresql://postgres:{quote(password, safe='')}@127.0.0.1:{port}/mastra"

    def owns(self, url: str) -> bool:
        """Tell whether `url` names the database the compose file makes, whatever the port."""
        found = parameters(url)
        return (found.get("host"), found.get("dbname")) == ("127.0.0.1", "mastra")

    def up(self, *, timeout: float) -> None:
        """Let compose start the container; the first time it downloads the image."""
        self._compose("up", "--detach")

    def down(self) -> None:
        """Let compose remove the container; the named volume stays."""
        self._compose("down")

    def _variables(self, port: int | None) -> dict[str, str]:
        known = dotenv.read(self.directory)
        return {
            "MASTRA_ENGINE_SERVER": self.name,
            "POSTGRES_PORT": _choose_port(port, known.get("POSTGRES_PORT")),
            "POSTGRES_PASSWORD": known.get("POSTGRES_PASSWORD") or secrets.token_urlsafe(24),
        }

    def _write_compose_file(self) -> str:
        path = self.directory / COMPOSE_FILE
        if path.exists():
            return f"{COMPOSE_FILE} exists already and is kept."
        text = TEMPLATE.read_text(encoding="utf-8")
        path.write_text(text.replace("{project}", compose_name(self.directory)), encoding="utf-8")
        return f"Wrote {COMPOSE_FILE}."

    def _compose(self, *arguments: str) -> None:
        # For compose a variable of the shell beats the one in .env, of which DB_URL is made.
        ours = {k: v for k, v in dotenv.read(self.directory).items() if k.startswith("POSTGRES_")}
        file = str(self.directory / COMPOSE_FILE)
        run_docker("compose", "-f", file, *arguments, environment={**os.environ, **ours})


def require_docker() -> None:
    """Raise Unavailable, with the way out, unless the Docker daemon answers."""
    try:
        run_docker("info", timeout=30)
    except Unavailable as error:
        raise Unavailable(
            f"Docker does not answer. Start it, or use `engine_add --embedded`.\n{error}"
        ) from error


def run_docker(
    *arguments: str, environment: dict[str, str] | None = None, timeout: float | None = None
) -> None:
    """Run `docker` and raise Unavailable with what it said when it fails."""
    command = ["docker", *arguments]
    try:
        subprocess.run(  # noqa: S603  no shell, and no argument comes from outside
            command, env=environment, timeout=timeout, check=True, capture_output=True, text=True
        )
    except FileNotFoundError as error:
        raise Unavailable("The `docker` command is not installed.") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or error
        raise Unavailable(f"`{' '.join(command)}` failed:\n{said}") from error


def compose_name(directory: Path) -> str:
    """Return compose's name of the project: two directories called `backend` share no volume."""
    readable = re.sub(r"[^a-z0-9-]", "-", directory.name.lower()).strip("-") or "mastra"
    return f"{readable}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:6]}"


def _choose_port(wanted: int | None, known: str | None) -> str:
    if wanted is None:
        return known or str(_first_free_port())
    if str(wanted) != known and not (0 < wanted < 65536 and _is_free(wanted)):
        raise EngineConfigError(f"Port {wanted} is taken or not a port.")
    return str(wanted)


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
