from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from shutil import which

import pytest

from mastra_engine.types import SyncRun
from tests.distributed.syncs import PAGE, SIZE
from tests.sites import Site
from tests.waiting import PATIENCE, wait_until

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def redis() -> Iterator[str]:
    """The URL of a Redis of the test's own, on a socket in a directory that goes.

    Workers would perform what is left of another test in a broker that tests share.
    """
    program = which("redis-server")
    assert program, "redis-server is missing: make test-celery gets it"
    with tempfile.TemporaryDirectory(prefix="mastra-redis-") as home:
        socket = Path(home) / "redis.sock"
        command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", home]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(socket.exists)
        yield f"redis+socket://{socket}"
        server.terminate()
        server.wait(PATIENCE)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start workers of a site, each the leader of a process group; none outlives the test."""
    workers: list[subprocess.Popen[str]] = []

    def start(site: Site, *arguments: str) -> subprocess.Popen[str]:
        workers.append(site.start(*arguments, start_new_session=True))
        return workers[-1]

    yield start
    for worker in workers:
        kill_group(worker.pid)
        worker.wait(PATIENCE)


def kill_group(leader: int) -> None:
    """Kill a worker with all its children, as when its machine dies."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def enqueue(site: Site, *connections: str) -> None:
    """Ask for runs at the same moment: the start of a process may take longer than a run."""
    ask = "call_command('engine_sync', 'numbers', connection=each, enqueue=True)"
    script = f"from django.core.management import call_command\nfor each in {connections}: {ask}"
    site.manage("shell", "-c", script)


def say(site: Site, text: str) -> None:
    """Save a message, in a process that sends the task which embeds it."""
    message = {"role": "user", "content": text}
    saved = f"engine.memory.save_memory(thread_id='t', resource_id='ann', messages=[{message}])"
    site.manage("shell", "-c", f"from mastra_engine import engine; {saved}")


def embedded(site: Site) -> int:
    return sum(index.count for index in site.engine.vectors.list_indexes())


def run_of(site: Site, connection: str) -> SyncRun:
    """Return the only run of a connection."""
    (run,) = site.engine.list_sync_runs(sync="numbers", connection_id=connection)
    return run


def is_halfway(site: Site, connection: str) -> bool:
    return run_of(site, connection).pages >= 3


def has_ended(site: Site, connection: str) -> bool:
    return run_of(site, connection).finished_at is not None


def processes_of(site: Site, connection: str) -> set[int]:
    """Return the processes that brought a connection's records in."""
    result = site.engine.iter_records(entity_name="Numbers", connection_id=connection)
    return {record.data["by"] for record in result}


def check_complete(site: Site, connection: str, *, attempts: int) -> None:
    """Check that nothing is missing, and that nothing was written twice or by too many."""
    run = run_of(site, connection)
    assert (run.status, run.attempts) == ("succeeded", attempts), run.error
    assert (run.created, run.updated, run.unchanged, run.deleted) == (SIZE, 0, 0, 0)
    assert run.pages == SIZE // PAGE
    assert site.engine.get_entity_by_id(id=run.entity_id).rev == SIZE
    assert len(processes_of(site, connection)) == attempts
