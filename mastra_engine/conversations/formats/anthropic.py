"""The messages of Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy

from mastra_engine.conversations.formats.turns import (
    ToolCall,
    ToolResult,
    Turn,
    part_text,
    tool_call,
)
from mastra_engine.conversations.media import IMAGES, PDF, Media, media_of
from mastra_engine.conversations.messages import first
from mastra_engine.types import Part

#: Anthropic requires a user's message first. Where a window begins with the assistant, this one
#: stands for the earlier messages; dropping the assistant's could drop a whole chain of tools.
_PLACEHOLDER = {"role": "user", "content": [{"type": "text", "text": "(…)"}]}


def anthropic_messages(turns: Iterable[Turn]) -> list[Part]:
    """Return turns as the `messages` of Anthropic's API: user and assistant alternate."""
    messages: list[Part] = []
    for role, content in _blocks(turns):
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": role, "content": content})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, deepcopy(_PLACEHOLDER))
    return messages


def _blocks(turns: Iterable[Turn]) -> Iterator[tuple[str, list[Part]]]:
    for turn in turns:
        if turn.role == "assistant":
            statements = list(filter(None, map(_assistant_block, turn.parts)))
            calls = [_call(call) for call in map(tool_call, turn.parts) if call is not None]
            # Anthropic refuses text after a tool_use block of the same message.
            yield "assistant", statements + calls
        else:
            yield "user", list(filter(None, map(_user_block, turn.parts)))
        yield "user", [_result(result) for result in turn.results]


def _assistant_block(part: Part) -> Part | None:
    if part["type"] == "redacted_thinking" and isinstance(part.get("data"), str):
        return {"type": "redacted_thinking", "data": part["data"]}
    if part["type"] in ("reasoning", "thinking"):
        return _thinking(part)
    text = part_text(part)
    return {"type": "text", "text": text} if text and text.strip() else None


def _thinking(part: Part) -> Part | None:
    thinking, signature = first(part, "thinking", "text"), part.get("signature")
    if not isinstance(thinking, str) or not isinstance(signature, str):
        return None
    return {"type": "thinking", "thinking": thinking, "signature": signature}


def _call(call: ToolCall) -> Part:
    arguments = call.arguments
    if not isinstance(arguments, dict):  # Anthropic takes objects only; keep anything else in one.
        arguments = {"arguments": arguments} if arguments else {}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _result(result: ToolResult) -> Part:
    block: Part = {"type": "tool_result", "tool_use_id": result.call_id}
    if content := list(filter(None, map(_user_block, result.content))):
        block["content"] = content
    if result.failed:
        block["is_error"] = True
    return block


def _user_block(part: Part) -> Part | None:
    if text := part_text(part):
        return {"type": "text", "text": text} if text.strip() else None
    media = media_of(part)
    source = None if media is None else _source(media)
    if media is None or source is None:
        return None
    return {"type": "image" if media.is_image else "document", "source": source}


def _source(media: Media) -> Part | None:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.data and media.media_type in (IMAGES if media.is_image else (PDF,)):
        return {"type": "base64", "media_type": media.media_type, "data": media.data}
    if isinstance(media.file_id, str):
        return {"type": "file", "file_id": media.file_id}
    return None
