"""Messages as the clients of model providers take them, and tools as they describe them.

OpenAI's Chat Completions and Anthropic's Messages both want the results of tools right after the
message that calls them, whatever was said meanwhile. So messages become turns first, each with
the results of its calls, and turns become what a client takes.

Left out is what a provider takes no part for: parts of the project's own types, images that are
not a user's or a tool's, files other than images and PDFs (Anthropic), results that are not text
(OpenAI), reasoning (OpenAI; Anthropic unless it is signed), and text that is blank. So are a
result that no call waits for and a message of which nothing is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from mastra_engine.conversations.media import IMAGES, PDF, Media, media_of
from mastra_engine.conversations.messages import CALLS, RESULTS, call_id, first, text_of
from mastra_engine.conversations.tokens import is_media
from mastra_engine.types import ContextWindow, Message, Part, ToolFormat, WindowFormat
from mastra_engine.validation.json_schema import merge_patch_schema

#: Anthropic's first message must be a user's. This stands in for what came before, where
#: a window begins with the assistant: leaving that out could leave out a whole run of tools.
_BEFORE = {"role": "user", "content": [{"type": "text", "text": "(…)"}]}


def formatted(
    messages: Sequence[Message], format: WindowFormat, *, truncated: bool
) -> ContextWindow:
    """Return a context window of those messages, whole exchanges, in that format."""
    system = None
    shown: list[Any] = list(messages)
    if format == "openai":
        shown = [each for turn in _turns(messages) for each in _openai(turn)]
    elif format == "anthropic":
        shown = _anthropic(_turns(message for message in messages if message.role != "system"))
        notes = [text_of(message.content) for message in messages if message.role == "system"]
        system = "\n\n".join(filter(None, notes)) or None
    return ContextWindow(
        messages=shown,
        tokens=sum(message.tokens for message in messages),
        truncated=truncated,
        system=system,
    )


# Turns


@dataclass(frozen=True, slots=True)
class _Call:
    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class _Result:
    """What a tool answered: parts that are text or media."""

    call_id: str
    content: list[Part]
    failed: bool


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one side says at a time, and what the tools that it calls answer."""

    role: str
    parts: list[Part] = field(default_factory=list)
    results: list[_Result] = field(default_factory=list)


def _turns(messages: Iterable[Message]) -> list[_Turn]:
    turns: list[_Turn] = []
    calling: dict[str, _Turn] = {}
    for message in messages:
        turn = None
        for part in _answers(message) if message.role == "tool" else _said(message):
            if part["type"] in RESULTS:
                turn = None  # what an assistant says next, it says knowing the result
                caller = calling.pop(call_id(part) or "", None)
                if caller is not None:
                    caller.results.append(_result(part))
                continue
            if turn is None:
                turns.append(turn := _Turn(message.role))
            turn.parts.append(part)
            if message.role == "assistant" and (call := _call(part)):
                calling[call.id] = turn
    return turns


def _said(message: Message) -> list[Part]:
    """Return a message's parts; a call that does not say its id has the message's."""
    own = message.tool_call_id
    if own is None:
        return message.content
    return [part if part["type"] not in CALLS else _of_call(part, own) for part in message.content]


def _of_call(part: Part, id: str | None) -> Part:
    return part if call_id(part) else {**part, "tool_call_id": id}


def _answers(message: Message) -> list[Part]:
    """Return the results in a tool's message; all of its content is one if it holds none."""
    own = message.tool_call_id
    results = [_of_call(part, own) for part in message.content if part["type"] in RESULTS]
    if own is None:
        return results
    rest = [part for part in message.content if part["type"] not in RESULTS]
    return [*results, {"type": "tool-result", "tool_call_id": own, "content": rest or None}]


def _call(part: Part) -> _Call | None:
    id, name = call_id(part), first(part, "tool_name", "toolName", "name")
    if part["type"] not in CALLS or id is None or not isinstance(name, str):
        return None
    return _Call(id, name, first(part, "args", "input", "arguments"))


def _result(part: Part) -> _Result:
    answer = first(part, "result", "output", "content")
    failed = first(part, "is_error", "isError") is True
    if isinstance(answer, dict) and {"type", "value"} == answer.keys():  # Vercel's
        failed = failed or str(answer["type"]).startswith("error")
        answer = answer["value"]
    return _Result(call_id(part) or "", _contents(answer), failed)


def _contents(answer: Any) -> list[Part]:
    """Return an answer as parts: as it is where it is some, and JSON where it is not text."""
    if answer is None:
        return []
    if isinstance(answer, list) and answer and all(map(_is_content, answer)):
        return answer
    written = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
    return [{"type": "text", "text": written}]


def _is_content(part: Any) -> bool:
    return isinstance(part, dict) and (is_media(part) or _words(part) is not None)


def _words(part: Part) -> str | None:
    """Return the text of a part; that of Anthropic's plain text documents, too."""
    source = part.get("source")
    if isinstance(source, dict) and source.get("type") == "text":
        found = source.get("data")
    else:
        found = part.get("text") if part.get("type") == "text" else None
    return found if isinstance(found, str) else None


def _joined(parts: Iterable[Part]) -> str:
    return "\n".join(words for part in parts if (words := _words(part)) and words.strip())


# OpenAI


