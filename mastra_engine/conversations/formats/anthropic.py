"""The messages of Anthropic's Messages API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from math import isfinite
from typing import Any

from mastra_engine.conversations.formats.anthropic_rules import (
    kept_citations,
    settle_cache_controls,
    settle_document_citations,
)
from mastra_engine.conversations.media import IMAGES, PDF, Media
from mastra_engine.conversations.parts import Text, Thinking, ToolCall, ToolResult
from mastra_engine.conversations.tool_ids import UniqueIds, sendable_id, sendable_name
from mastra_engine.conversations.turns import Exchange, Turn, TurnItem
from mastra_engine.types import ContentPart

#: Anthropic requires a user's message first. Where a window begins with the assistant, this one
#: stands for the earlier messages; dropping the assistant's could drop a whole chain of tools.
_PLACEHOLDER = {"role": "user", "content": [{"type": "text", "text": "(…)"}]}
_THINKING = ("thinking", "redacted_thinking")


def anthropic_messages(turns: Iterable[Turn]) -> list[ContentPart]:
    """Return turns as the `messages` of Anthropic's API: user and assistant alternate."""
    messages = _merged(_blocks(turns))
    # Merging goes before: thinking is last only if nothing of the next message follows it.
    messages = _merged((m["role"], _without_final_thinking(m)) for m in messages)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, deepcopy(_PLACEHOLDER))
    if messages and messages[-1]["role"] == "assistant":
        # Anthropic continues a final message of the assistant, and refuses white space at its end.
        block = messages[-1]["content"][-1]
        if block["type"] == "text":
            block["text"] = block["text"].rstrip()
    settle_cache_controls(messages)
    settle_document_citations(messages)
    return messages


def _merged(contents: Iterable[tuple[str, list[ContentPart]]]) -> list[ContentPart]:
    """Return a message for each run of contents of the same role, without empty ones."""
    messages: list[ContentPart] = []
    for role, content in contents:
        if messages and content and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": role, "content": content})
    return messages


def _without_final_thinking(message: ContentPart) -> list[ContentPart]:
    content: list[ContentPart] = message["content"]
    while content and content[-1]["type"] in _THINKING:
        content = content[:-1]
    return content


def _blocks(turns: Iterable[Turn]) -> Iterator[tuple[str, list[ContentPart]]]:
    ids = UniqueIds()
    for turn in turns:
        if turn.role != "assistant":
            yield "user", [block for item in turn.items for block in _user_blocks(item)]
            continue
        calls: list[ContentPart] = []
        results: list[ContentPart] = []
        for exchange in turn.exchanges:
            _add_exchange(exchange, ids, calls, results)
        statements = [block for item in turn.items for block in _assistant_blocks(item)]
        # Anthropic refuses text after a tool_use block of the same message.
        yield "assistant", statements + calls
        yield "user", results


def _add_exchange(
    exchange: Exchange, ids: UniqueIds, calls: list[ContentPart], results: list[ContentPart]
) -> None:
    if exchange.call is None:
        return
    id = ids.assign(sendable_id(exchange.call.id))
    calls.append(_call(exchange.call, id))
    if exchange.result is not None:
        results.append(_result(exchange.result, id))


def _assistant_blocks(item: TurnItem) -> Iterator[ContentPart]:
    if isinstance(item, Text):
        yield _text(item)
    elif isinstance(item, Thinking) and item.redacted:
        yield {"type": "redacted_thinking", "data": item.redacted}
    elif isinstance(item, Thinking):
        yield {"type": "thinking", "thinking": item.text, "signature": item.signature}


def _text(item: Text) -> ContentPart:
    block: ContentPart = {"type": "text", "text": item.text}
    if citations := kept_citations(item.citations):
        block["citations"] = citations
    return _with_cache_control(block, item.cache_control)


def _with_cache_control(block: ContentPart, cache_control: Any) -> ContentPart:
    if isinstance(cache_control, Mapping) and cache_control.get("type") == "ephemeral":
        ttl = cache_control.get("ttl")
        block["cache_control"] = {"type": "ephemeral", **({"ttl": ttl} if ttl in _TTLS else {})}
    return block


_TTLS = ("5m", "1h")


def _call(call: ToolCall, id: str) -> ContentPart:
    block = {"type": "tool_use", "id": id, "name": sendable_name(call.name), "input": _input(call)}
    return _with_cache_control(block, call.cache_control)


def _input(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; Anthropic accepts nothing else."""
    arguments = call.arguments
    if call.custom:
        return {"input": arguments}
    if isinstance(arguments, str):
        arguments = _parsed(arguments)
    if isinstance(arguments, dict):
        return arguments
    return {} if arguments in (None, "") else {"arguments": arguments}


def _parsed(text: str) -> Any:
    """Return the object that JSON text holds, its integers exact, or the text itself."""
    if not text.strip():
        return None
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(f"{text} has no value in JSON")
    return number


def _result(result: ToolResult, id: str) -> ContentPart:
    block: ContentPart = {"type": "tool_result", "tool_use_id": id}
    if result.failed:  # Anthropic accepts nothing but text in a failed result.
        block["content"] = [{"type": "text", "text": _error_text(result)}]
        block["is_error"] = True
    elif content := [inner for item in result.content for inner in _user_blocks(item)]:
        block["content"] = content
    return _with_cache_control(block, result.cache_control)


def _error_text(result: ToolResult) -> str:
    return "\n".join(item.text for item in result.content if isinstance(item, Text))


def _user_blocks(item: TurnItem) -> Iterator[ContentPart]:
    if isinstance(item, Text):
        yield _text(item) if item.document is None else _text_document(item, item.document)
    elif isinstance(item, Media) and (source := _source(item)) is not None:
        block = {"type": "image" if item.is_image else "document", "source": source}
        if not item.is_image:
            _describe(block, item.title, item.context, item.citations)
        yield _with_cache_control(block, item.cache_control)


def _text_document(item: Text, document: Mapping[str, Any]) -> ContentPart:
    source = {"type": "text", "media_type": "text/plain", "data": item.text}
    block: ContentPart = {"type": "document", "source": source}
    _describe(block, document.get("title"), document.get("context"), document.get("citations"))
    return _with_cache_control(block, item.cache_control)


def _describe(block: ContentPart, title: Any, context: Any, citations: Any) -> None:
    """Add the optional fields of a document to its block."""
    for key, value in (("title", title), ("context", context)):
        if isinstance(value, str) and value.strip():
            block[key] = value
    if isinstance(citations, Mapping) and isinstance(citations.get("enabled"), bool):
        block["citations"] = {"enabled": citations["enabled"]}


def _source(media: Media) -> ContentPart | None:
    types = IMAGES if media.is_image else (PDF,)
    if media.url:  # Anthropic loads from HTTPS only.
        fits = media.url.startswith("https://") and media.media_type in (*types, "")
        return {"type": "url", "url": media.url} if fits else None
    if media.data and media.media_type in types:
        return {"type": "base64", "media_type": media.media_type, "data": media.data}
    return {"type": "file", "file_id": media.file_id} if media.file_id else None
