"""The messages of OpenAI's Chat Completions API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from mastra_engine.conversations.formats.turns import (
    ToolCall,
    Turn,
    join_texts,
    part_text,
    tool_call,
)
from mastra_engine.conversations.media import IMAGES, Media, media_of
from mastra_engine.types import Part

_IMAGE_DETAILS = ("auto", "low", "high", "original")


def openai_messages(turns: Iterable[Turn]) -> list[Part]:
    """Return turns as the `messages` of a chat completion."""
    return [message for turn in turns for message in _turn_messages(turn)]


def _turn_messages(turn: Turn) -> Iterator[Part]:
    text = join_texts(turn.parts)
    calls = [_call(call) for call in map(tool_call, turn.parts) if call is not None]
    if turn.role == "assistant" and calls:
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif turn.role == "user":
        content = _user_content(turn.parts)
        if content:
            yield {"role": "user", "content": content}
    elif text:
        yield {"role": turn.role, "content": text}
    for result in turn.results:
        text = join_texts(result.content)
        yield {"role": "tool", "tool_call_id": result.call_id, "content": text}


def _call(call: ToolCall) -> Part:
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = orjson.dumps({} if arguments is None else arguments).decode()
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _user_content(parts: Iterable[Part]) -> str | list[Part]:
    content = list(filter(None, map(_user_part, parts)))
    if all(part["type"] == "text" for part in content):
        return join_texts(content)
    return content


def _user_part(part: Part) -> Part | None:
    if text := part_text(part):
        return {"type": "text", "text": text} if text.strip() else None
    media = media_of(part)
    if media is None:
        return None
    return _image(media) if media.is_image else _file(media)


def _image(media: Media) -> Part | None:
    if not media.url and not (media.data and media.media_type in IMAGES):
        return None
    image = {"url": media.url or media.data_url}
    if media.detail in _IMAGE_DETAILS:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _file(media: Media) -> Part | None:
    if media.data:
        name = media.name if isinstance(media.name, str) else "file"
        return {"type": "file", "file": {"file_data": media.data_url, "filename": name}}
    if isinstance(media.file_id, str):
        return {"type": "file", "file": {"file_id": media.file_id}}
    return None
