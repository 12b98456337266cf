"""The routes of messages, and their format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mastra_engine import MastraEngine
from tests.mastra_server.conftest import Mastra, ids, message

#: A message of an agent, with all that Mastra may write into one, and something unknown.
ANSWER = {
    "id": "answer",
    "role": "assistant",
    "threadId": "chat",
    "resourceId": "7",
    "createdAt": "2026-01-02T03:04:06.001Z",
    "content": {
        "format": 2,
        "parts": [
            {"type": "step-start"},
            {
                "type": "reasoning",
                "reasoning": "",
                "details": [{"type": "text", "text": "Look it up."}],
                "providerMetadata": {"openai": {"itemId": "rs_1"}},
            },
            {
                "type": "tool-invocation",
                "toolInvocation": {
                    "state": "result",
                    "toolCallId": "call-1",
                    "toolName": "menu",
                    "args": {"day": "today"},
                    "result": {"soup": "lentil", "price": 4.5},
                },
            },
            {"type": "file", "mimeType": "image/png", "data": "iVBORw0KGgo="},
            {"type": "source", "source": {"url": "https://example.com", "id": "s"}},
            {"type": "something-new", "nested": [{"a": None}]},
            {"type": "text", "text": "The lentil soup."},
        ],
        "content": "The lentil soup.",
        "toolInvocations": [
            {"state": "result", "toolCallId": "call-1", "toolName": "menu", "args": {}, "result": 1}
        ],
        "annotations": [{"a": 1}],
        "experimental_attachments": [],
        "reasoning": "Look it up.",
        "metadata": {"modelId": "m", "mastra": {"sealed": True}, "nothing": None},
        "providerMetadata": {"openai": {"itemId": "msg_1"}},
        "unknown": {"kept": True},
    },
    "unknown": ["kept"],
}


def test_a_message_of_an_agent_comes_back_as_it_was(ann: Mastra) -> None:
    (saved,) = ann.post("/memory/save-messages?agentId=a", {"messages": [ANSWER]})["messages"]
    assert saved == ANSWER
    listed = ann.get("/memory/threads/chat/messages")
    assert listed == {
        "messages": [ANSWER],
        "total": 1,
        "page": 0,
        "perPage": 40,
        "hasMore": False,
        "uiMessages": None,
    }


def test_the_engine_reads_its_text_metadata_and_tool_calls(
    ann: Mastra, engine: MastraEngine
) -> None:
    question = message("question")
    ann.post("/memory/save-messages", {"messages": [question, ANSWER]})
    memory = engine.memory
    (stored,) = memory.list_messages(thread_id="chat", metadata={"modelId": "m"})
    assert stored.metadata == ANSWER["content"]["metadata"]  # type: ignore[index]
    window = memory.get_context_window(thread_id="chat", format="openai")
    user, called, result, answer = window.messages
    assert user == {"role": "user", "content": "question"}
    assert called["tool_calls"][0]["function"]["name"] == "menu"
    assert json.loads(result["content"]) == {"soup": "lentil", "price": 4.5}
    assert answer["content"] == "The lentil soup."
    assert "unknown" not in json.dumps(window.messages)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("Hello", [{"type": "text", "text": "Hello"}]),
        ([{"type": "text", "text": "Hello"}], [{"type": "text", "text": "Hello"}]),
        ({"parts": []}, []),
    ],
    ids=str,
)
def test_content_of_earlier_formats_becomes_parts(
    ann: Mastra, content: Any, parts: list[Any]
) -> None:
    body = {"messages": [message("m", content=content, type="text")]}
    (saved,) = ann.post("/memory/save-messages", body)["messages"]
    assert saved == message("m", content={"format": 2, "parts": parts})


def test_signals_are_hints_of_the_system(ann: Mastra, engine: MastraEngine) -> None:
    signal = message("hint", role="signal")
    body = {"messages": [signal, message("m", role="system")]}
    assert ann.post("/memory/save-messages", body)["messages"][0] == signal
    assert ann.post("/memory/save-messages", body)["messages"][0] == signal
    query = {"filter": json.dumps({"roles": ["signal"]})}
    assert ann.get("/memory/threads/chat/messages", **query)["messages"] == [signal]
    assert [item.role for item in engine.memory.list_messages(thread_id="chat")] == ["system"] * 2


@pytest.mark.parametrize("metadata", [None, {}])
def test_empty_metadata_comes_back_as_it_was(ann: Mastra, metadata: Any) -> None:
    content = {"format": 3, "parts": [{"type": "text", "text": "x"}], "metadata": metadata}
    (saved,) = ann.post("/memory/save-messages", {"messages": [message("m", content=content)]})[
        "messages"
    ]
    assert saved["content"] == content


def test_messages_of_the_engine_are_listed(ann: Mastra, engine: MastraEngine) -> None:
    new: Any = [{"role": "user", "content": "Hello", "id": "m", "metadata": {"a": 1}}]
    engine.memory.save_memory(thread_id="chat", messages=new)
    (listed,) = ann.get("/memory/threads/chat/messages")["messages"]
    parts = [{"type": "text", "text": "Hello"}]
    assert listed["content"] == {"format": 2, "parts": parts, "metadata": {"a": 1}}


def test_ids_and_times_are_chosen_for_messages_without(ann: Mastra) -> None:
    new = {**message("x"), "id": None, "createdAt": None}
    first, second = ann.post("/memory/save-messages", {"messages": [new, new]})["messages"]
    assert first["id"] != second["id"]
    assert first["createdAt"].endswith("Z")


# Saving


def test_messages_of_several_threads_are_saved_in_one_call(ann: Mastra) -> None:
    ann.post("/memory/threads", {"threadId": "other"})
    mixed = [message("1"), message("2", thread="other"), message("3")]
    saved = ann.post("/memory/save-messages", {"messages": mixed})["messages"]
    assert saved == mixed
    assert ids(ann.get("/memory/threads/chat/messages")["messages"]) == ["1", "3"]


def test_a_repeated_request_saves_nothing_twice(ann: Mastra) -> None:
    first = ann.save("one", "two")
    assert ann.save("one", "two") == first
    ann.save("two", "three")
    listed = ann.get("/memory/threads/chat/messages")["messages"]
    assert ids(listed) == ["one", "two", "three"]
    ann.post("/memory/threads", {"threadId": "other"})
    for changed in (message("one", content="Another"), message("one", thread="other")):
        ann.post("/memory/save-messages", {"messages": [changed, message("new")]}, expected=409)
    assert ids(ann.get("/memory/threads/chat/messages")["messages"]) == ["one", "two", "three"]


def test_messages_are_saved_all_or_none(ann: Mastra, engine: MastraEngine) -> None:
    if engine.database is None:
        pytest.skip("the mock has no transactions of several calls")
    for wrong, status in ((message("2", thread="none"), 404), (message("2", content=7), 400)):
        body = {"messages": [message("1"), wrong]}
        ann.post("/memory/save-messages", body, expected=status)
        assert ann.get("/memory/threads/chat/messages")["total"] == 0


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (None, "messages"),
        ({}, "messages"),
        (["text"], "messages"),
        ([{**message("a"), "threadId": None}], "messages.0.threadId"),
        ([{**message("a"), "resourceId": ""}], "messages.0.resourceId"),
        ([message("a", role="robot")], "messages.0.role"),
        ([message("a", createdAt="yesterday")], "messages.0.createdAt"),
        ([message("a", createdAt=1e300)], "messages.0.createdAt"),
        ([message("a", content=None)], "messages.0.content"),
        ([message("a", content={"format": 2})], "messages.0.content"),
        ([message("a", content={"parts": ["x"]})], "messages.0.content.parts.0"),
        ([message("a", content={"parts": [{}]})], "messages.0.content.parts.0.type"),
        ([message("a", content={"parts": [], "metadata": [1]})], "messages.0.content.metadata"),
        (
            [message("a", content={"parts": [{"type": "mastra-message"}]})],
            "messages.0.content.parts.0.type",
        ),
        ([message("a", thread="other"), message("b", content={})], "messages.1.content"),
        ([message("a"), message("b", id="b\0")], "messages.1.id"),
    ],
    ids=str,
)
def test_a_wrong_message_is_refused_by_its_place(ann: Mastra, messages: Any, field: str) -> None:
    ann.post("/memory/threads", {"threadId": "other"})
    answer = ann.post("/memory/save-messages", {"messages": messages}, expected=400)
    assert answer["issues"][0]["field"] == field
    assert ann.get("/memory/threads/chat/messages")["total"] == 0


# Listing


@pytest.fixture
def talk(ann: Mastra) -> Mastra:
    """Six messages, one a second, of three roles."""
    roles = ["user", "assistant", "system"] * 2
    messages = [
        message(
            str(second),
            role=role,
            createdAt=f"2026-01-02T03:04:0{second}.000Z",
            content={
                "format": 2,
                "parts": [{"type": "text", "text": f"Text {second}"}],
                "metadata": {"number": second, "tags": [role]},
            },
        )
        for second, role in enumerate(roles)
    ]
    ann.post("/memory/save-messages", {"messages": messages})
    return ann


def as_json(**value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ({}, "012345", {"total": 6, "perPage": 40, "hasMore": False}),
        ({"perPage": "2"}, "01", {"total": 6, "hasMore": True}),
        ({"perPage": "4", "page": "1"}, "45", {"page": 1, "hasMore": False}),
        ({"perPage": "false"}, "012345", {"perPage": False, "hasMore": False}),
        ({"perPage": "0"}, "", {"total": 0, "perPage": 0, "hasMore": False}),
        ({"page": "7"}, "", {"total": 6, "hasMore": False}),
        # With an agent and no order, the newest page in the order of time
        ({"agentId": "a", "perPage": "2"}, "45", {"total": 6, "hasMore": True}),
        ({"agentId": "a", "perPage": "2", "page": "1"}, "23", {"hasMore": True}),
        ({"agentId": "a", "perPage": "4", "page": "1"}, "01", {"hasMore": False}),
        (
            {
                "agentId": "a",
                "perPage": "2",
                "orderBy": as_json(field="createdAt", direction="ASC"),
            },
            "01",
            {},
        ),
        ({"orderBy": as_json(direction="DESC"), "perPage": "2"}, "54", {"hasMore": True}),
        ({"orderBy[direction]": "DESC", "perPage": "2", "page": "2"}, "10", {"hasMore": False}),
        ({"filter": as_json(roles=["user"])}, "03", {"total": 2}),
        ({"filter": as_json(roles=["user", "system"]), "perPage": "3"}, "023", {"hasMore": True}),
        ({"filter": as_json(roles=[])}, "", {"total": 0}),
        ({"filter": as_json(metadata={"number": 3})}, "3", {"total": 1}),
        ({"filter": as_json(metadata={"number": 3, "tags": "system"})}, "", {"total": 0}),
        ({"filter": as_json(dateRange={"start": "2026-01-02T03:04:04.000Z"})}, "45", {"total": 2}),
        (
            {
                "filter": as_json(
                    dateRange={"start": "2026-01-02T03:04:04Z", "startExclusive": True}
                )
            },
            "5",
            {},
        ),
        ({"filter": as_json(dateRange={"end": "2026-01-02T03:04:01.000Z"})}, "01", {}),
        (
            {
                "filter": as_json(
                    dateRange={"end": "2026-01-02T03:04:01.000Z", "endExclusive": True},
                    roles=["user", "assistant"],
                )
            },
            "0",
            {"total": 1},
        ),
        ({"include": '[{"id": "3"}]', "perPage": "1"}, "03", {"total": 6, "hasMore": True}),
        (
            {
                "include": '[{"id": "3", "withPreviousMessages": 1, "withNextMessages": 9}]',
                "perPage": "0",
            },
            "2345",
            {"total": 0},
        ),
        (
            {
                "include": '[{"id":"1","withPreviousMessages":5},{"id":"2","withNextMessages":1}]',
                "perPage": "0",
                "orderBy": as_json(direction="DESC"),
            },
            "3210",
            {},
        ),
        ({"include": '[{"id": "unknown"}]', "perPage": "0"}, "", {}),
        ({"agentId": "a", "include": '[{"id": "0"}]', "perPage": "1"}, "05", {}),
        ({"resourceId": "7", "includeSystemReminders": "true", "x": "y"}, "012345", {}),
    ],
    ids=str,
)
def test_messages_are_listed_in_pages(
    talk: Mastra, query: dict[str, str], expected: str, more: dict[str, Any]
) -> None:
    answer = talk.get("/memory/threads/chat/messages", **query)
    assert "".join(ids(answer["messages"])) == expected
    assert {key: answer[key] for key in more} == more
    assert answer["uiMessages"] is None


def test_included_messages_may_be_of_another_thread_of_the_user(talk: Mastra, bob: Mastra) -> None:
    bob.post("/memory/threads", {"threadId": "bobs"})
    bob.save("secret", thread="bobs", resource="8")
    talk.post("/memory/threads", {"threadId": "other"})
    talk.save("elsewhere", "next", thread="other")
    include = json.dumps([{"id": "elsewhere", "withNextMessages": 1}, {"id": "secret"}])
    answer = talk.get("/memory/threads/chat/messages", include=include, perPage="0")
    assert ids(answer["messages"]) == ["elsewhere", "next"]


# Deleting


@pytest.mark.parametrize(
    ("value", "deleted"),
    [
        ("0", 1),
        ({"id": "0"}, 1),
        (["0", "1", "0"], 2),
        ([{"id": "0"}, {"id": "unknown"}], 1),
        ([], 0),
    ],
    ids=str,
)
def test_messages_are_deleted_by_ids_or_as_they_are(talk: Mastra, value: Any, deleted: int) -> None:
    answer = talk.post("/memory/messages/delete?agentId=a", {"messageIds": value})
    plural = "" if deleted == 1 else "s"
    text = f"{deleted} message{plural} deleted successfully"
    assert answer == {"success": True, "message": text}
    assert talk.get("/memory/threads/chat/messages")["total"] == 6 - deleted


@pytest.mark.parametrize("value", [None, 7, [None], [{}], {"id": 7}, [""]], ids=str)
def test_ids_of_messages_are_names(talk: Mastra, value: Any) -> None:
    talk.post("/memory/messages/delete", {"messageIds": value}, expected=400)
    assert talk.get("/memory/threads/chat/messages")["total"] == 6