def _openai(turn: _Turn) -> Iterator[Part]:
    text = _joined(turn.parts)
    calls = [_openai_call(call) for call in map(_call, turn.parts) if call is not None]
    if turn.role == "assistant" and calls:
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif turn.role == "user":
        content = _openai_content(turn.parts)
        if content:
            yield {"role": "user", "content": content}
    elif text:
        yield {"role": turn.role, "content": text}
    for result in turn.results:
        text = _joined(result.content)
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}


def _openai_call(call: _Call) -> Part:
    written = call.arguments
    if not isinstance(written, str):
        written = orjson.dumps({} if written is None else written).decode()
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": written},
    }


def _openai_content(parts: Iterable[Part]) -> str | list[Part]:
    content = list(filter(None, map(_openai_part, parts)))
    if all(part["type"] == "text" for part in content):
        return _joined(content)
    return content


def _openai_part(part: Part) -> Part | None:
    if words := _words(part):
        return {"type": "text", "text": words} if words.strip() else None
    media = media_of(part)
    if media is None:
        return None
    return _openai_image(media) if media.is_image else _openai_file(media)


def _openai_image(media: Media) -> Part | None:
    if not media.url and not (media.data and media.media_type in IMAGES):
        return None
    image = {"url": media.url or media.data_url}
    if media.detail in ("auto", "low", "high", "original"):
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _openai_file(media: Media) -> Part | None:
    if media.data:
        name = media.name if isinstance(media.name, str) else "file"
        return {"type": "file", "file": {"file_data": media.data_url, "filename": name}}
    if isinstance(media.file_id, str):
        return {"type": "file", "file": {"file_id": media.file_id}}
    return None


# Anthropic


def _anthropic(turns: Iterable[_Turn]) -> list[Part]:
    messages: list[Part] = []
    for role, content in _spoken(turns):
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": role, "content": content})
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, deepcopy(_BEFORE))
    return messages


def _spoken(turns: Iterable[_Turn]) -> Iterator[tuple[str, list[Part]]]:
    for turn in turns:
        if turn.role == "assistant":
            said = list(filter(None, map(_anthropic_said, turn.parts)))
            calls = [_anthropic_call(call) for call in map(_call, turn.parts) if call is not None]
            yield "assistant", said + calls  # Anthropic refuses what is said after a call
        else:
            yield "user", list(filter(None, map(_anthropic_part, turn.parts)))
        yield "user", [_anthropic_result(result) for result in turn.results]


def _anthropic_said(part: Part) -> Part | None:
    if part["type"] == "redacted_thinking" and isinstance(part.get("data"), str):
        return {"type": "redacted_thinking", "data": part["data"]}
    if part["type"] in ("reasoning", "thinking"):
        return _thinking(part)
    words = _words(part)
    return {"type": "text", "text": words} if words and words.strip() else None


def _thinking(part: Part) -> Part | None:
    thought, signature = first(part, "thinking", "text"), part.get("signature")
    if not isinstance(thought, str) or not isinstance(signature, str):
        return None
    return {"type": "thinking", "thinking": thought, "signature": signature}


def _anthropic_call(call: _Call) -> Part:
    given = call.arguments
    if not isinstance(given, dict):  # it is not JSON, or none was given
        given = {"arguments": given} if given else {}
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": given}


def _anthropic_result(result: _Result) -> Part:
    block: Part = {"type": "tool_result", "tool_use_id": result.call_id}
    if content := list(filter(None, map(_anthropic_part, result.content))):
        block["content"] = content
    if result.failed:
        block["is_error"] = True
    return block


def _anthropic_part(part: Part) -> Part | None:
    if words := _words(part):
        return {"type": "text", "text": words} if words.strip() else None
    media = media_of(part)
    source = None if media is None else _anthropic_source(media)
    if media is None or source is None:
        return None
    return {"type": "image" if media.is_image else "document", "source": source}


def _anthropic_source(media: Media) -> Part | None:
    if media.url:
        return {"type": "url", "url": media.url}
    if media.data and media.media_type in (IMAGES if media.is_image else (PDF,)):
        return {"type": "base64", "media_type": media.media_type, "data": media.data}
    if isinstance(media.file_id, str):
        return {"type": "file", "file_id": media.file_id}
    return None


# Working memory

_TOOL = "update_working_memory"
_ABOUT = (
    "Update what you keep in mind. Give only what changes: objects are merged key by key, null "
    "removes a key, and everything else replaces what was there, lists as a whole."
)
#: What the providers refuse at the top of a tool's parameters. What is allowed there then is
#: more than the schema allows, which is checked again when working memory is written.
_NOT_AT_THE_TOP = ("$schema", "$id", "$ref", "allOf", "anyOf", "oneOf", "enum", "const")


def working_memory_tool(schema: Mapping[str, Any] | None, format: ToolFormat) -> dict[str, Any]:
    """Return the definition of a tool that takes a merge patch of JSON of that schema."""
    patch = merge_patch_schema(schema or {})
    parameters = {key: patch[key] for key in patch if key not in _NOT_AT_THE_TOP}
    parameters["type"] = "object"
    if format == "anthropic":
        return {"name": _TOOL, "description": _ABOUT, "input_schema": parameters}
    function = {"name": _TOOL, "description": _ABOUT, "parameters": parameters}
    return {"type": "function", "function": function}
