"""The demo is killed on the way and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest
from django.db import connections

from example_project.demo.memory import THREAD
from example_project.demo.records import CONNECTION
from example_project.sources import packages
from example_project.syncs import PAGE_SIZE
from mastra_engine import PostgresEngine
from tests.commands.conftest import ROOT

MANAGE = """
import os, signal, sys
from django.core.management import execute_from_command_line
from mastra_engine import pausing

command, place, visits = sys.argv[1], sys.argv[2], int(sys.argv[3])

def die(name):
    global visits
    visits -= name == place
    if name == place and visits == 0:
        os.kill(os.getpid(), signal.SIGKILL)

pausing.handler = die
execute_from_command_line(["manage.py", command])
"""


class Demo:
    """The example project on a database, as processes and as an engine to look with."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.engine = PostgresEngine(url=database)

    def manage(
        self, command: str, *, place: str = "", visit: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, to be killed at a visit of a pause point if one is given."""
        settings = {"DB_URL": self.database, "DJANGO_SETTINGS_MODULE": "example_project.settings"}
        return subprocess.run(
            [sys.executable, "-c", MANAGE, command, place, str(visit)],
            cwd=ROOT,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def killed_and_started_again(self, *, place: str, visit: int) -> str:
        """Return what the second one says."""
        killed = self.manage("demo", place=place, visit=visit)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        again = self.manage("demo")
        assert again.returncode == 0, again.stderr
        return again.stdout


@pytest.fixture
def demo(database: str, django_db_blocker: Any) -> Iterator[Demo]:
    """A demo on a database of its own."""
    demo = Demo(database)
    assert demo.manage("migrate").returncode == 0
    with django_db_blocker.unblock():
        yield demo
        alias = demo.engine.session.alias
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def test_a_demo_killed_in_a_sync_goes_on_with_it(demo: Demo) -> None:
    said = demo.killed_and_started_again(place="run_page_committed", visit=3)
    assert "Another demo's sync of Packages got to" in said
    *_, first = demo.engine.list_sync_runs(sync="packages", connection_id=CONNECTION)
    size = len({package.external_id for package in packages()})
    assert (first.status, first.attempts, first.pages) == ("succeeded", 2, ceil(size / PAGE_SIZE))
    assert (first.created, first.updated, first.unchanged) == (size, 0, 0)


def test_a_demo_killed_in_a_conversation_goes_on_with_it(demo: Demo) -> None:
    said = demo.killed_and_started_again(place="embeddings_stored", visit=5)
    assert "Another demo" not in said
    messages = demo.engine.memory.list_messages(thread_id=THREAD, limit=1_000).items
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert f" {len(messages)} " in said
