"""Messages on their way in, and what their parts say.

A part is an object with a `type`: `text`, `tool-call`, `tool-result`, `image`, `file`, `reasoning`
or whatever else the project uses. Parts are kept as they are given. Where their meaning matters,
the names of OpenAI's, Anthropic's and Vercel's messages are understood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
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

#: The types of parts that call a tool, and of those that hold what it answered.
CALLS = ("tool-call", "tool_use")
RESULTS = ("tool-result", "tool_result")
_CALL_IDS = ("tool_call_id", "toolCallId", "tool_use_id", "call_id", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A checked message; `content` and `metadata` are canonical JSON, `text` is what is searched.

    `id` is empty until it is given one.
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
    given: Any, tokenizer: Tokenizer, *, path: str = "messages", start: int = 0
) -> list[NewMessage]:
    """Check messages; raises InvalidInput that names the place, by `path` and a number."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidInput("must be a list of messages", path=f"/{path}")
    messages = [
        _new_message(message, (path, position), tokenizer)
        for position, message in enumerate(given, start=start)
    ]
    seen: set[str] = set()
    for position, message in enumerate(messages, start=start):
        if message.id in seen:
            raise InvalidInput("is the id of two messages", path=f"/{path}/{position}/id")
        seen.update(filter(None, [message.id]))
    return messages


def body_hash(messages: Iterable[NewMessage]) -> bytes:
    """Return 16 bytes that stand for what the messages say."""
    said = [
        [
            each.id,
            each.role,
            each.tool_call_id,
            each.content.decode(),
            each.metadata.decode(),
            each.created_at,
        ]
        for each in messages
    ]
    return content_hash(orjson.dumps(said))


def tool_calls(message: Message) -> set[str]:
    """Return the ids of the tool calls that a message makes."""
    made = set(_call_ids(message.content, CALLS))
    if not made and message.role == "assistant" and message.tool_call_id is not None:
        made.add(message.tool_call_id)
    return made


def tool_results(message: Message) -> set[str]:
    """Return the ids of the tool calls that a message answers."""
    answered = set(_call_ids(message.content, RESULTS))
    if message.role == "tool" and message.tool_call_id is not None:
        answered.add(message.tool_call_id)
    return answered


def text_of(parts: Iterable[Part]) -> str:
    """Return the text of a message's text parts, without what surrounds it."""
    texts = [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(texts).strip()


def first(part: Mapping[str, Any], *keys: str) -> Any:
    """Return what a part has under the first of `keys` that it has, or None."""
    return next((part[key] for key in keys if key in part), None)


def call_id(part: Part) -> str | None:
    """Return the id of the tool call that a part makes or answers, if it says which."""
    found = first(part, *_CALL_IDS)
    return found if isinstance(found, str) else None


def _call_ids(parts: Iterable[Part], types: tuple[str, ...]) -> list[str]:
    found = [call_id(part) for part in parts if part["type"] in types]
    return [call for call in found if call is not None]


def _new_message(given: Any, path: Path, tokenizer: Tokenizer) -> NewMessage:
    message = given if isinstance(given, MessageInput) else _message_input(given, path)
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
    """A tool's message that holds one result is about that call, even if it does not say so."""
    answered = _call_ids(parts, RESULTS)
    return answered[0] if role == "tool" and len(answered) == 1 else None


_KEYS = {each.name for each in fields(MessageInput)}
_ALIASES: dict[Any, str] = {"toolCallId": "tool_call_id", "createdAt": "created_at"}


def _message_input(given: Any, path: Path) -> MessageInput:
    if not isinstance(given, Mapping):
        raise InvalidInput("must be a message", path=pointer(path))
    message = {_ALIASES.get(key, key): value for key, value in given.items()}
    if len(message) < len(given):
        raise InvalidInput("has a key twice, in two spellings", path=pointer(path))
    calls = message.pop("tool_calls", None)
    if calls is not None:
        message["content"] = _with_calls(message.get("content"), calls, path)
    for key, value in message.items():
        if key not in _KEYS and value not in (None, []):  # OpenAI's client writes what is not there
            raise InvalidInput("is not a key of a message", path=pointer((*path, str(key))))
    for key in ("role", "content"):
        if key not in message:
            raise InvalidInput("is missing", path=pointer((*path, key)))
    return MessageInput(**{key: value for key, value in message.items() if key in _KEYS})


def _parts(content: Any, path: Path) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": text(content, pointer(path))}]
    if isinstance(content, Mapping | bytes) or not isinstance(content, Iterable):
        raise InvalidInput("must be text or a list of parts", path=pointer(path))
    parts = [dict(part) if isinstance(part, Mapping) else part for part in content]
    for position, part in enumerate(parts):
        place = (*path, position)
        if not isinstance(part, dict):
            raise InvalidInput("must be an object with a type", path=pointer(place))
        name(part.get("type"), pointer((*place, "type")))
        if part["type"] == "text":
            text(part.get("text"), pointer((*place, "text")))
    return parts


def _with_calls(content: Any, calls: Any, path: Path) -> list[Any]:
    """Return content with OpenAI's `tool_calls`, whose arguments are JSON text, as parts."""
    if not isinstance(calls, list | tuple):
        raise InvalidInput("must be a list", path=pointer((*path, "tool_calls")))
    parts = [] if content is None else _parts(content, (*path, "content"))
    return parts + [
        _call_part(call, (*path, "tool_calls", position)) for position, call in enumerate(calls)
    ]


def _call_part(call: Any, path: Path) -> Part:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise InvalidInput("must be a function call", path=pointer(path))
    return {
        "type": "tool-call",
        "tool_call_id": name(call.get("id"), pointer((*path, "id"))),
        "tool_name": name(function.get("name"), pointer((*path, "function", "name"))),
        "args": _arguments(function.get("arguments")),
    }


def _arguments(written: Any) -> Any:
    """The arguments a model wrote; as they are where they are no JSON, which happens."""
    try:
        return orjson.loads(written)
    except ValueError:
        return written
