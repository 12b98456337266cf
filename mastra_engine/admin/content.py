"""The content of conversations as safe HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from mastra_engine.conversations.fields import first
from mastra_engine.conversations.media import media_of
from mastra_engine.conversations.parts import CALLS, RESULTS, call_id
from mastra_engine.types import ContentPart

#: The longest text in characters that is rendered; the rest of a longer text is cut.
LONGEST_TEXT = 20_000

_TAGS = {
    *("p", "br", "hr", "h4", "strong", "em", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_LEADS_OUT = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A part of a message: `html`, or JSON or text that is folded under a label."""

    label: str = ""
    html: SafeString | str = ""
    folded: Any = None


def tool_names(contents: Iterable[Iterable[ContentPart]]) -> dict[str, str]:
    """Return the names of the tools that messages call, by the id of the call."""
    calls = (part for content in contents for part in content if part["type"] in CALLS)
    return {call_id(call) or "": _tool_name(call) for call in calls}


def message_parts(
    content: Iterable[ContentPart], role: str, tools: Mapping[str, str]
) -> list[MessagePart]:
    """Return the parts of a message for a transcript: text in full, other parts folded.

    `tools` has the names of tools by the id of their call, which label the results.
    """
    return [_message_part(part, role, tools) for part in content]


def _message_part(part: ContentPart, role: str, tools: Mapping[str, str]) -> MessagePart:
    kind = part["type"]
    if kind in CALLS:
        label = _("Calls %(tool)s") % {"tool": _tool_name(part)}
        return MessagePart(label, folded=first(part, "args", "input", "arguments"))
    if kind in RESULTS:
        id = call_id(part) or ""
        tool = tools.get(id) or _tool_name(part) or id or _("a tool")
        label = _("Result of %(tool)s") % {"tool": tool}
        return MessagePart(label, folded=first(part, "result", "output", "content"))
    if kind == "text":
        if role == "tool":
            return MessagePart(_("Result"), folded=part["text"])
        return MessagePart(html=markdown(part["text"]))
    if kind in ("reasoning", "thinking"):
        reasoning = first(part, "text", "thinking", "reasoning") or part
        return MessagePart(_("Reasoning"), folded=reasoning)
    media = media_of(part)
    if media is not None:  # not loaded: that would tell the author who reads it
        label = _("Image %(type)s") if media.is_image else _("File %(type)s")
        return MessagePart(label % {"type": media.media_type}, folded=part)
    return MessagePart(kind, folded=part)


def _tool_name(part: ContentPart) -> str:
    return str(first(part, "tool_name", "toolName", "name") or "")


def markdown(text: str) -> SafeString:
    """Return Markdown as HTML, or plain text where the extra `admin` is not installed.

    HTML in the text is escaped, images are not loaded, and links are limited to http, https and
    mailto.
    """
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]}\n\n\N{HORIZONTAL ELLIPSIS}"
    read = _reader()
    if read is None:
        return format_html('<p class="me-plain">{}</p>', text)
    return mark_safe(read(text))  # noqa: S308 - nh3 has cleaned it


@cache
def _reader() -> Callable[[str], str] | None:
    try:
        import nh3
        from markdown_it import MarkdownIt
    except ImportError:
        return None
    parser = (
        MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")
    )
    parser.validateLink = lambda url: bool(_LEADS_OUT.match(url))  # type: ignore[method-assign]

    def read(text: str) -> str:
        tokens = parser.parse(text)
        for token in tokens:
            if token.type.startswith("heading"):  # the page itself has h1 and h2
                token.tag = "h4"
        return nh3.clean(
            parser.renderer.render(tokens, parser.options, {}),
            tags=_TAGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )

    return read
