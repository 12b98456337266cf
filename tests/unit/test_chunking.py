"""Chunks are pieces of the text at the places they name."""

from __future__ import annotations

import sys
from itertools import pairwise
from pydoc_data.topics import topics
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_text_splitter import MarkdownSplitter, TextSplitter

from mastra_engine.exceptions import EngineConfigError, InvalidInput
from mastra_engine.retrieval.chunking import Chunk, chunk

NO_SURROGATES = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.text(NO_SURROGATES | st.sampled_from("  \n\n.😀é# -*"), max_size=400)

MARKDOWN = """# Setup

Install it.

## Options

- one
- two
"""


def check(source: str, chunks: list[Chunk], size: int) -> None:
    """Assert what holds for the chunks of every text."""
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    for piece in chunks:
        assert source[piece.start : piece.end] == piece.text
        assert 0 < len(piece.text) <= size
    starts, ends = [chunk.start for chunk in chunks], [chunk.end for chunk in chunks]
    assert starts == sorted(set(starts))
    gaps = zip([0, *ends], [*starts, len(source)], strict=True)
    assert all(not source[end:start].strip() for end, start in gaps)  # blanks only are left out


@given(source=TEXTS, size=st.integers(1, 60), overlap=st.integers(0, 59), markdown=st.booleans())
def test_every_text_is_covered_by_its_chunks(
    source: str, size: int, overlap: int, markdown: bool
) -> None:
    overlap = min(overlap, size - 1)
    check(source, chunk(source, size=size, overlap=overlap, markdown=markdown), size)


@pytest.mark.parametrize("markdown", [False, True])
def test_real_text_is_cut_as_by_the_library(markdown: bool) -> None:
    for source in topics.values():
        splitter = (MarkdownSplitter if markdown else TextSplitter)(1000, 100)
        chunks = chunk(source, markdown=markdown)
        check(source, chunks, 1000)
        assert [(chunk.start, chunk.text) for chunk in chunks] == splitter.chunk_indices(source)


def test_offsets_are_characters() -> None:
    assert chunk("😀 é. Ünïcödé 東京.", size=8, overlap=0) == [
        Chunk("😀 é.", 0, 4, 0),
        Chunk("Ünïcödé", 5, 12, 1),
        Chunk("東京.", 13, 16, 2),
    ]


def test_chunks_overlap_by_words() -> None:
    first, second, *_ = chunk("one two three four five six", size=14, overlap=6)
    assert (first.text, second.text) == ("one two three", "three four")
    assert second.start < first.end


def test_markdown_is_cut_at_headings() -> None:
    assert [item.text for item in chunk(MARKDOWN, size=32, overlap=0, markdown=True)] == [
        "# Setup\n\nInstall it.",
        "## Options\n\n- one\n- two",
    ]


@pytest.mark.parametrize("blank", ["", " ", "\n\n\t ", "\u2003"])
def test_a_blank_text_has_no_chunks(blank: str) -> None:
    assert chunk(blank) == []


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize(
    "unit",
    ["word ", "x", "😀", "a line of a log\n", "# Title\n\nText.\n", " " * 3_000 + "word. "],
    ids=["words", "characters", "emoji", "lines", "headings", "blanks"],
)
def test_a_long_monotonous_text_is_split_in_windows(
    monkeypatch: pytest.MonkeyPatch, unit: str, markdown: bool
) -> None:
    """The library takes four times as long for twice the text, so it gets a part at a time."""
    kind = MarkdownSplitter if markdown else TextSplitter
    calls = Mock(wraps=kind(100, 10).chunk_indices)
    monkeypatch.setattr(
        f"semantic_text_splitter.{kind.__name__}", lambda *_: Mock(chunk_indices=calls)
    )
    source = unit * (100_000 // len(unit))
    chunks = chunk(source, size=100, overlap=10, markdown=markdown)
    sizes = [len(call.args[0]) for call in calls.call_args_list]
    assert max(sizes) <= 20_000
    assert sum(sizes) <= 1.1 * len(source)  # next to nothing is split twice
    check(source, chunks, 100)


def test_where_the_text_was_divided_no_seam_is_left() -> None:
    sentences = "".join(f"This is sentence {i}. " for i in range(3_000))
    chunks = chunk(sentences, size=100, overlap=30)
    assert all(chunk.text.startswith("This") and chunk.text.endswith(".") for chunk in chunks)
    pairs = pairwise(chunks)
    assert all(after.start < before.end for before, after in pairs)


def test_blanks_longer_than_what_is_looked_at_are_left_out() -> None:
    blank = " " * 50_000
    chunks = chunk(f"{blank}one{blank}two three{blank}", size=10, overlap=0)
    assert [chunk.text for chunk in chunks] == ["one", "two three"]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"text": None}, "/text"),
        ({"text": b"bytes"}, "/text"),
        ({"text": "a\0b"}, "/text"),
        ({"text": "\ud800"}, "/text"),
        ({"size": 0}, "/size"),
        ({"size": -1}, "/size"),
        ({"size": 10.5}, "/size"),
        ({"size": "10"}, "/size"),
        ({"size": True}, "/size"),
        ({"size": 2**70}, "/size"),
        ({"overlap": -1}, "/overlap"),
        ({"overlap": None}, "/overlap"),
        ({"overlap": 1000}, "/overlap"),
        ({"size": 10}, "/overlap"),
    ],
)
def test_unfit_arguments_are_refused(options: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        chunk(**{"text": "text", **options})
    assert caught.value.path == path


def test_the_largest_size_gives_one_chunk() -> None:
    assert chunk("one two", size=2**62, overlap=0) == [Chunk("one two", 0, 7, 0)]


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "semantic_text_splitter", None)
    with pytest.raises(EngineConfigError, match=r"pip install 'django-mastra-engine\[rag\]'"):
        chunk("text")
