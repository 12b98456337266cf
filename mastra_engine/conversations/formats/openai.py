"""The messages of OpenAI's Chat Completions API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mastra_engine.conversations.media import AUDIO, IMAGES, PDF, Media
from mastra_engine.conversations.parts import Text, ToolCall, arguments_text
from mastra_engine.conversations.tool_ids import UniqueIds, sendable_name, short_id
from mastra_engine.conversations.turns import Turn, TurnItem
from mastra_engine.types import ContentPart

_IMAGE_DETAILS = ("auto", "low", "high", "original")


def openai_messages(turns: Iterable[Turn]) -> list[ContentPart]:
    """Return turns as the `messages` of a chat completion."""
    ids = UniqueIds()
    return [message for turn in turns for message in _turn_messages(turn, ids)]


def _turn_messages(turn: Turn, ids: UniqueIds) -> Iterator[ContentPart]:
    if turn.role == "assistant":
        yield from _assistant_messages(turn, ids)
    elif turn.role == "user":
        if content := _user_content(turn.items):
            yield {"role": "user", "content": content}
    elif text := _joined(turn.items):
        yield {"role": turn.role, "content": text}


def _assistant_messages(turn: Turn, ids: UniqueIds) -> Iterator[ContentPart]:
    text = _joined(turn.items)
    calls: list[ContentPart] = []
    results: list[ContentPart] = []
    for exchange in turn.exchanges:
        if exchange.call is None:
            continue
        id = ids.assign(short_id(exchange.call.id))
        calls.append(_call(exchange.call, id))
        if exchange.result is not None:
            content = _joined(exchange.result.content)
            results.append({"role": "tool", "tool_call_id": id, "content": content})
    if calls:
        yield {"role": "assistant", "content": text or None, "tool_calls": calls}
    elif text:
        yield {"role": "assistant", "content": text}
    yield from results


def _call(call: ToolCall, id: str) -> ContentPart:
    name, arguments = sendable_name(call.name), arguments_text(call)
    if call.custom:
        return {"id": id, "type": "custom", "custom": {"name": name, "input": arguments}}
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _joined(items: Iterable[TurnItem]) -> str:
    return "\n".join(item.text for item in items if isinstance(item, Text))


def _user_content(items: Iterable[TurnItem]) -> str | list[ContentPart]:
    parts = [part for item in items if (part := _user_part(item)) is not None]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _user_part(item: TurnItem) -> ContentPart | None:
    if isinstance(item, Text):
        return {"type": "text", "text": item.text}
    if not isinstance(item, Media):
        return None
    if item.is_image:
        return _image(item)
    if item.data and item.media_type in AUDIO:
        audio = {"data": item.data, "format": AUDIO[item.media_type]}
        return {"type": "input_audio", "input_audio": audio}
    return _file(item)


def _image(media: Media) -> ContentPart | None:
    accepted = (*IMAGES, "") if media.url else IMAGES
    if not (media.url or media.data) or media.media_type not in accepted:
        return None
    image = {"url": media.url or media.data_url}
    if media.detail in _IMAGE_DETAILS:
        image["detail"] = media.detail
    return {"type": "image_url", "image_url": image}


def _file(media: Media) -> ContentPart | None:
    if media.data and media.media_type == PDF:
        file = {"file_data": media.data_url, "filename": media.name or "file"}
        return {"type": "file", "file": file}
    return {"type": "file", "file": {"file_id": media.file_id}} if media.file_id else None
