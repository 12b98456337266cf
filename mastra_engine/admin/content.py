"""What conversations hold, as HTML that does nothing but show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from mastra_engine.conversations.media import media_of
from mastra_engine.conversations.messages import CALLS, RESULTS, call_id, first
from mastra_engine.types import Part

#: Longer texts are shown up to here; Markdown takes its time.
LONGEST_TEXT = 20_000

_TAGS = {
    *("p", "br", "hr", "h4", "strong", "em", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_LEADS_OUT = re.compile(r"(https?://|mailto:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a message: `html`, or something folded under a label, as JSON or text."""

    label: str = ""
    html: SafeString | str = ""
    folded: Any = None


def pieces(content: Iterable[Part], role: str) -> list[Piece]:
    """Return what a transcript shows of a message's parts: text in full, the rest folded."""
    return [_piece(part, role) for part in content]


def _piece(part: Part, role: str) -> Piece:
    kind = part["type"]
    if kind in CALLS:
        name = first(part, "tool_name", "toolName", "name")
        return Piece(f"Calls {name}", folded=first(part, "args", "input", "arguments"))
    if kind in RESULTS:
        answer = first(part, "result", "output", "content")
        return Piece(f"Result of {call_id(part) or 'a tool'}", folded=answer)
    if kind == "text":
        if role == "tool":
            return Piece("Result", folded=part["text"])
        return Piece(html=markdown(part["text"]))
    if kind in ("reasoning", "thinking"):
        return Piece("Reasoning", folded=first(part, "text", "thinking", "reasoning") or part)
    media = media_of(part)
    if media is not None:  # never loaded: whoever wrote the message would learn who reads it
        return Piece(f"{'Image' if media.is_image else 'File'} {media.media_type}", folded=part)
    return Piece(kind, folded=part)


def markdown(text: str) -> SafeString:
    """Return text read as Markdown; as it is where the extra `admin` is not installed.

    HTML in it is text, images are not loaded, and links lead to the web or to mail only.
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
            if token.type.startswith("heading"):  # below those of the page
                token.tag = "h4"
        return nh3.clean(
            parser.renderer.render(tokens, parser.options, {}),
            tags=_TAGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel="noopener noreferrer nofollow",
        )

    return read
