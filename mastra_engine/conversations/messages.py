"""Validation of new messages, and the meaning of their parts.

A part is an object with a `type`: `text`, `tool-call`, `tool-result`, `image`, `file`, `reasoning`
or a type of the project's own. Parts are stored unchanged. Where their meaning matters, the keys
of OpenAI, Anthropic and Vercel's AI SDK are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import orjson

from mastra_engine.conversations.tokens import message_tokens
from mastra_engine.exceptions import InvalidInput
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import Message, MessageInput, Part, Role
from mastra_engine.validation.inputs import choice, json_object, moment, name, text
from mastra_engine.validation.jsonb import Path, canonical, content_hash, loads, pointer

T = TypeVar("T")

ROLES = ("system", "user", "assistant", "tool")

#: The types of parts that call a tool, and the types of parts that hold its result.
CALLS = ("tool-call", "tool_use")
RESULTS = ("tool-result", "tool_result")
_CALL_IDS = ("tool_call_id", "toolCallId", "tool_use_id", "call_id", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A validated message. `content` and `metadata` are canonical JSON, `text` is searchable.

    `id` is empty until one is assigned.
    """

    id: str
    role: Role
    content: bytes
    text: str
    tool_call_id: str | None
    tokens: int
    metadata: bytes
    created_at: datetime | None


def new_messages(
    values: Any, tokenizer: Tokenizer, *, path: str = "messages", start: int = 0
) -> list[NewMessage]:
    """Validate messages.

    Raises InvalidInput with a pointer below `path`; the first message is number `start`.
    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidInput(
            f"must be a list of messages, not {type(values).__name__}", path=f"/{path}"
        )
    messages = [
        _new_message(value, (path, position), tokenizer)
        for position, value in enumerate(values, start=start)
    ]
    ids: set[str] = set()
    for position, message in enumerate(messages, start=start):
        if message.id in ids:
            raise InvalidInput(
                f"two messages have the id {message.id!r}", path=f"/{path}/{position}/id"
            )
        ids.update(filter(None, [message.id]))
    return messages


def body_hash(messages: Iterable[NewMessage]) -> bytes:
    """Return a hash of 16 bytes over the content of messages."""
    rows = [
        [
            message.id,
            message.role,
            message.tool_call_id,
            message.content.decode(),
            message.metadata.decode(),
            message.created_at,
        ]
        for message in messages
    ]
    return content_hash(orjson.dumps(rows))


def tool_calls(message: Message) -> set[str]:
    """Return the ids of the tool calls that a message makes."""
    ids = set(_call_ids(message.content, CALLS))
    if not ids and message.role == "assistant" and message.tool_call_id is not None:
        ids.add(message.tool_call_id)
    return ids


def tool_results(message: Message) -> set[str]:
    """Return the ids of the tool calls that a message has results of."""
    ids = set(_call_ids(message.content, RESULTS))
    if message.role == "tool" and message.tool_call_id is not None:
        ids.add(message.tool_call_id)
    return ids


def text_of(parts: Iterable[Part]) -> str:
    """Return the text of a message's text parts, without surrounding white space."""
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(texts).strip()


def first(part: Mapping[str, Any], *keys: str) -> Any:
    """Return the value under the first of `keys` that is in a part, or None."""
    return next((part[key] for key in keys if key in part), None)


def call_id(part: Part) -> str | None:
    """Return the id of the tool call that a part makes or answers, or None if it has none."""
    id = first(part, *_CALL_IDS)
    return id if isinstance(id, str) else None


def _call_ids(parts: Iterable[Part], types: tuple[str, ...]) -> list[str]:
    ids = (call_id(part) for part in parts if part["type"] in types)
    return [id for id in ids if id is not None]


