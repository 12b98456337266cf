"""Messages in the notations of model providers and frameworks, read into one.

A message of the project's own has the keys of `MessageInput`. Messages of OpenAI's and Anthropic's
clients, of Vercel's AI SDK and of Mastra have more: their content becomes parts, and their other
information becomes metadata, under the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from operator import itemgetter
from typing import Any

import orjson

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import ContentPart, MessageInput, Role
from mastra_engine.validation.inputs import name, text
from mastra_engine.validation.jsonb import Path, canonical, pointer

_KEYS = {field.name for field in fields(MessageInput)}
_ALIASES: dict[Any, str] = {"toolCallId": "tool_call_id", "createdAt": "created_at"}
#: The roles of OpenAI's messages that are stored under another name.
_ROLES = {"developer": "system", "function": "tool"}
#: The keys with content: they become parts before or after those of `content`.
CONTENT_KEYS = (
    *("reasoning_content", "reasoning", "thinking_blocks"),
    *("refusal", "audio", "tool_calls", "function_call", "toolInvocations"),
    "experimental_attachments",
)
#: The keys that become metadata.
METADATA_KEYS = (
    *("name", "annotations", "provider_specific_fields", "reasoning_details", "model", "status"),
    *("stop_reason", "stop_sequence", "stop_details", "usage", "container", "phase"),
    *("citations", "images", "threadId", "resourceId"),
)
#: The types that a message of a client declares beside its role.
_MESSAGE_TYPES = ("message", "v1", "v2", "text", "tool-call", "tool-result")
#: The items of calls that OpenAI performs itself. They are stored, and never sent.
_HOSTED_CALLS = (
    *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
    *("computer_call", "mcp_call", "mcp_list_tools", "local_shell_call"),
)
#: The roles of the items of OpenAI's Responses API that have none; each item becomes one part.
_ITEM_ROLES: dict[str, Role] = {
    "function_call": "assistant",
    "custom_tool_call": "assistant",
    "reasoning": "assistant",
    "function_call_output": "tool",
    "custom_tool_call_output": "tool",
    **dict.fromkeys(_HOSTED_CALLS, "assistant"),
}


def message_input(value: Any, path: Path) -> MessageInput:
    """Return a message in any notation as a MessageInput with unvalidated fields.

    Raises InvalidInput for other values, unknown keys and malformed tool calls.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f"must be a message, not {type(value).__name__}: a MessageInput or a dict",
            path=pointer(path),
        )
    message = {_ALIASES.get(key, key): member for key, member in value.items()}
    if len(message) < len(value):
        raise InvalidInput("has the same key in two spellings; use one", path=pointer(path))
    if "role" not in message and (role := _item_role(value)) is not None:
        return MessageInput(role, [value])
    _read_role(message)
    _read_content(message, path)
    _read_metadata(message)
    for key, member in message.items():
        # OpenAI's client writes null or an empty list for everything that a message lacks.
        if key not in _KEYS and member not in (None, []):
            raise InvalidInput(_unknown_key(key), path=pointer((*path, str(key))))
    for key in ("role", "content"):
        if key not in message:
            raise InvalidInput(f"a message needs the key {key!r}", path=pointer((*path, key)))
    return MessageInput(**{key: message[key] for key in message if key in _KEYS})


def _item_role(message: Mapping[str, Any]) -> Role | None:
    type = message.get("type")
    return _ITEM_ROLES.get(type) if isinstance(type, str) else None


def _unknown_key(key: Any) -> str:
    """Return the error message for an unknown key of a message."""
    nearest = get_close_matches(str(key), sorted(_KEYS), n=1)
    suggestion = f"; did you mean {nearest[0]!r}?" if nearest else "."
    return f"unknown key {key!r}{suggestion} A message has the keys {', '.join(sorted(_KEYS))}"


