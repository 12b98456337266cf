"""The routes of threads."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mastra_engine import MastraEngine
from tests.mastra_server.conftest import Mastra, ids

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_a_thread_is_created_read_changed_and_deleted(ann: Mastra) -> None:
    body = {
        "agentId": "anything",
        "resourceId": "7",
        "threadId": "new",
        "title": "Trip",
        "metadata": {"a": {"b": [1, None]}},
    }
    created = ann.post("/memory/threads?agentId=anything&requestContext=e30=", body)
    dates = [created.pop("createdAt"), created.pop("updatedAt")]
    assert all(map(DATE.fullmatch, dates))
    assert created == {
        "id": "new",
        "resourceId": "7",
        "title": "Trip",
        "metadata": {"a": {"b": [1, None]}},
    }
    assert ann.get("/memory/threads/new")["createdAt"] == dates[0]
    changed = ann.patch("/memory/threads/new?agentId=a", {"metadata": {"c": 1}})
    assert (changed["title"], changed["metadata"]) == ("Trip", {"c": 1})
    assert ann.delete("/memory/threads/new?agentId=a") == {"result": "Thread deleted"}
    ann.get("/memory/threads/new", expected=404)


def test_a_thread_that_exists_is_created_again_with_its_messages(ann: Mastra) -> None:
    ann.save("Hello")
    again = ann.post("/memory/threads", {"resourceId": "7", "threadId": "chat"})
    assert again["title"] == "Lunch"
    body = {"resourceId": "7", "threadId": "chat", "title": "Dinner", "metadata": {"a": 1}}
    assert ann.post("/memory/threads", body)["title"] == "Dinner"
    assert ann.get("/memory/threads/chat/messages")["total"] == 1


def test_the_server_chooses_an_id_and_the_only_resource_of_a_user(ann: Mastra) -> None:
    created = ann.post("/memory/threads", {})
    assert (created["resourceId"], created["title"], created["metadata"]) == ("7", "", {})
    assert created["id"]


@pytest.fixture
def listed(ann: Mastra) -> Mastra:
    """Four threads: chat, a, b and c, of which a was changed last."""
    for number, id in enumerate("abc"):
        metadata = {"number": number, "even": number % 2 == 0}
        ann.post("/memory/threads", {"threadId": id, "metadata": metadata})
    ann.patch("/memory/threads/a", {"title": "Used"})
    return ann


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ({}, ["c", "b", "a", "chat"], {"total": 4, "page": 0, "perPage": 100, "hasMore": False}),
        ({"perPage": "3"}, ["c", "b", "a"], {"perPage": 3, "hasMore": True}),
        ({"perPage": "3", "page": "1"}, ["chat"], {"total": 4, "page": 1, "hasMore": False}),
        ({"perPage": "0"}, [], {"total": 4, "perPage": 0, "hasMore": False}),
        ({"perPage": "false"}, ["c", "b", "a", "chat"], {"perPage": False, "hasMore": False}),
        ({"page": "9"}, [], {"total": 4, "hasMore": False}),
        ({"orderBy[field]": "updatedAt"}, ["a", "c", "b", "chat"], {}),
        (
            {"orderBy[field]": "updatedAt", "orderBy[direction]": "ASC"},
            ["chat", "b", "c", "a"],
            {},
        ),
        ({"orderBy[direction]": "ASC"}, ["chat", "a", "b", "c"], {}),
        ({"orderBy": "createdAt", "sortDirection": "ASC"}, ["chat", "a", "b", "c"], {}),
        ({"orderBy": '{"field":"updatedAt","direction":"ASC"}'}, ["chat", "b", "c", "a"], {}),
        ({"metadata": '{"even": true}'}, ["c", "a"], {"total": 2}),
        ({"metadata": '{"even": true, "number": 0}'}, ["a"], {"total": 1}),
        ({"resourceId": "7", "agentId": "x", "unknown": "1"}, ["c", "b", "a", "chat"], {}),
    ],
    ids=str,
)
def test_threads_are_listed_in_pages(
    listed: Mastra, query: dict[str, str], expected: list[str], more: dict[str, Any]
) -> None:
    answer = listed.get("/memory/threads", **query)
    assert ids(answer["threads"]) == expected
    assert {key: answer[key] for key in more} == more
    assert answer.keys() == {"threads", "total", "page", "perPage", "hasMore"}


def test_staff_name_the_resource_that_they_list(ann: Mastra, staff: Mastra) -> None:
    assert ids(staff.get("/memory/threads", resourceId="7")["threads"]) == ["chat"]
    issues = staff.get("/memory/threads", expected=400)["issues"]
    assert [issue["field"] for issue in issues] == ["resourceId"]


def test_a_clone_has_the_messages_and_says_what_it_is_a_clone_of(ann: Mastra) -> None:
    ann.patch("/memory/threads/chat", {"metadata": {"a": 1}})
    ann.save("one", "two")
    clone = ann.post("/memory/threads/chat/clone?agentId=a", {})
    thread, messages = clone["thread"], clone["clonedMessages"]
    assert thread["title"] == "Clone of Lunch"
    assert thread["metadata"]["a"] == 1
    assert thread["metadata"]["clone"]["sourceThreadId"] == "chat"
    assert DATE.fullmatch(thread["metadata"]["clone"]["clonedAt"])
    assert [item["content"]["parts"][0]["text"] for item in messages] == ["one", "two"]
    assert {item["threadId"] for item in messages} == {thread["id"]}
    assert not {*ids(messages)} & {"one", "two"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["one", "two", "three"]),
        ({"messageLimit": 2}, ["two", "three"]),
        ({"messageLimit": 0}, []),
        ({"messageFilter": {"messageIds": ["one", "three", "unknown"]}}, ["one", "three"]),
        ({"messageFilter": {"startDate": "2026-01-02T03:04:05.679Z"}}, []),
        ({"messageFilter": {"endDate": "2026-01-02T03:04:05.678Z"}}, ["one", "two", "three"]),
        ({"messageFilter": {"messageIds": ["one", "two"]}, "messageLimit": 1}, ["two"]),
    ],
    ids=str,
)
def test_a_clone_may_have_some_of_the_messages(
    ann: Mastra, options: dict[str, Any], expected: list[str]
) -> None:
    ann.save("one", "two", "three")
    body = {"newThreadId": "copy", "title": "Copy", "metadata": {"b": 2}, "options": options}
    clone = ann.post("/memory/threads/chat/clone", body)
    assert (clone["thread"]["id"], clone["thread"]["title"]) == ("copy", "Copy")
    assert clone["thread"]["metadata"].keys() == {"b", "clone"}
    texts = [item["content"]["parts"][0]["text"] for item in clone["clonedMessages"]]
    assert texts == expected
    assert ann.get("/memory/threads/copy/messages")["total"] == len(expected)
    ann.post("/memory/threads/chat/clone", body, expected=409)


def test_staff_transfer_a_thread(ann: Mastra, bob: Mastra, staff: Mastra) -> None:
    ann.save("Hello")
    created = ann.get("/memory/threads/chat")["createdAt"]
    moved = staff.post("/memory/threads/chat/transfer?agentId=a", {"resourceId": "8"})
    assert (moved["resourceId"], moved["createdAt"]) == ("8", created)
    ann.get("/memory/threads/chat", expected=403)
    (message,) = bob.get("/memory/threads/chat/messages")["messages"]
    assert (message["id"], message["resourceId"]) == ("Hello", "8")


def test_a_user_transfers_no_thread_to_another(ann: Mastra, bob: Mastra) -> None:
    ann.post("/memory/threads/chat/transfer", {"resourceId": "8"}, expected=403)
    bob.post("/memory/threads/chat/transfer", {"resourceId": "8"}, expected=403)
    ann.post("/memory/threads/none/transfer", {"resourceId": "7"}, expected=404)
    ann.post("/memory/threads/chat/transfer", {}, expected=400)
    assert ann.get("/memory/threads/chat")["resourceId"] == "7"


def test_the_engine_has_the_same_thread(ann: Mastra, engine: MastraEngine) -> None:
    thread = engine.memory.get_thread(thread_id="chat")
    assert (thread.resource_id, thread.title, thread.version) == ("7", "Lunch", 1)