def _new_message(value: Any, path: Path, tokenizer: Tokenizer) -> NewMessage:
    message = value if isinstance(value, MessageInput) else _message_input(value, path)
    role = choice(message.role, pointer((*path, "role")), *ROLES)
    parts = _parts(message.content, (*path, "content"))
    content = canonical(parts, (*path, "content"))
    parts = loads(content)
    return NewMessage(
        id=_optional(name, message.id, (*path, "id")) or "",
        role=cast(Role, role),
        content=content,
        text=text_of(parts),
        tool_call_id=_optional(name, message.tool_call_id, (*path, "tool_call_id"))
        or _only_result(role, parts),
        tokens=message_tokens(parts, tokenizer),
        metadata=json_object(message.metadata, (*path, "metadata")),
        created_at=_optional(moment, message.created_at, (*path, "created_at")),
    )


def _optional(check: Callable[[Any, str], T], value: Any, path: Path) -> T | None:
    return None if value is None else check(value, pointer(path))


def _only_result(role: str, parts: list[Part]) -> str | None:
    """Return the id of the only result in a tool's message, which then answers that call."""
    ids = _call_ids(parts, RESULTS)
    return ids[0] if role == "tool" and len(ids) == 1 else None


_KEYS = {field.name for field in fields(MessageInput)}
_ALIASES: dict[Any, str] = {"toolCallId": "tool_call_id", "createdAt": "created_at"}


def _message_input(value: Any, path: Path) -> MessageInput:
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f"must be a message, not {type(value).__name__}: a MessageInput or a dict",
            path=pointer(path),
        )
    message = {_ALIASES.get(key, key): member for key, member in value.items()}
    if len(message) < len(value):
        raise InvalidInput("has the same key in two spellings; use one", path=pointer(path))
    calls = message.pop("tool_calls", None)
    if calls is not None:
        message["content"] = _with_calls(message.get("content"), calls, path)
    for key, member in message.items():
        # OpenAI's client writes null or an empty list for everything that a message lacks.
        if key not in _KEYS and member not in (None, []):
            raise InvalidInput(_unknown_key(key), path=pointer((*path, str(key))))
    for key in ("role", "content"):
        if key not in message:
            raise InvalidInput(f"a message needs the key {key!r}", path=pointer((*path, key)))
    return MessageInput(**{key: message[key] for key in message if key in _KEYS})


def _unknown_key(key: Any) -> str:
    """Return the error message for an unknown key of a message."""
    nearest = get_close_matches(str(key), sorted(_KEYS), n=1)
    suggestion = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return f"unknown key {key!r}{suggestion} A message has the keys {', '.join(sorted(_KEYS))}"


def _parts(content: Any, path: Path) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": text(content, pointer(path))}]
    if isinstance(content, Mapping | bytes) or not isinstance(content, Iterable):
        raise InvalidInput(
            f"must be text or a list of parts, not {type(content).__name__}", path=pointer(path)
        )
    parts = [dict(part) if isinstance(part, Mapping) else part for part in content]
    for position, part in enumerate(parts):
        place = (*path, position)
        if not isinstance(part, dict):
            raise InvalidInput(
                "must be an object with a type, such as {'type': 'text', 'text': 'Hello'}",
                path=pointer(place),
            )
        name(part.get("type"), pointer((*place, "type")))
        if part["type"] == "text":
            text(part.get("text"), pointer((*place, "text")))
    return parts


def _with_calls(content: Any, calls: Any, path: Path) -> list[Any]:
    """Return the parts of content, followed by OpenAI's `tool_calls` as parts."""
    if not isinstance(calls, list | tuple):
        raise InvalidInput(
            f"must be a list of tool calls, not {type(calls).__name__}",
            path=pointer((*path, "tool_calls")),
        )
    parts = [] if content is None else _parts(content, (*path, "content"))
    return parts + [
        _call_part(call, (*path, "tool_calls", position)) for position, call in enumerate(calls)
    ]


def _call_part(call: Any, path: Path) -> Part:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise InvalidInput(
            "must be a function call, with the keys id and function", path=pointer(path)
        )
    return {
        "type": "tool-call",
        "tool_call_id": name(call.get("id"), pointer((*path, "id"))),
        "tool_name": name(function.get("name"), pointer((*path, "function", "name"))),
        "args": _arguments(function.get("arguments")),
    }


def _arguments(text: Any) -> Any:
    """Parse the arguments that a model wrote; models also write text that is not JSON."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text
