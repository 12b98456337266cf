"""Syncs and embedding on Celery, with a real broker and workers that are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.conftest import (
    Start,
    check_complete,
    embedded,
    enqueue,
    has_ended,
    is_halfway,
    kill_group,
    processes_of,
    say,
)
from tests.distributed.syncs import SIZE
from tests.sites import Site, site
from tests.waiting import wait_until

pytestmark = pytest.mark.services

CONNECTIONS = "north", "south"


@pytest.fixture
def celery(redis: str, django_db_blocker: Any) -> Iterator[Site]:
    settings = "tests.distributed.celery_settings"
    with site(settings, django_db_blocker, BROKER_URL=redis) as created:
        yield created


def start_celery(celery: Site, start: Start, command: str) -> None:
    start(celery, *["-m", "celery", "-A", "django_tasks_fennel.app"], *command.split())


def start_worker(celery: Site, start: Start, name: str) -> None:
    start_celery(celery, start, f"worker --loglevel=warning --concurrency=1 --hostname={name}")


def test_a_run_goes_to_the_other_worker_when_one_is_killed(celery: Site, start: Start) -> None:
    for name in ("first", "second"):
        start_worker(celery, start, name)
    enqueue(celery, *CONNECTIONS)
    wait_until(lambda: all(is_halfway(celery, connection) for connection in CONNECTIONS))
    (killed,) = processes_of(celery, "north")
    (other,) = processes_of(celery, "south")
    assert killed != other
    kill_group(os.getpgid(killed))

    wait_until(lambda: all(has_ended(celery, connection) for connection in CONNECTIONS))
    check_complete(celery, "north", attempts=2)
    check_complete(celery, "south", attempts=1)
    assert processes_of(celery, "north") == {killed, other}


def test_a_run_goes_on_when_a_workers_child_is_killed(celery: Site, start: Start) -> None:
    """Celery gives the task back at once, when the lease is not over yet."""
    start_worker(celery, start, "only")
    enqueue(celery, "north")
    wait_until(lambda: is_halfway(celery, "north"))
    (killed,) = processes_of(celery, "north")
    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: has_ended(celery, "north"))
    check_complete(celery, "north", attempts=2)


def test_a_schedule_asks_for_runs(celery: Site, start: Start, tmp_path: Path) -> None:
    """More often than they end, so that most of its calls find the run queued or running."""
    start_worker(celery, start, "only")
    start_celery(celery, start, f"beat --schedule={tmp_path}/schedule --pidfile=")
    wait_until(lambda: len(celery.engine.list_sync_runs(status="succeeded")) == 2)
    first, second = celery.engine.list_sync_runs(status="succeeded").items[::-1]
    assert (first.created, first.attempts) == (SIZE, 1)
    assert (second.unchanged + second.updated, second.attempts) == (SIZE, 1)


def test_messages_are_embedded_by_a_worker(celery: Site, start: Start) -> None:
    say(celery, "My dog is called Bello")
    assert embedded(celery) == 0
    start_worker(celery, start, "only")
    wait_until(lambda: embedded(celery) == 1)
