"""Validation of new messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar, cast

import orjson

from mastra_engine.conversations.notations import content_parts, message_input
from mastra_engine.conversations.parts import RESULTS, call_id, text_of
from mastra_engine.conversations.tokens import message_tokens
from mastra_engine.exceptions import InvalidInput
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import ContentPart, MessageInput, Role
from mastra_engine.validation.inputs import choice, json_object, moment, name
from mastra_engine.validation.jsonb import (
    Path,
    canonical,
    content_hash,
    loads,
    plain_json,
    pointer,
)

T = TypeVar("T")

ROLES = ("system", "user", "assistant", "tool")


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


def _new_message(value: Any, path: Path, tokenizer: Tokenizer) -> NewMessage:
    if isinstance(value, MessageInput):
        message = replace(value, content=plain_json(value.content))
    else:
        message = message_input(plain_json(value), path)
    role = choice(message.role, pointer((*path, "role")), *ROLES)
    parts = content_parts(message.content, (*path, "content"))
    content = canonical(parts, (*path, "content"))
    parts = loads(content)
    tool_call_id = _optional(name, message.tool_call_id, (*path, "tool_call_id")) or _only_result(
        role, parts
    )
    return NewMessage(
        id=_optional(name, message.id, (*path, "id")) or "",
        role=cast(Role, role),
        content=content,
        text=text_of(parts),
        tool_call_id=tool_call_id,
        tokens=message_tokens(role, parts, tool_call_id, tokenizer),
        metadata=json_object(message.metadata, (*path, "metadata")),
        created_at=_optional(moment, message.created_at, (*path, "created_at")),
    )


def _optional(check: Callable[[Any, str], T], value: Any, path: Path) -> T | None:
    return None if value is None else check(value, pointer(path))


def _only_result(role: str, parts: list[ContentPart]) -> str | None:
    """Return the id of the only result in a tool's message, which then answers that call."""
    ids = [id for part in parts if part["type"] in RESULTS and (id := call_id(part))]
    return ids[0] if role == "tool" and len(ids) == 1 else None
