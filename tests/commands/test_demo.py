"""The demo is killed on the way and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest

from example_project.demo.memory import THREAD
from example_project.demo.records import CONNECTION
from example_project.sources import packages
from example_project.syncs import PAGE_SIZE
from tests.sites import Site, site

#: Runs the demo until it comes by a place for the n-th time.
KILLED = """
import os, signal, sys
from django.core.management import execute_from_command_line
from mastra_engine import pausing

place, visits = sys.argv[1], int(sys.argv[2])

def die(name):
    global visits
    visits -= name == place
    if visits == 0:
        os.kill(os.getpid(), signal.SIGKILL)

pausing.handler = die
execute_from_command_line(["manage.py", "demo"])
"""


@pytest.fixture
def example(django_db_blocker: Any) -> Iterator[Site]:
    with site("example_project.settings", django_db_blocker) as made:
        yield made


def killed_and_started_again(example: Site, *, place: str, visit: int) -> str:
    """Return what the second demo says."""
    code, said = example.ended("-c", KILLED, place, str(visit))
    assert code == -signal.SIGKILL, said
    return example.manage("demo")


def test_a_demo_killed_in_a_sync_goes_on_with_it(example: Site) -> None:
    said = killed_and_started_again(example, place="run_page_committed", visit=3)
    assert "Another demo's sync of Packages got to" in said
    *_, first = example.engine.list_sync_runs(sync="packages", connection_id=CONNECTION)
    size = len({package.external_id for package in packages()})
    assert (first.status, first.attempts, first.pages) == ("succeeded", 2, ceil(size / PAGE_SIZE))
    assert (first.created, first.updated, first.unchanged) == (size, 0, 0)


def test_a_demo_killed_in_a_conversation_goes_on_with_it(example: Site) -> None:
    said = killed_and_started_again(example, place="embeddings_stored", visit=5)
    assert "Another demo" not in said
    messages = example.engine.memory.list_messages(thread_id=THREAD, limit=1_000).items
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert f" {len(messages)} " in said
