"""LangChain's messages as those of the engine, and back without loss.

The engine's parts hold the content and the tool calls. All other fields of the message are below
`langchain` in the metadata, with the number of parts that are its content, and whether this was
text. A message that PostgreSQL cannot store this way is stored as JSON text beside its parts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

from mastra_engine.backends.base.memory.limits import checked_messages
from mastra_engine.conversations.media import Media
from mastra_engine.conversations.parts import (
    CALLS,
    Item,
    Text,
    ToolCall,
    ToolResult,
    arguments_text,
    call_id,
    read_message,
)
from mastra_engine.conversations.tokens import estimate
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import ContentPart, Message, Role

#: The key in the metadata, the type of parts that hold other content, and the key in text parts
#: that were not blocks.
MARK = "langchain"
#: Roles of LangChain's ChatMessage, which may have any.
_CHAT_ROLES: dict[str, Role] = {
    "ai": "assistant",
    "assistant": "assistant",
    "developer": "system",
    "system": "system",
}


def to_engine(message: BaseMessage) -> dict[str, Any]:
    """Return a message as the engine saves it; raises InvalidInput for other values."""
    if not isinstance(message, BaseMessage):
        kind = type(message).__name__
        raise InvalidInput(f"must be messages of LangChain, not {kind}", path="/messages")
    readable = _readable(message)
    try:
        checked_messages([readable], estimate)
    except InvalidInput:
        return _as_text(message) or readable  # which the engine refuses with the place
    return readable


def _readable(message: BaseMessage) -> dict[str, Any]:
    data = message.model_dump(exclude_defaults=True)
    content = data.pop("content", "")
    is_text = isinstance(content, str)
    parts = _text_parts(content) if is_text else list(map(_part, content))
    calls = _call_parts(getattr(message, "tool_calls", ()), parts)
    if _tool_calls(calls) == data.get("tool_calls"):
        del data["tool_calls"]
    stored = {
        "type": message.type,
        "text": is_text,
        "parts": len(parts),
        "data": data,
    }
    return {
        "role": _role(message),
        "content": [*parts, *calls],
        "tool_call_id": getattr(message, "tool_call_id", None) or None,
        "metadata": {MARK: stored},
    }


def _as_text(message: BaseMessage) -> dict[str, Any] | None:
    """Return a message that PostgreSQL cannot store as JSON text, after readable parts.

    These have other characters for those that cannot be stored. None stands for a message with
    values that JSON does not have.
    """
    original = message_to_dict(message)
    try:
        text = json.dumps(original)
        (storable,) = messages_from_dict([_storable(original)])
    except (TypeError, ValueError, RecursionError):
        return None
    readable = _readable(storable)
    parts = [*readable["content"], {"type": MARK, "json": text}]
    return {**readable, "content": parts, "metadata": {MARK: "json"}}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(member) for key, member in value.items()}
    return list(map(_storable, value)) if isinstance(value, list | tuple) else value


def from_engine(message: Message) -> Iterator[BaseMessage]:
    """Yield the message of LangChain that was saved, or those that another message means."""
    match message.metadata.get(MARK):
        case {"type": str(type), "text": bool(is_text), "parts": int(number), "data": dict(data)}:
            parts, calls = message.content[:number], _tool_calls(message.content[number:])
            blocks = [part["text"] if is_text else _block(part) for part in parts]
            restored = {"content": "".join(blocks) if is_text else blocks, **data}
            if calls:
                restored.setdefault("tool_calls", calls)
            yield from messages_from_dict([{"type": type, "data": restored}])
        case "json" if message.content and "json" in message.content[-1]:
            yield from messages_from_dict([json.loads(message.content[-1]["json"])])
        case _:
            yield from _read(message)


def _role(message: BaseMessage) -> Role:
    match message:
        case AIMessage():
            return "assistant"
        case SystemMessage():
            return "system"
        case ToolMessage() | FunctionMessage():
            return "tool"
        case ChatMessage():
            return _CHAT_ROLES.get(message.role, "user")
        case _:
            return "user"


# Content


def _text_parts(text: str) -> list[ContentPart]:
    return [{"type": "text", "text": text}] if text else []


def _part(block: str | dict[str, Any]) -> ContentPart:
    """Return a block of content as a part, wrapped in one if the engine does not accept it."""
    if isinstance(block, str):
        return {"type": "text", "text": block, MARK: True}
    return block if _is_part(block) else {"type": MARK, "block": block}


def _is_part(block: dict[str, Any]) -> bool:
    type = block.get("type")
    if not isinstance(type, str) or not 0 < len(type) < 100 or type == MARK or MARK in block:
        return False
    return type != "text" or isinstance(block.get("text"), str)


def _block(part: ContentPart) -> Any:
    if part["type"] == MARK:
        return part["block"]
    return part["text"] if MARK in part else part


# Tool calls


def _call_parts(calls: Iterable[Any], content: Sequence[ContentPart]) -> list[ContentPart]:
    """Return the parts of those calls that the content does not have already, as Anthropic's."""
    in_content = {call_id(part) for part in content if part["type"] in CALLS}
    return [
        {
            "type": "tool-call",
            "tool_call_id": call["id"],
            "tool_name": call["name"],
            "args": call["args"],
        }
        for call in calls
        if call["id"] not in in_content
    ]


def _tool_calls(parts: Iterable[ContentPart]) -> list[dict[str, Any]]:
    return [
        {
            "name": part["tool_name"],
            "args": part["args"],
            "id": part["tool_call_id"],
            "type": "tool_call",
        }
        for part in parts
    ]


# Messages that others saved


def _read(message: Message) -> Iterator[BaseMessage]:
    """Yield the meaning of a message: calls follow its text, and results follow its calls."""
    entries = read_message(message.role, message.content, message.tool_call_id)
    items = [entry.item for entry in entries]
    content = _content(items, [message.content[i] for entry in entries for i in entry.positions])
    calls = [item for item in items if isinstance(item, ToolCall)]
    if message.role == "assistant" and (content or calls):
        yield AIMessage(content, tool_calls=[_tool_call(call) for call in calls], id=message.id)
    elif content:
        kind = SystemMessage if message.role == "system" else HumanMessage
        yield kind(content, id=message.id)
    for result in items:
        if isinstance(result, ToolResult):
            yield _tool_message(result)


def _content(items: Sequence[Item], parts: list[ContentPart]) -> str | list[Any]:
    """Return the text of items, or their parts if there are images or files among them."""
    if any(isinstance(item, Media) for item in items):
        return parts
    return "\n".join(item.text for item in items if isinstance(item, Text))


def _tool_call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(arguments_text(call))
    except ValueError:
        arguments = call.arguments  # of a call with free text
    if not isinstance(arguments, dict):
        arguments = {"input": arguments}
    return {"name": call.name, "args": arguments, "id": call.id, "type": "tool_call"}


def _tool_message(result: ToolResult) -> BaseMessage:
    text = "\n".join(item.text for item in result.content if isinstance(item, Text))
    status = "error" if result.failed else "success"
    return ToolMessage(text, tool_call_id=result.call_id, status=status)
