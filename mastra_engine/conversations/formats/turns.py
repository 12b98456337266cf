"""Turns: the parts of a conversation in the order that every provider requires."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from mastra_engine.conversations.messages import CALLS, RESULTS, call_id, first
from mastra_engine.conversations.tokens import is_media
from mastra_engine.types import Message, Part


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool; `arguments` is JSON, or the model's text if that is not JSON."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call, as text and media parts."""

    call_id: str
    content: list[Part]
    failed: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive parts of one role, and the results of the tools that they call."""

    role: str
    parts: list[Part] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)


def group_turns(messages: Iterable[Message]) -> list[Turn]:
    """Group the parts of messages into turns, and move each result to the turn of its call."""
    turns: list[Turn] = []
    callers: dict[str, Turn] = {}
    for message in messages:
        turn = None
        parts = _result_parts(message) if message.role == "tool" else _statement_parts(message)
        for part in parts:
            if part["type"] in RESULTS:
                # The assistant writes the parts after a result knowing it: they are a new turn.
                turn = None
                caller = callers.pop(call_id(part) or "", None)
                if caller is not None:
                    caller.results.append(_tool_result(part))
                continue
            if turn is None:
                turns.append(turn := Turn(message.role))
            turn.parts.append(part)
            if message.role == "assistant" and (call := tool_call(part)):
                callers[call.id] = turn
    return turns


def tool_call(part: Part) -> ToolCall | None:
    """Return the tool call of a part, or None if the part is none or lacks an id or a name."""
    id, name = call_id(part), first(part, "tool_name", "toolName", "name")
    if part["type"] not in CALLS or id is None or not isinstance(name, str):
        return None
    return ToolCall(id, name, first(part, "args", "input", "arguments"))


def part_text(part: Part) -> str | None:
    """Return the text of a text part or of one of Anthropic's plain text documents, or None."""
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        text = source.get("data")
    else:
        text = part.get("text") if part.get("type") == "text" else None
    return text if isinstance(text, str) else None


def join_texts(parts: Iterable[Part]) -> str:
    """Join the texts of parts, line by line, without blank ones."""
    return "\n".join(text for part in parts if (text := part_text(part)) and text.strip())


def _statement_parts(message: Message) -> list[Part]:
    """Return a message's parts; a call without an id takes the message's."""
    id = message.tool_call_id
    if id is None:
        return message.content
    return [_with_call_id(part, id) if part["type"] in CALLS else part for part in message.content]


def _result_parts(message: Message) -> list[Part]:
    """Return the results in a tool's message; its other content is one result, of its call."""
    id = message.tool_call_id
    results = [_with_call_id(part, id) for part in message.content if part["type"] in RESULTS]
    if id is None:
        return results
    rest = [part for part in message.content if part["type"] not in RESULTS]
    return [*results, {"type": "tool-result", "tool_call_id": id, "content": rest or None}]


def _with_call_id(part: Part, id: str | None) -> Part:
    return part if call_id(part) else {**part, "tool_call_id": id}


def _tool_result(part: Part) -> ToolResult:
    output = first(part, "result", "output", "content")
    failed = first(part, "is_error", "isError") is True
    # The AI SDK wraps outputs as {"type": "text" | "json" | "error-text" …, "value": …}.
    if isinstance(output, dict) and {"type", "value"} == output.keys():
        failed = failed or str(output["type"]).startswith("error")
        output = output["value"]
    return ToolResult(call_id(part) or "", _output_parts(output), failed)


def _output_parts(output: Any) -> list[Part]:
    """Return a tool's output as parts; output that is neither parts nor text becomes JSON text."""
    if output is None:
        return []
    if isinstance(output, list) and output and all(map(_is_content, output)):
        return output
    text = output if isinstance(output, str) else orjson.dumps(output).decode()
    return [{"type": "text", "text": text}]


def _is_content(part: Any) -> bool:
    return isinstance(part, dict) and (is_media(part) or part_text(part) is not None)
