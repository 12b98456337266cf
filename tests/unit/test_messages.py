"""Messages are accepted in three notations; invalid ones are refused with a pointer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from openai.types.chat import ChatCompletionMessage

from mastra_engine.conversations.messages import NewMessage, body_hash, new_messages
from mastra_engine.conversations.parts import ToolCall, ToolResult, read_message
from mastra_engine.conversations.tokens import MESSAGE_TOKENS, estimate
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import MessageInput
from mastra_engine.validation.jsonb import loads

HI = {"role": "user", "content": "Hi"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def checked(message: Any) -> NewMessage:
    [new] = new_messages([message], estimate)
    return new


def calling(**changes: Any) -> dict[str, Any]:
    return {"role": "assistant", "tool_calls": [{**CALL, **changes}]}


def saying(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        (None, "/messages"),
        ("Hi", "/messages"),
        (HI, "/messages"),
        (["Hi"], "/messages/0"),
        ([HI, {"content": "Hi"}], "/messages/1/role"),
        ([{"role": "user"}], "/messages/0/content"),
        ([{**HI, "role": "robot"}], "/messages/0/role"),
        ([{**HI, "role": ["user"]}], "/messages/0/role"),
        ([{**HI, "name/of": "Ann"}], "/messages/0/name~1of"),
        ([{1: "one", "role": "user", "content": "Hi"}], "/messages/0/1"),
        ([{**HI, "toolCallId": "a", "tool_call_id": "b"}], "/messages/0"),
        ([{**HI, "id": ""}], "/messages/0/id"),
        ([{**HI, "id": 7}], "/messages/0/id"),
        ([{**HI, "id": "a"}, HI, {**HI, "id": "a"}], "/messages/2/id"),
        ([{**HI, "toolCallId": 7}], "/messages/0/tool_call_id"),
        ([{**HI, "metadata": []}], "/messages/0/metadata"),
        ([{**HI, "metadata": {"a": {"b": float("nan")}}}], "/messages/0/metadata/a/b"),
        ([{**HI, "content": None}], "/messages/0/content"),
        ([{**HI, "content": b"Hi"}], "/messages/0/content"),
        ([{**HI, "content": {"type": "text", "text": "Hi"}}], "/messages/0/content"),
        ([saying({"type": "x"}, "Hi")], "/messages/0/content/1"),
        ([saying({"text": "Hi"})], "/messages/0/content/0/type"),
        ([saying({"type": ""})], "/messages/0/content/0/type"),
        ([saying({"type": "text"})], "/messages/0/content/0/text"),
        ([saying({"type": "text", "text": None})], "/messages/0/content/0/text"),
        ([{**HI, "content": "\0"}], "/messages/0/content"),
        ([{**HI, "content": "\ud800"}], "/messages/0/content"),
        ([saying({"type": "text", "text": "\0"})], "/messages/0/content/0/text"),
        ([{**HI, "createdAt": "today"}], "/messages/0/created_at"),
        ([saying({"type": "x", "y": [1, b""]})], "/messages/0/content/0/y/1"),
        ([{**HI, "tool_calls": "c"}], "/messages/0/tool_calls"),
        ([{**HI, "tool_calls": ["c"]}], "/messages/0/tool_calls/0"),
        ([{**HI, "tool_calls": [], "content": 7}], "/messages/0/content"),
        ([calling(function=None)], "/messages/0/tool_calls/0"),
        ([calling(id=None)], "/messages/0/tool_calls/0/id"),
        ([calling(function={})], "/messages/0/tool_calls/0/function/name"),
        ([MessageInput("robot", "Hi")], "/messages/0/role"),
        ([MessageInput("user", None)], "/messages/0/content"),  # type: ignore[arg-type]
    ],
)
def test_invalid_messages_are_refused_with_a_pointer(messages: Any, path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        new_messages(messages, estimate)
    assert refused.value.path == path


def test_messages_and_parts_may_come_from_generators() -> None:
    def parts() -> Iterator[dict[str, str]]:
        yield {"type": "text", "text": " Hi "}
        yield {"type": "text", "text": "there"}

    [new] = new_messages(iter([{"role": "user", "content": parts()}]), estimate)
    assert loads(new.content) == list(parts())
    assert new.text == "Hi \nthere"
    assert new.tokens == MESSAGE_TOKENS + 1 + 2


def test_parts_are_stored_unchanged_as_json() -> None:
    part = {"type": "own", "nested": {"b": [1, None], "a": "é"}, "id": UUID(int=1)}
    new = checked({"role": "user", "content": [part], "metadata": {"b": 1, "a": 2}})
    assert loads(new.content) == [{**part, "id": str(UUID(int=1))}]
    assert (new.text, new.metadata) == ("", b'{"a":2,"b":1}')


def test_dumps_of_openais_client_are_accepted() -> None:
    answer = ChatCompletionMessage.model_validate(
        {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": [],
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"b": 1, "a": [2]}'}}],
        }
    )
    part = {
        "type": "tool-call",
        "tool_call_id": "c",
        "tool_name": "f",
        "args": {"b": 1, "a": [2]},
        "arguments": '{"b": 1, "a": [2]}',
    }
    new = checked(answer.model_dump())
    assert loads(new.content) == [part]
    answer.content = "Well"
    assert loads(checked(answer.model_dump()).content) == [{"type": "text", "text": "Well"}, part]
    answer.refusal = "No."
    refusal = {"type": "refusal", "refusal": "No."}
    assert loads(checked(answer.model_dump()).content)[1:] == [refusal, part]


@pytest.mark.parametrize("key", ["tool_call_id", "toolCallId", "tool_use_id", "call_id", "id"])
@pytest.mark.parametrize("dash", ["-", "_"])
def test_calls_and_results_in_every_notation(key: str, dash: str) -> None:
    call_type = {"-": "tool-call", "_": "tool_use"}[dash]
    result = {"type": f"tool{dash}result", key: "a"}
    parts = [result, {"type": call_type, key: "b"}, {"type": call_type}]
    assert tools(saying(*parts)) == (["b", ""], ["a"])


def test_tool_messages_answer_their_call_or_that_of_their_only_result() -> None:
    def tool(*ids: str, **keys: str) -> Any:
        results = [{"type": "tool-result", "toolCallId": id} for id in ids]
        return checked({"role": "tool", "content": results, **keys})

    assert tool("a").tool_call_id == "a"
    assert tool("a", toolCallId="b").tool_call_id == "b"
    assert tool("a", "b").tool_call_id is None
    assert tool().tool_call_id is None
    assert checked(saying({"type": "tool_result", "tool_use_id": "a"})).tool_call_id is None
    assert tools({**HI, "role": "tool", "tool_call_id": "a"}) == ([], ["a"])
    assert tools({**HI, "tool_call_id": "a"}) == ([], [])


def test_calls_without_an_id_take_the_id_of_their_message() -> None:
    calls = [{"type": "tool-call"}, {"type": "tool-call", "id": "b"}]
    message = {"role": "assistant", "tool_call_id": "a", "content": calls}
    assert tools(message) == (["a", "b"], [])


def test_body_hash_depends_on_content_and_not_on_notation() -> None:
    def hashed(*messages: Any) -> bytes:
        return body_hash(new_messages(messages, estimate))

    assert hashed(HI) == hashed(MessageInput("user", [{"text": "Hi", "type": "text"}]))
    assert hashed(HI) == hashed({**HI, "metadata": {}, "toolCallId": None})
    others = [
        {**HI, "role": "system"},
        {**HI, "content": "hi"},
        {**HI, "id": "a"},
        {**HI, "tool_call_id": "a"},
        {**HI, "metadata": {"a": 1}},
    ]
    hashes = {hashed(HI), hashed(), hashed(HI, HI), *map(hashed, others)}
    assert len(hashes) == 3 + len(others)


def tools(value: Any) -> tuple[list[str], list[str]]:
    """Return the ids of the calls in a message, and of the results."""
    new = checked(value)
    items = [entry.item for entry in read_message(new.role, loads(new.content), new.tool_call_id)]
    calls = [item.id for item in items if isinstance(item, ToolCall)]
    return calls, [item.call_id for item in items if isinstance(item, ToolResult)]
