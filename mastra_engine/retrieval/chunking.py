"""Splitting documents into chunks that can be embedded. Needs the extra `rag`."""

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

#: Chunks per window of text. The splitter's time grows with the square of the text's length over
#: the chunk's length (3 minutes for 10 MB of words), so it gets a window of the text at a time.
_WINDOW_CHUNKS = 200


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a text: `source[start:end] == text`, in characters; `index` counts from 0."""

    text: str
    start: int
    end: int
    index: int


def chunk(
    text: str, *, size: int = 1000, overlap: int = 100, markdown: bool = False
) -> list[Chunk]:
    """Split a text into chunks of at most `size` characters, in order.

    Chunks end between paragraphs if possible, otherwise between sentences, otherwise between words;
    with `markdown`, preferably between headings and blocks. A chunk begins with up to `overlap`
    characters of the previous one. White space at both ends of a chunk is removed, so a blank text
    has no chunks. The splitter is https://github.com/benbrandt/text-splitter.

    Raises InvalidInput for a text that PostgreSQL cannot store, for a size that is not a positive
    integer and for an overlap that is not smaller than the size.
    """
    source = inputs.text(text, "/text")
    if inputs.count(overlap, "/overlap") >= inputs.count(size, "/size", least=1):
        raise InvalidInput(f"must be smaller than size ({size}), got {overlap}", path="/overlap")
    chunks = _split(_splitter(size, overlap, markdown), source, _WINDOW_CHUNKS * size)
    return [
        Chunk(text=content, start=start, end=start + len(content), index=index)
        for index, (start, content) in enumerate(chunks)
    ]


def _splitter(size: int, overlap: int, markdown: bool) -> Splitter:
    require("rag", "semantic_text_splitter", by="chunk()")
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    kind = MarkdownSplitter if markdown else TextSplitter
    return kind(size, overlap)


def _split(splitter: Splitter, text: str, window: int) -> Iterator[tuple[int, str]]:
    """Yield (start, text) of each chunk, splitting one window of the text at a time.

    The last chunk of a window may have been cut by the end of the window. So the next window starts
    where that chunk starts. Markdown that is open at that place, for example a fenced block, is not
    recognized as open in the next window.
    """
    start = 0
    while start + window < len(text):
        chunks = splitter.chunk_indices(text[start : start + window])
        step = chunks[-1][0] if chunks else 0
        complete = chunks[:-1] if step else chunks
        yield from ((start + offset, content) for offset, content in complete)
        start += step or window
    last_chunks = splitter.chunk_indices(text[start:])
    yield from ((start + offset, content) for offset, content in last_chunks)
