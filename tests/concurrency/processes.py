"""Worker processes of a test: started, made ready, let go at once, listened to, killed.

A worker has its own connection to the test database and runs one function of `work.py`. Workers
are forked by a server process that has Django set up and no connection: importing it anew in each
would take longer than the tests.
"""

from __future__ import annotations

import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

from tests.server import database_url
from tests.waiting import PATIENCE, wait_until_gone

_context = get_context("forkserver")


def start_server() -> None:
    """Start what forks the workers, which inherit its environment."""
    # A worker imports the main module, which is pytest.
    _context.set_forkserver_preload(["pytest", "tests.concurrency.prepared"])
    with mock.patch.dict(os.environ, {"DB_URL": database_url()}):
        forkserver.ensure_running()


class WorkerFailed(AssertionError):
    """The worker's function raised; the message is its traceback."""


class Worker:
    """A process that is about to run `function(**arguments)`."""

    def __init__(self, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
        self.backend_pid = 0
        self.pipe, others = _context.Pipe()
        with others:
            self.process = _context.Process(target=_live, args=(others,))
            self.process.start()
        self.pipe.send((function, arguments))

    def wait_until_ready(self) -> None:
        """Return once it is connected to the database and waits for `go()`."""
        self.backend_pid = self._receive("ready")

    def go(self) -> None:
        """Let it run; later calls are for `wait_to_go()` and `may_go()` in its function."""
        self.pipe.send("go")

    def report(self) -> Any:
        """Return what the worker's function gives to `report()` next."""
        return self._receive("report")

    def result(self, patience: float = PATIENCE) -> Any:
        """Return what the worker's function returned; raises WorkerFailed if it raised."""
        return self._receive("result", patience)

    def kill(self) -> None:
        """Kill it with SIGKILL and return when it is dead."""
        self.process.kill()
        self.process.join(PATIENCE)

    def kill_somewhere(self, steps: int) -> None:
        """Let it go, and kill it a random moment after one of so many reports."""
        self.go()
        for _ in range(random.randint(1, steps)):
            self.report()
        time.sleep(random.uniform(0, 0.01))
        self.kill()
        wait_until_gone(self.backend_pid)

    def resume(self) -> None:
        """Let it go on after a SIGSTOP."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def exit_code(self) -> int | None:
        """Wait for its end; minus the signal's number if that was a signal."""
        self.process.join(PATIENCE)
        return self.process.exitcode

    def close(self) -> None:
        """Make sure that nothing of it is left."""
        self.kill()
        self.process.close()
        self.pipe.close()

    def _receive(self, kind: str, patience: float = PATIENCE) -> Any:
        if not self.pipe.poll(patience):
            raise TimeoutError(f"The worker is silent instead of giving its {kind}")
        received, value = self.pipe.recv()
        if received == "error":
            raise WorkerFailed(value)
        assert received == kind
        return value


def run_at_once(workers: Sequence[Worker], *, patience: float = PATIENCE) -> list[Any]:
    """Let go of workers that are ready, all at the same moment, and return their results."""
    for worker in workers:
        worker.go()
    return [worker.result(patience) for worker in workers]


# Inside a worker

_parent: Connection


def _live(parent: Connection) -> None:
    """Be a worker: get ready, wait, run the function, tell what came of it."""
    global _parent  # noqa: PLW0603
    import django
    from django.db import connection

    _parent = parent
    django.setup()
    function, arguments = _parent.recv()  # models cannot be imported before
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        _parent.send(("ready", cursor.fetchone()[0]))
    with suppress(EOFError):  # nobody waits for it any more
        _parent.recv()
        _parent.send(_outcome(function, arguments))
    connection.close()


def report(value: Any) -> None:
    """Tell the test something while the function still runs."""
    _parent.send(("report", value))


def wait_to_go() -> None:
    """Return once the test has called `go()` again."""
    _parent.recv()


def may_go() -> bool:
    """Return whether the test has called `go()` again."""
    return _parent.poll()


def _outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[str, Any]:
    try:
        return "result", function(**arguments)
    except Exception:
        return "error", traceback.format_exc()
