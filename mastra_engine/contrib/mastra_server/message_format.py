"""Messages in Mastra's format 2 as messages of the engine, and back without a loss.

The parts of a message become its content, and the metadata of its content becomes its metadata: the
engine reads and searches both. Everything else that a message of Mastra has, such as a copy of its
text, is kept in one more part, which the engine stores and sends to no model.
"""

from __future__ import annotations

from typing import Any

from mastra_engine.contrib.mastra_server.arguments import date_text, moment
from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Message
from mastra_engine.validation.jsonb import Path, pointer

#: The type of the part for everything that has no place in a message of the engine.
REST = "mastra-message"
_FORMAT = 2
#: A role that the engine does not have: hints to the agent, which are stored as the system's.
_SIGNAL = "signal"
_FIELDS = {"id", "role", "content", "createdAt", "threadId", "resourceId"}
#: Types of messages that say no more than their role and their parts.
_TYPES = ("v1", "v2", "text", "tool-call", "tool-result")


def to_engine(message: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a message of the client as a message for `save_memory`; raises InvalidInput."""
    others = {key: value for key, value in message.items() if key not in _FIELDS}
    if others.get("type") in _TYPES:
        del others["type"]
    content = message.get("content")
    if not isinstance(content, dict):
        content = {"parts": _parts(content)}
    parts, metadata, rest = _split(content, (*path, "content"))
    role = message.get("role")
    if role == _SIGNAL:
        others["role"] = role
    remainder = {key: value for key, value in (("content", rest), ("message", others)) if value}
    return {
        "id": message.get("id"),
        "role": "system" if role == _SIGNAL else role,
        "content": [*parts, {"type": REST, **remainder}] if remainder else parts,
        "metadata": metadata,
        "created_at": moment(message.get("createdAt"), pointer((*path, "createdAt"))),
    }


def from_engine(message: Message, resource_id: str) -> dict[str, Any]:
    """Return a message of the engine as the client reads it."""
    parts = [part for part in message.content if part["type"] != REST]
    metadata = {"metadata": message.metadata} if message.metadata else {}
    return {
        **_rest(message, "message"),
        "id": message.id,
        "role": role_of(message),
        "content": {"format": _FORMAT, "parts": parts, **metadata, **_rest(message, "content")},
        "threadId": message.thread_id,
        "resourceId": resource_id,
        "createdAt": date_text(message.created_at),
    }


def role_of(message: Message) -> str:
    """Return the role that a message has for the client."""
    return _SIGNAL if _rest(message, "message").get("role") == _SIGNAL else message.role


def text_of(message: Message) -> str:
    """Return the text of the first part that has one, as search results show a message."""
    texts = (part.get("text") for part in message.content if part["type"] == "text")
    return next((text for text in texts if isinstance(text, str)), "")


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _split(content: dict[str, Any], path: Path) -> tuple[list[Any], Any, dict[str, Any]]:
    """Return the parts of a content, its metadata, and everything else that it has."""
    parts = content.get("parts")
    if not isinstance(parts, list):
        raise InvalidInput("must be text or have a list of parts", path=pointer(path))
    for place, part in enumerate(parts):
        if isinstance(part, dict) and part.get("type") == REST:
            message = f"must be another type than {REST}, which the server uses"
            raise InvalidInput(message, path=pointer((*path, "parts", place, "type")))
    rest = {key: value for key, value in content.items() if key not in ("format", "parts")}
    if content.get("format", _FORMAT) != _FORMAT:
        rest["format"] = content["format"]
    # Metadata that is empty or null is kept as it is, because the engine does not tell it from
    # none.
    return parts, rest.pop("metadata") if rest.get("metadata") else {}, rest


def _rest(message: Message, key: str) -> dict[str, Any]:
    """Return the fields of a message, or of its content, that are stored in a part."""
    values = (part.get(key) for part in message.content if part["type"] == REST)
    return next((value for value in values if isinstance(value, dict)), {})
