"""A stand-in for `docker` that records how it is called, and for the server in its container."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """\
#!/bin/sh
here=${0%/*}
echo "$*" >>"$here/calls"
echo "$POSTGRES_PORT $POSTGRES_PASSWORD" >"$here/variables"
case "$*" in *"$(cat "$here/fails_at")") echo "no space left on device" >&2; exit 1;; esac
"""


@dataclass(frozen=True)
class FakeDocker:
    """An executable `docker` in a directory to put into PATH."""

    directory: Path

    def install(self) -> None:
        (self.directory / "docker").write_text(SCRIPT)
        (self.directory / "docker").chmod(0o755)
        self.fail_at("never")

    def fail_at(self, last_words: str) -> None:
        (self.directory / "fails_at").write_text(last_words)

    @property
    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def variables(self) -> list[str]:
        return (self.directory / "variables").read_text().split()


class _Forward(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(self.server.path)  # type: ignore[attr-defined]
            back = threading.Thread(target=_copy, args=(upstream, self.request))
            back.start()
            _copy(self.request, upstream)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # the other side has gone
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def published(socket_path: str, *, port: int) -> Iterator[None]:
    """Serve the PostgreSQL behind a socket at a port of 127.0.0.1, as Docker's proxy does."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), _Forward) as proxy:
        proxy.path = socket_path  # type: ignore[attr-defined]
        threading.Thread(target=proxy.serve_forever).start()
        try:
            yield
        finally:
            proxy.shutdown()
