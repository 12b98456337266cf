"""The demo is killed on the way and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from math import ceil
from typing import Any

import pytest

from example_project.demo.memory import THREAD
from example_project.demo.records import CONNECTION
from example_project.desk.knowledge import INDEX
from example_project.sources import CHAPTERS, reference
from example_project.syncs import PAGE_SIZE
from mastra_engine.retrieval.chunking import chunk
from tests.sites import Site, site

#: Runs the demo until it comes by a place for the n-th time; its claim on an index is short.
KILLED = """
import os, signal, sys
from django.core.management import execute_from_command_line
from mastra_engine import failpoints as pausing
from django.conf import settings

settings.MASTRA_ENGINE["default"]["INDEX_LEASE"] = 1.0
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


def killed(example: Site, *, place: str, visit: int) -> str:
    """Return what the demo says until it is killed."""
    code, said = example.ended("-u", "-c", KILLED, place, str(visit))
    assert code == -signal.SIGKILL, said
    return said


def test_a_demo_killed_twice_resumes(example: Site) -> None:
    """First while it indexes a page that is committed, then in the conversation."""
    killed(example, place="chunks_stored", visit=3)
    said = killed(example, place="embeddings_stored", visit=5)
    assert "Another demo's sync of Topics committed up to" in said
    *_, first = example.engine.list_sync_runs(sync="topics", connection_id=CONNECTION)
    topics = list(reference())
    size = len(topics)
    assert (first.status, first.attempts, first.pages) == ("succeeded", 2, ceil(size / PAGE_SIZE))
    assert (first.created, first.updated, first.unchanged) == (size, 0, 0)

    bodies = [topic.data["body"] for topic in topics if topic.data["title"] not in CHAPTERS]
    passages = [passage for body in bodies for passage in chunk(body)]
    assert example.engine.vectors.describe_index(index_name=INDEX).count == len(passages)
    assert "│ break " in said

    said = example.manage("demo")
    assert "Another demo" not in said
    messages = example.engine.memory.list_messages(thread_id=THREAD, limit=1_000).items
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert f" {len(messages)} " in said
