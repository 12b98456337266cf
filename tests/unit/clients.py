"""Checks of windows: the types of the providers' clients, and the rules of their servers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anthropic.types
import openai.types.chat
from pydantic import BaseModel, TypeAdapter

from mastra_engine.conversations.formats import format_window
from mastra_engine.conversations.messages import new_messages
from mastra_engine.conversations.tokens import estimate
from mastra_engine.types import Message
from mastra_engine.validation.jsonb import loads

OPENAI: TypeAdapter[Any] = TypeAdapter(openai.types.chat.ChatCompletionMessageParam)
OPENAI_TOOL: TypeAdapter[Any] = TypeAdapter(openai.types.chat.ChatCompletionToolParam)
ANTHROPIC: TypeAdapter[Any] = TypeAdapter(anthropic.types.MessageParam)
ANTHROPIC_TOOL: TypeAdapter[Any] = TypeAdapter(anthropic.types.ToolParam)


def stored(*messages: Any) -> list[Message]:
    """Return messages as an engine returns them."""
    return [
        Message(
            id=str(position),
            thread_id="t",
            position=position,
            role=new.role,
            content=loads(new.content),
            tool_call_id=new.tool_call_id,
            tokens=new.tokens,
            metadata={},
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for position, new in enumerate(new_messages(messages, estimate), start=1)
    ]


def assert_accepts(client: TypeAdapter[Any], value: Any) -> None:
    """Assert that a client's types accept a value without dropping an unknown key."""
    assert plain(client.validate_python(value)) == value


def plain(value: Any) -> Any:
    """Return a value that pydantic validated, with its lazy iterables as lists."""
    if isinstance(value, BaseModel):  # A block may match the type of a response as well.
        return value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [plain(item) for item in value]
    return value


def for_openai(messages: list[Message]) -> list[Any]:
    window = format_window(messages, "openai", truncated=False).messages
    for message in window:
        assert_accepts(OPENAI, message)
    for before, message in pairwise([{"role": "system"}, *window]):
        if message["role"] == "tool":
            assert before["role"] == "tool" or "tool_calls" in before
    waiting: list[str] = []
    for message in window:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting, "a message precedes the last result"
            waiting = [call["id"] for call in message.get("tool_calls", [])]
    return window


def for_anthropic(messages: list[Message]) -> list[Any]:
    window = format_window(messages, "anthropic", truncated=False).messages
    for message in window:
        assert_accepts(ANTHROPIC, message)
    roles = [message["role"] for message in window]
    assert roles == (["user", "assistant"] * len(window))[: len(window)]
    for message, after in pairwise([*window, None]):
        types = [block["type"] for block in message["content"]]
        assert types == sorted(types, key=lambda type: type == "tool_use"), "text after a call"
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        answers = [] if after is None else after["content"]
        answered_ids = [block["tool_use_id"] for block in answers if "tool_use_id" in block]
        if after is None or after is window[-1]:  # tools may be running
            assert {*answered_ids} <= {*calls}
        else:
            assert sorted(answered_ids) == sorted(calls)
        results = types.count("tool_result")
        assert types[:results] == ["tool_result"] * results
        assert all(block["text"].strip() for block in message["content"] if "text" in block)
    return window
