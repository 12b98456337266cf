"""The items of a conversation as its page shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from mastra_engine.admin.content import markdown
from mastra_engine.types import Message

#: A citation outside of code and of tags; attributes of tags are in double quotes.
_CITATION = re.compile(r'<(pre|code)\b.*?</\1>|<(?:[^">]|"[^"]*")*>|\[(\d+)\]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A link to a source that an answer cites."""

    number: int
    title: str
    url: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A question or an answer; `model` is the language model that made it, if one did."""

    id: str
    role: str
    html: SafeString
    at: datetime
    model: str | None = None
    sources: list[Citation] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool call on the way to an answer, and its result."""

    name: str
    args: str
    result: str


def items(messages: Iterable[Message]) -> Iterator[Statement | ToolUse]:
    """Yield the statements and tool uses of a conversation; a call comes with its result."""
    calls: dict[str, dict[str, Any]] = {}
    for message in messages:
        for part in message.content:
            match part:
                case {"type": "tool-call"}:
                    calls[part["tool_call_id"]] = part
                case {"type": "tool-result"} if part["tool_call_id"] in calls:
                    call = calls[part["tool_call_id"]]
                    yield ToolUse(
                        name=call["tool_name"],
                        args=_json(call["args"]),
                        result=_json(part["result"]),
                    )
                case {"type": "text"}:
                    yield _statement(message, part["text"])


def notes(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of a JSON object at any depth, each with its name."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from notes(value, key)
    else:
        yield name, data


def source_url(reference: dict[str, Any]) -> str:
    """Return the address of a source; where a search found a chunk, at that chunk."""
    place = reverse("source", args=[reference["entity"], reference["external_id"]])
    return f"{place}?chunk={reference['chunk']}#chunk" if "chunk" in reference else place


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _statement(message: Message, text: str) -> Statement:
    sources = [
        Citation(
            number=reference["number"],
            title=reference["title"],
            url=source_url(reference),
            score=reference.get("score"),
        )
        for reference in message.metadata.get("sources", [])
        if reference["cited"]
    ]
    return Statement(
        id=message.id,
        role=message.role,
        html=with_links(markdown(text), sources),
        at=message.created_at,
        model=message.metadata.get("model"),
        sources=sources,
    )


def with_links(html: SafeString, sources: list[Citation]) -> SafeString:
    """Replace the citations in safe HTML by links to their sources."""
    links = {
        str(source.number): format_html(
            '<a class="citation" href="{}" title="{}">[{}]</a>',
            source.url,
            source.title,
            source.number,
        )
        for source in sources
    }
    return mark_safe(_CITATION.sub(lambda match: links.get(match[2], match[0]), html))  # noqa: S308
