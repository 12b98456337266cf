"""Cutting documents into chunks that can be embedded. Needs the extra `rag`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mastra_engine.exceptions import InvalidInput
from mastra_engine.optional_deps import require
from mastra_engine.validation import inputs

if TYPE_CHECKING:
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    Splitter = TextSplitter | MarkdownSplitter

#: The splitter's time grows with the square of the text's length over the chunk's (measured on
#: 10 MB of words: 3 minutes), so it is shown this many chunks' length at a time.
_CHUNKS_AT_A_TIME = 200


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text: `source[start:end] == text`, in characters; `index` counts from 0."""

    text: str
    start: int
    end: int
    index: int


def chunk(
    text: str, *, size: int = 1000, overlap: int = 100, markdown: bool = False
) -> list[Chunk]:
    """Cut a text into chunks of at most `size` characters, in order.

    The cuts are where meaning breaks: between paragraphs, else sentences, else words; with
    `markdown` between headings and blocks first. A chunk begins with up to `overlap` characters
    of the one before. White space at both ends of a chunk is left out, so a blank text has none.
    By semantic-text-splitter, https://github.com/benbrandt/text-splitter.

    Raises InvalidInput for a text that PostgreSQL could not store, for sizes that are no positive
    integers and for an overlap that is not smaller than the size.
    """
    source = inputs.text(text, "/text")
    if inputs.count(overlap, "/overlap") >= inputs.count(size, "/size", least=1):
        raise InvalidInput(f"must be smaller than size, {size}", path="/overlap")
    pieces = _pieces(_splitter(size, overlap, markdown), source, _CHUNKS_AT_A_TIME * size)
    return [
        Chunk(text=piece, start=start, end=start + len(piece), index=index)
        for index, (start, piece) in enumerate(pieces)
    ]


def _splitter(size: int, overlap: int, markdown: bool) -> Splitter:
    require("rag", "semantic_text_splitter", by="chunk()")
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if markdown else TextSplitter
    return kind(size, overlap)


def _pieces(splitter: Splitter, text: str, window: int) -> Iterator[tuple[int, str]]:
    """Yield (start, piece), splitting a window of the text at a time.

    The last piece of a window may end only because the window does, so the next window starts
    where that piece does: there is no seam. (Markdown that is open there, a fence perhaps, is not
    known to be open in the next window.)
    """
    start = 0
    while start + window < len(text):
        found = splitter.chunk_indices(text[start : start + window])
        step = found[-1][0] if found else 0
        yield from ((start + offset, piece) for offset, piece in (found[:-1] if step else found))
        start += step or window
    yield from ((start + offset, piece) for offset, piece in splitter.chunk_indices(text[start:]))
