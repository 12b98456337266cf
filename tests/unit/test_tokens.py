"""Tokens are estimates, and do not depend on the bytes of an image."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from mastra_engine.conversations.tokens import (
    MEDIA_TOKENS,
    MESSAGE_TOKENS,
    TiktokenTokenizer,
    estimate,
    message_tokens,
)
from mastra_engine.exceptions import EngineConfigError

PIXELS = "A" * 1_000_000


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_four_bytes_are_a_token(text: str, tokens: int) -> None:
    assert estimate(text) == tokens
    assert estimate("😀" * len(text)) == len(text)


def test_message_tokens_sum_parts_and_overhead() -> None:
    parts: list[Any] = [{"type": "text", "text": "abcd"}, {"type": "reasoning", "text": "abcde"}]
    assert message_tokens([], estimate) == MESSAGE_TOKENS
    assert message_tokens(parts, estimate) == MESSAGE_TOKENS + 1 + 2
    assert message_tokens(parts, len) == MESSAGE_TOKENS + 4 + 5
    call = {"type": "tool-call", "args": {"a": 1}}
    written = '{"type":"tool-call","args":{"a":1}}'
    assert message_tokens([call], len) == MESSAGE_TOKENS + len(written)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": PIXELS},
        {"type": "file", "data": PIXELS},
        {"type": "image_url", "image_url": {"url": PIXELS}},
        {"type": "document", "source": {"data": PIXELS}},
        {"type": "input_audio", "input_audio": {"data": PIXELS}},
    ],
)
def test_media_tokens_do_not_depend_on_size(part: Any) -> None:
    assert message_tokens([part], estimate) == MESSAGE_TOKENS + MEDIA_TOKENS


def test_media_in_results_count_as_media() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": PIXELS}}
    seen = {"type": "tool_result", "tool_use_id": "c", "content": [image, image]}
    blank = {**seen, "content": [None, None]}
    tokens = message_tokens([seen], estimate)
    assert tokens == message_tokens([blank], estimate) + 2 * MEDIA_TOKENS


def test_lists_of_file_names_count_as_text() -> None:
    listed = {"type": "tool-result", "result": [{"type": "file", "path": "a.txt"}]}
    assert message_tokens([listed], estimate) < 30


def test_missing_tiktoken_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    with pytest.raises(EngineConfigError, match=r"django-mastra-engine\[tiktoken\]"):
        TiktokenTokenizer()


def test_tiktoken_counts_by_its_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library downloads its tables, so this test replaces the library."""
    loaded: list[str] = []

    def get_encoding(name: str) -> SimpleNamespace:
        if name == "unknown":
            raise ValueError("Unknown encoding")
        loaded.append(name)
        return SimpleNamespace(encode_ordinary=str.split)

    library = SimpleNamespace(
        get_encoding=get_encoding,
        list_encoding_names=lambda: ["o200k_base"],
        __spec__="installed",
    )
    monkeypatch.setitem(sys.modules, "tiktoken", library)
    count = TiktokenTokenizer("o200k_base")
    assert [count("a b"), count("a b c")] == [2, 3]
    assert loaded == ["o200k_base"]
    with pytest.raises(EngineConfigError, match="no encoding 'unknown'"):
        TiktokenTokenizer("unknown")("Hi")
