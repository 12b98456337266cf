from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from tests.concurrency.processes import Worker, start_server
from tests.waiting import wait_until_gone

Start = Callable[..., list[Worker]]


@pytest.fixture
def engine(transactional_db: None) -> PostgresEngine:
    """The engine of the test's own process; workers make their own."""
    return PostgresEngine(lock_timeout=30)


@pytest.fixture
def start(transactional_db: None) -> Iterator[Start]:
    """Start one worker per dict of arguments and return them, ready; none outlives the test."""
    start_server()
    workers: list[Worker] = []

    def start(function: Callable[..., Any], arguments: list[dict[str, Any]]) -> list[Worker]:
        started = [Worker(function, argument) for argument in arguments]
        workers.extend(started)
        for worker in started:
            worker.wait_until_ready()
        return started

    yield start
    for worker in workers:
        worker.close()
    wait_until_gone(*(worker.backend_pid for worker in workers))