def _read_role(message: dict[Any, Any]) -> None:
    role = message.get("role")
    if isinstance(role, str) and role in _ROLES:
        message["role"] = _ROLES[role]
        _add_metadata(message, "role", str(role))
    if role == "function" and message.get("tool_call_id") is None:
        message["tool_call_id"] = _function_call_id(message.get("name"))
    # Gemini's endpoint in OpenAI's format writes empty ids where an id is missing.
    if message.get("role") == "tool" and message.get("tool_call_id") == "":
        del message["tool_call_id"]
    if message.get("type") in _MESSAGE_TYPES:
        del message["type"]


def _function_call_id(function: Any) -> str:
    """Return the id for a call in OpenAI's deprecated notation, which pairs by name."""
    return f"function_{function}"


def _read_metadata(message: dict[Any, Any]) -> None:
    for key in METADATA_KEYS:
        member = message.pop(key, None)
        if member not in (None, [], {}):
            _add_metadata(message, key, member)


def _add_metadata(message: dict[Any, Any], key: str, value: Any) -> None:
    """Add a key to the metadata, unless the caller's has it; invalid metadata is refused later."""
    metadata = message.get("metadata")
    if metadata is None or isinstance(metadata, Mapping):
        message["metadata"] = {key: value, **(metadata or {})}


# Content


def content_parts(content: Any, path: Path) -> list[Any]:
    """Return content as a list of parts; raises InvalidInput that names the part."""
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
                f"must be an object with a type, not {type(part).__name__}", path=pointer(place)
            )
        name(part.get("type"), pointer((*place, "type")))
        if part["type"] == "text":
            text(part.get("text"), pointer((*place, "text")))
    return parts


def _read_content(message: dict[Any, Any], path: Path) -> None:
    """Replace the keys of a message that have content by one list of parts."""
    _read_framework_content(message, path)
    members = {key: message.pop(key, None) for key in CONTENT_KEYS}
    before = _reasoning_parts(members, path)
    after = [
        *_refusal_parts(members, path),
        *_call_parts(members["tool_calls"], path),
        *_function_call_parts(members["function_call"], path),
        *_invocation_parts(members["toolInvocations"], path),
        *_attachment_parts(members["experimental_attachments"], path),
    ]
    if not before and not after and members["tool_calls"] is None:
        return
    content = message.get("content")
    parts = [] if content is None else content_parts(content, (*path, "content"))
    if before:  # Later errors would name positions that the caller does not know.
        canonical(parts, (*path, "content"))
    message["content"] = [*before, *parts, *after]


def _read_framework_content(message: dict[Any, Any], path: Path) -> None:
    """Read the parts of the AI SDK's messages, and of Mastra's below `content`."""
    content = message.get("content")
    if isinstance(content, Mapping) and isinstance(content.get("parts"), list):
        message["content"] = content_parts(content["parts"], (*path, "content", "parts"))
        for key in ("metadata", "annotations"):
            if message.get(key) is None and content.get(key):
                message[key] = content[key]
    elif isinstance(message.get("parts"), list):
        # The AI SDK repeats the parts in older keys, which are left out.
        for key in ("content", "toolInvocations", "reasoning"):
            message.pop(key, None)
        message["content"] = content_parts(message.pop("parts"), (*path, "parts"))


def _reasoning_parts(members: Mapping[str, Any], path: Path) -> list[ContentPart]:
    blocks = members["thinking_blocks"]
    if blocks:  # LiteLLM writes the text in two keys, and the signature in this one.
        return content_parts(blocks, (*path, "thinking_blocks"))
    for key in ("reasoning_content", "reasoning"):
        if members[key]:
            thoughts = text(members[key], pointer((*path, key)))
            return [{"type": "reasoning", "text": thoughts}]
    return []


def _refusal_parts(members: Mapping[str, Any], path: Path) -> list[ContentPart]:
    parts: list[ContentPart] = []
    if members["refusal"]:
        refusal = text(members["refusal"], pointer((*path, "refusal")))
        parts.append({"type": "refusal", "refusal": refusal})
    if members["audio"] is not None:
        if not isinstance(members["audio"], Mapping):
            raise InvalidInput(
                f"must be an object, not {type(members['audio']).__name__}",
                path=pointer((*path, "audio")),
            )
        parts.append({**members["audio"], "type": "audio"})
    return parts


