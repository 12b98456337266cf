"""The demo is killed on the way and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest

from example_project.demo.memory import THREAD
from example_project.desk.knowledge import INDEX
from example_project.sources import CHAPTERS, CONNECTION, reference
from example_project.syncs import PAGE_SIZE
from mastra_engine.retrieval.chunking import chunk
from tests.sites import Site, site

#: Runs the demo until it hits a failpoint for the n-th time; its claim on an index is short.
KILLED = """
import os, signal, sys
from django.core.management import execute_from_command_line
from mastra_engine import failpoints
from django.conf import settings

settings.MASTRA_ENGINE["default"]["INDEX_LEASE"] = 1.0
place, visits = sys.argv[1], int(sys.argv[2])

def die(name):
    global visits
    visits -= name == place
    if visits == 0:
        os.kill(os.getpid(), signal.SIGKILL)

failpoints.handler = die
execute_from_command_line(["manage.py", "demo"])
"""


#: Runs serve up to the point where it starts the server.
SERVED = """
import django

django.setup()

from django.core.management import execute_from_command_line
from example_project.management.commands import serve

serve.call_command = lambda *arguments, **options: None
execute_from_command_line(["manage.py", "serve"])
"""


@pytest.fixture
def example(django_db_blocker: Any) -> Iterator[Site]:
    with site("example_project.settings", django_db_blocker) as running:
        yield running


def killed(example: Site, *, place: str, visit: int) -> str:
    """Return the output of the demo until it is killed."""
    code, output = example.ended("-u", "-c", KILLED, place, str(visit))
    assert code == -signal.SIGKILL, output
    return output


def test_a_demo_killed_twice_resumes(example: Site) -> None:
    """First while it indexes a page that is committed, then in the conversation."""
    killed(example, place="chunks_stored", visit=3)
    output = killed(example, place="embeddings_stored", visit=5)
    assert "Another demo's sync of Topics committed up to" in output
    *_, first = example.engine.list_sync_runs(sync="topics", connection_id=CONNECTION)
    topics = list(reference())
    size = len(topics)
    assert (first.status, first.attempts, first.pages) == ("succeeded", 2, ceil(size / PAGE_SIZE))
    assert (first.created, first.updated, first.unchanged) == (size, 0, 0)

    bodies = [topic.data["body"] for topic in topics if topic.data["title"] not in CHAPTERS]
    chunks = [part for body in bodies for part in chunk(body)]
    assert example.engine.vectors.describe_index(index_name=INDEX).count == len(chunks)
    assert "│ break " in output

    output = example.manage("demo")
    assert "Another demo" not in output
    messages = example.engine.memory.list_messages(thread_id=THREAD, limit=1_000).items
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert f" {len(messages)} " in output

    assert "make serve" in output
    code, output = example.ended("-c", SERVED)
    assert code == 0, output
    assert f"Topics: 0 created, {size} unchanged." in output
    # The desk adds its few tickets. Its topics are the demo's, so no chunk is stored twice.
    stored = example.engine.vectors.describe_index(index_name=INDEX).count
    assert len(chunks) < stored < 1.1 * len(chunks)
