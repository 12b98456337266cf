"""A server on this machine that answers as a test scripts it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Answering:
    """Answers POSTs with `answers` in turn, the last one for ever, and keeps the requests.

    An answer is (status, JSON or bytes), a function of the request's body that returns the JSON,
    or None for a connection that is closed without one.
    """

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def reply(self, request: dict[str, Any], headers: dict[str, str]) -> tuple[int, bytes] | None:
        self.requests.append(request)
        self.headers.append({key.lower(): value for key, value in headers.items()})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            return None
        status, body = (200, answer(request)) if callable(answer) else answer
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


@contextmanager
def answering(*answers: Any) -> Iterator[Answering]:
    """Run a server while the block runs."""
    answers_ = Answering(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if (reply := answers_.reply(body, dict(self.headers))) is None:
                return
            with suppress(ConnectionError):  # the client had no more patience
                self.send_response(reply[0])
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(reply[1])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        answers_.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield answers_
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Between two tries nobody sleeps here; the fixture is how long they would have."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept
