"""What a page shows of a conversation."""

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

#: A citation, unless it is in code or within a tag, whose attributes are in double quotes.
_CITATION = re.compile(r'<(pre|code)\b.*?</\1>|<(?:[^">]|"[^"]*")*>|\[(\d+)\]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What an answer cites."""

    number: int
    title: str
    url: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A question or an answer. `model` made it, or none did."""

    role: str
    html: SafeString
    at: datetime
    model: str | None = None
    sources: list[Source] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A tool that was used on the way to an answer."""

    name: str
    args: str
    result: str


def shown(messages: Iterable[Message]) -> Iterator[Said | Used]:
    """Yield what was said and done; a call is shown with what the tool answered."""
    calls: dict[str, dict[str, Any]] = {}
    for message in messages:
        for part in message.content:
            match part:
                case {"type": "tool-call"}:
                    calls[part["tool_call_id"]] = part
                case {"type": "tool-result"} if part["tool_call_id"] in calls:
                    call = calls[part["tool_call_id"]]
                    yield Used(
                        name=call["tool_name"],
                        args=_json(call["args"]),
                        result=_json(part["result"]),
                    )
                case {"type": "text"}:
                    yield _said(message, part["text"])


def facts(data: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is kept in a JSON object, however deep, each value with its name."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from facts(value, key)
    else:
        yield name, data


def source_url(reference: dict[str, Any]) -> str:
    """Return where a source is shown, at the passage where a search found one."""
    place = reverse("source", args=[reference["entity"], reference["external_id"]])
    return f"{place}?chunk={reference['chunk']}#passage" if "chunk" in reference else place


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _said(message: Message, text: str) -> Said:
    about = message.metadata
    sources = [
        Source(
            number=each["number"],
            title=each["title"],
            url=source_url(each),
            score=each.get("score"),
        )
        for each in about.get("passages", [])
        if each["cited"]
    ]
    return Said(
        role=message.role,
        html=with_links(markdown(text), sources),
        at=message.created_at,
        model=about.get("model"),
        sources=sources,
    )


def with_links(html: SafeString, sources: list[Source]) -> SafeString:
    """Make links of citations in HTML that is safe."""
    links = {
        str(each.number): format_html(
            '<a class="citation" href="{}" title="{}">[{}]</a>', each.url, each.title, each.number
        )
        for each in sources
    }
    return mark_safe(_CITATION.sub(lambda found: links.get(found[2], found[0]), html))  # noqa: S308
