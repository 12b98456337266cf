"""Syncs, and embedding, on a queue in the project's own database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from tests.distributed.conftest import (
    Start,
    check_complete,
    embedded,
    enqueue,
    is_halfway,
    kill_group,
    run_of,
    say,
)
from tests.sites import Site, site
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def project(django_db_blocker: Any) -> Iterator[Site]:
    with site("tests.distributed.database_settings", django_db_blocker) as created:
        yield created


def test_a_run_is_taken_over_by_the_next_call(project: Site, start: Start) -> None:
    """This queue keeps the task of a worker that was killed for ever."""
    enqueue(project, "north")
    assert run_of(project, "north").status == "queued"
    worker = start(project, "-m", "django", "db_worker", "--no-startup-delay")
    wait_until(lambda: is_halfway(project, "north"))
    kill_group(worker.pid)
    worker.wait()
    remaining = run_of(project, "north")
    assert remaining.status == "running"

    assert remaining.lease_expires_at is not None
    wait_until(lambda: timezone.now() > remaining.lease_expires_at)
    enqueue(project, "north")
    project.manage("db_worker", "--batch")
    assert run_of(project, "north").id == remaining.id
    check_complete(project, "north", attempts=2)


@pytest.mark.long  # it starts processes; on Celery `make test-celery` sees it
def test_messages_are_embedded_by_a_worker(project: Site) -> None:
    say(project, "My dog is called Bello")
    assert embedded(project) == 0
    project.manage("db_worker", "--batch")
    assert embedded(project) == 1
