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
from mastra_engine.protocols import Tokenizer

PIXELS = "A" * 1_000_000


def tokens(parts: list[Any], tokenizer: Tokenizer = estimate, role: str = "user") -> int:
    return message_tokens(role, parts, None, tokenizer)


@pytest.mark.parametrize(("text", "number"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2)])
def test_four_bytes_are_a_token(text: str, number: int) -> None:
    assert estimate(text) == number
    assert estimate("😀" * len(text)) == len(text)


def test_message_tokens_sum_parts_and_overhead() -> None:
    parts: list[Any] = [{"type": "text", "text": "abcd"}, {"type": "refusal", "refusal": "abcd"}]
    assert tokens([]) == MESSAGE_TOKENS
    assert tokens(parts) == MESSAGE_TOKENS + 1 + 2, "a line break joins them"
    assert tokens(parts, len) == MESSAGE_TOKENS + 4 + 5
    call = {"type": "tool-call", "toolCallId": "c", "toolName": "f", "args": {"a": 1}}
    sent = 2 * len("c_000") + len("f") + len('{"a":1}')
    assert tokens([call], len, role="assistant") == MESSAGE_TOKENS + sent


@pytest.mark.parametrize(
    "part",
    [
        {"type": "own", "text": "never sent"},
        {"type": "data-chart", "data": {"points": [1, 2, 3]}},
        {"type": "step-start"},
        {"type": "reasoning", "text": "unsigned"},
        {"type": "image", "image": "/media/cat.png"},
        {"type": "text", "text": " "},
    ],
)
def test_parts_that_are_never_sent_are_not_counted(part: Any) -> None:
    for role in ("user", "assistant"):
        assert tokens([part], role=role) == MESSAGE_TOKENS


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": PIXELS},
        {"type": "file", "data": PIXELS},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXELS}"}},
        {"type": "document", "source": {"data": PIXELS}},
        {"type": "input_audio", "input_audio": {"data": PIXELS}},
    ],
)
def test_media_tokens_do_not_depend_on_size(part: Any) -> None:
    assert tokens([part]) == MESSAGE_TOKENS + MEDIA_TOKENS


def test_media_in_results_count_as_media() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": PIXELS}}
    seen = {"type": "tool_result", "tool_use_id": "c", "content": [image, image]}
    assert tokens([seen]) == MESSAGE_TOKENS + 2 * MEDIA_TOKENS


def test_lists_of_file_names_count_as_text() -> None:
    listed = {"type": "tool-result", "result": [{"type": "file", "path": "a.txt"}]}
    assert tokens([listed]) == MESSAGE_TOKENS + estimate('[{"path":"a.txt","type":"file"}]')


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
