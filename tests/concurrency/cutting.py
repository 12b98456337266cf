"""A proxy before PostgreSQL that breaks a connection at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal, Self

Moment = Literal["before", "after"]

_READY = b"Z"  # ReadyForQuery: what was asked for is done, and committed outside a transaction


class CuttingProxy:
    """Passes on all there is between clients and the test's server, until told to cut.

    It speaks the unencrypted protocol, of which it knows where one message ends:
    https://www.postgresql.org/docs/current/protocol-message-formats.html
    """

    def __init__(self, host: str, port: int) -> None:
        """`host` is the server's, or the directory of its socket."""
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self._statement: bytes | None = None
        self._moment: Moment = "after"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def cut(self, statement: str, moment: Moment) -> None:
        """Break the next connection that sends `statement`: before the server sees it, or after
        the server has done it and before the client is told."""
        self._statement, self._moment = statement.encode(), moment

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server = _connect(*self._target)
                cutting = threading.Event()
                for target in (self._forward, self._answer):
                    threading.Thread(target=target, args=(client, server, cutting)).start()

    def _forward(
        self, client: socket.socket, server: socket.socket, cutting: threading.Event
    ) -> None:
        with suppress(OSError):
            while sent := client.recv(1 << 20):
                if self._statement is not None and self._statement in sent:
                    self._statement = None
                    self.cuts += 1
                    if self._moment == "before":
                        break
                    cutting.set()
                server.sendall(sent)
        _close(client, server)

    def _answer(
        self, client: socket.socket, server: socket.socket, cutting: threading.Event
    ) -> None:
        with suppress(OSError), server.makefile("rb") as answers:
            while head := answers.read(5):
                answer = head + answers.read(int.from_bytes(head[1:], "big") - 4)
                if not cutting.is_set():
                    client.sendall(answer)
                elif head.startswith(_READY):
                    break
        _close(client, server)


def _connect(host: str, port: int) -> socket.socket:
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _close(*sockets: socket.socket) -> None:
    for item in sockets:
        with suppress(OSError):
            item.shutdown(socket.SHUT_RDWR)
        item.close()