def _invocation_parts(invocations: Any, path: Path) -> list[ContentPart]:
    if not invocations:
        return []
    if not isinstance(invocations, list):
        raise InvalidInput(
            f"must be a list of tool invocations, not {type(invocations).__name__}",
            path=pointer((*path, "toolInvocations")),
        )
    return [{"type": "tool-invocation", "toolInvocation": invocation} for invocation in invocations]


def _attachment_parts(attachments: Any, path: Path) -> list[ContentPart]:
    if not attachments:
        return []
    place = (*path, "experimental_attachments")
    if not isinstance(attachments, list) or not all(isinstance(a, Mapping) for a in attachments):
        raise InvalidInput("must be a list of objects with a url", path=pointer(place))
    return [
        {"type": "file", "mediaType": file.get("contentType"), "filename": file.get("name"), **file}
        for file in attachments
    ]


# OpenAI's tool calls


def _call_parts(calls: Any, path: Path) -> list[ContentPart]:
    if calls is None:
        return []
    place = (*path, "tool_calls")
    if not isinstance(calls, list | tuple):
        raise InvalidInput(
            f"must be a list of tool calls, not {type(calls).__name__}", path=pointer(place)
        )
    return [_call_part(call, (*place, position)) for position, call in enumerate(calls)]


def _call_part(call: Any, path: Path) -> ContentPart:
    custom = call.get("custom") if isinstance(call, Mapping) else None
    if isinstance(custom, Mapping):
        return {
            "type": "custom_tool_call",
            "tool_call_id": text(call.get("id"), pointer((*path, "id"))),
            "tool_name": name(custom.get("name"), pointer((*path, "custom", "name"))),
            "input": text(custom.get("input"), pointer((*path, "custom", "input"))),
        }
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping):
        raise InvalidInput("must be an object with the keys id and function", path=pointer(path))
    return {
        "type": "tool-call",
        "tool_call_id": text(call.get("id"), pointer((*path, "id"))),
        "tool_name": name(function.get("name"), pointer((*path, "function", "name"))),
        **_arguments(function.get("arguments")),
    }


def _function_call_parts(call: Any, path: Path) -> list[ContentPart]:
    if call is None:
        return []
    place = (*path, "function_call")
    if not isinstance(call, Mapping):
        raise InvalidInput(
            "must be an object with the keys name and arguments", path=pointer(place)
        )
    function = name(call.get("name"), pointer((*place, "name")))
    return [
        {
            "type": "tool-call",
            "tool_call_id": _function_call_id(function),
            "tool_name": function,
            **_arguments(call.get("arguments")),
        }
    ]


def _arguments(written: Any) -> ContentPart:
    """Return the keys of a call for the arguments that a model wrote as text.

    `args` is their value where JSON of a store holds it exactly, and the text elsewhere: models
    write invalid JSON, integers beyond 64 bits and repeated keys. Where the value alone does not
    tell the order of the keys, `arguments` is the text as well.
    """
    if not isinstance(written, str):
        return {"args": written}
    try:
        value = orjson.loads(written)
        compact = canonical(value).decode()
    except (ValueError, InvalidInput):
        return {"args": written}
    if not isinstance(value, dict | list) or _literals(written, _sorted_pairs) != _literals(
        compact, _sorted_pairs
    ):
        return {"args": written}
    if _literals(written, _ordered_pairs) != _literals(compact, _ordered_pairs):
        return {"args": value, "arguments": written}
    return {"args": value}


def _literals(text: str, pairs: Callable[[list[tuple[str, Any]]], Any]) -> Any:
    """Return the content of JSON text, with numbers as they are written and keys as pairs."""
    return json.loads(text, parse_int=_Number, parse_float=_Number, object_pairs_hook=pairs)


class _Number(str):
    """A number as it is written, which differs from the same characters as text."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Number) and str.__eq__(self, other)

    __hash__ = str.__hash__


def _sorted_pairs(pairs: list[tuple[str, Any]]) -> Any:
    return ("object", sorted(pairs, key=itemgetter(0)))


def _ordered_pairs(pairs: list[tuple[str, Any]]) -> Any:
    return ("object", pairs)
