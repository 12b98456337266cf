"""Requests at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from tests.api.conftest import client_of
from tests.mastra_server.conftest import Mastra, ids

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("engine", ["postgres"], indirect=True),
]
CLIENTS, CALLS = 6, 5


def at_once(work: Callable[[Mastra, int], Any]) -> list[Any]:
    """Have several clients of ann's do their work at the same time; return the results."""

    def run(number: int) -> Any:
        try:
            return work(Mastra(client_of(User(pk=7, username="ann"))), number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(run, range(CLIENTS)))


def test_messages_saved_at_once_are_all_there(ann: Mastra) -> None:
    def save(client: Mastra, number: int) -> None:
        for call in range(CALLS):
            client.save(f"{number}-{call}-a", f"{number}-{call}-b")

    at_once(save)
    listed = ann.get("/memory/threads/chat/messages", perPage="false")
    stored = ids(listed["messages"])
    assert listed["total"] == len(set(stored)) == 2 * CLIENTS * CALLS
    for number in range(CLIENTS):
        own = [id for id in stored if id.startswith(f"{number}-")]
        assert own == [f"{number}-{call}-{part}" for call in range(CALLS) for part in "ab"]


def test_a_request_repeated_at_once_saves_its_messages_once(ann: Mastra) -> None:
    answers = at_once(lambda client, _: client.save("one", "two"))
    assert all(answer == answers[0] for answer in answers)
    assert ids(ann.get("/memory/threads/chat/messages")["messages"]) == ["one", "two"]


def test_a_thread_created_at_once_is_one(ann: Mastra) -> None:
    body = {"resourceId": "7", "threadId": "new", "title": "New"}
    answers = at_once(lambda client, _: client.post("/memory/threads", body))
    assert {(answer["id"], answer["title"]) for answer in answers} == {("new", "New")}
    assert ann.get("/memory/threads")["total"] == 2
