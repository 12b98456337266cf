"""The memory of a page is bounded, however long the stored values are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from mastra_engine import engine
from mastra_engine.models import (
    Embedding,
    Entity,
    Fact,
    Message,
    Record,
    SyncPage,
    SyncRun,
    Thread,
    WorkingMemory,
)
from tests.admin.conftest import list_of, page_of, view

MEGABYTE = 1_000_000
LONG = "x" * MEGABYTE

PAGES: dict[str, Callable[[], str]] = {
    "threads": lambda: list_of(Thread),
    "thread": lambda: page_of(Thread.objects.get(id="chat/1")),
    "resource": lambda: view("resources", resource_id="ann"),
    "fact": lambda: page_of(Fact.objects.get(valid_to=None)),
    "facts": lambda: list_of(Fact),
    "facts of a resource": lambda: view("resource_facts", resource_id="ann"),
    "messages": lambda: list_of(Message),
    "message": lambda: page_of(Message.objects.order_by("-position")[0]),
    "working memory": lambda: page_of(WorkingMemory.objects.all()[0]),
    "records": lambda: list_of(Record),
    "record": lambda: page_of(Record.objects.all()[0]),
    "changes": lambda: view("changes", Entity.objects.get(name="Contacts").pk),
    "run": lambda: page_of(SyncRun.objects.get()),
    "runs": lambda: list_of(SyncRun),
    "page of a run": lambda: page_of(SyncPage.objects.all()[0]),
    "vectors": lambda: list_of(Embedding),
    "embedding": lambda: page_of(Embedding.objects.get(vector_id="long")),
}


@pytest.fixture
def long_values(store: dict[str, Any]) -> None:
    """Make every column of content a megabyte, in as many rows as a page shows."""
    for number in range(50):
        engine.memory.save_memory(
            thread_id="chat/1", messages=[{"role": "user", "content": f"{number} {LONG}"}]
        )
        engine.memory.create_thread(resource_id="ann", thread_id=f"t{number}", title="t")
        engine.memory.update_working_memory(thread_id=f"t{number}", content=LONG)
        fact = {"subject": "Ann", "predicate": "says", "object": f"{number} {LONG[:16_000]}"}
        engine.facts.remember(resource_id="ann", facts=[fact])
    Thread.objects.update(title=LONG, metadata={"long": LONG})
    Record.objects.update(data={"long": LONG})
    SyncRun.objects.update(params={"long": LONG}, checkpoint={"long": LONG})
    SyncPage.objects.update(checkpoint={"long": LONG})
    engine.vectors.upsert(
        index_name="docs",
        ids=["long"],
        vectors=[[-1, -1, 1]],
        documents=["short"],
        metadata=[{"long": LONG}],
    )
    Embedding.objects.filter(vector_id="long").update(document=LONG)


def test_pages_read_the_beginning_of_long_values(owner: Client, long_values: None) -> None:
    for name, address in PAGES.items():
        where = address()
        owner.get(where)  # imports and caches
        tracemalloc.start()
        response = owner.get(where)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert response.status_code == 200, name
        assert len(response.content) < 4 * MEGABYTE, name
        assert peak < 25 * MEGABYTE, (name, peak)


def test_a_long_message_is_named_in_the_transcript(owner: Client, long_values: None) -> None:
    page = owner.get(PAGES["thread"]()).content.decode()
    assert "only the page of the message shows its beginning" in page
    message = owner.get(PAGES["message"]()).content.decode()
    assert "more characters" in message


def test_a_window_that_is_too_long_for_a_page_is_refused(owner: Client, long_values: None) -> None:
    address = view("context", "chat/1", max_tokens=2**31 - 1, format="raw")
    response = owner.get(address)
    assert "choose a smaller budget" in response.content.decode()
    small = owner.get(view("context", "chat/1", max_tokens=300_000, format="raw"))
    assert small.status_code == 200
