"""The rules of OpenAI's and Anthropic's servers, written without the code that formats windows.

Each function raises AssertionError for a request that the provider refuses. The clients' own types
check the form of each message, and the rules here check the rest.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.unit.clients import ANTHROPIC, OPENAI, assert_accepts

ANTHROPIC_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
SIGNATURES = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF",
}
IMAGES = [type for type in SIGNATURES if type.startswith("image/")]
MEDIA_TOKENS = 1_000


def check_openai(messages: list[Any]) -> None:
    """Check the messages of a chat completion; the calls of the last turn may be unanswered."""
    unanswered: list[str] = []
    ids: list[str] = []
    for message in messages:
        assert_accepts(OPENAI, message)
        if message["role"] == "tool":
            unanswered.remove(message["tool_call_id"])  # ValueError: a result without a call
            continue
        assert not unanswered, f"calls {unanswered} have no result"
        _check_openai_content(message)
        unanswered = [call["id"] for call in message.get("tool_calls", [])]
        ids += unanswered
        for call in message.get("tool_calls", []):
            _check_openai_call(call)
    assert len(ids) == len(set(ids)), "a call id occurs twice"
    assert all(1 <= len(id) <= 64 for id in ids)


def _check_openai_call(call: Any) -> None:
    function = call[call["type"]]
    assert TOOL_NAME.fullmatch(function["name"])
    if call["type"] == "function":
        assert function["arguments"].strip(), "arguments are blank"


def _check_openai_content(message: Any) -> None:
    content = message["content"]
    if content is None:
        assert message["role"] == "assistant"
        assert message["tool_calls"], "neither content nor calls"
    elif isinstance(content, str):
        assert content.strip(), "blank text"
    else:
        assert content, "no content"
        assert message["role"] == "user"
        for part in content:
            _check_openai_part(part)


def _check_openai_part(part: Any) -> None:
    if part["type"] == "text":
        assert part["text"].strip(), "blank text"
    elif part["type"] == "image_url":
        url = part["image_url"]["url"]
        if not re.match(r"https?://[^/\s]", url):
            check_data_url(url, IMAGES)
    elif part["type"] == "file":
        if "file_data" in part["file"]:
            check_data_url(part["file"]["file_data"], ["application/pdf"])
    else:
        assert part["type"] == "input_audio"
        assert part["input_audio"]["format"] in ("wav", "mp3")
        base64.b64decode(part["input_audio"]["data"], validate=True)


def check_data_url(url: str, types: list[str]) -> None:
    media_type, data = re.fullmatch(r"data:([^;,]+);base64,(.*)", url).groups()  # type: ignore[union-attr]
    check_data(media_type, data, types)


def check_data(media_type: str, data: str, types: list[str]) -> None:
    assert media_type in types
    content = base64.b64decode(data, validate=True)
    assert content.startswith(SIGNATURES[media_type]), "another type than declared"


def check_anthropic(messages: list[Any], system: Any) -> None:
    """Check the messages of a request; the calls of the last turn may be unanswered."""
    assert isinstance(system, str)
    for message in messages:
        assert_accepts(ANTHROPIC, message)
        assert message["content"], "no content"
    roles = [message["role"] for message in messages]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)], "roles do not alternate"
    ids = [block["id"] for block in all_blocks(messages) if block["type"] == "tool_use"]
    assert len(ids) == len(set(ids)), "a call id occurs twice"
    assert all(ANTHROPIC_ID.fullmatch(id) for id in ids)
    for position, message in enumerate(messages):
        following = messages[position + 1]["content"] if position + 1 < len(messages) else None
        if message["role"] == "assistant":
            _check_assistant(message["content"], following, last=following is None)
        else:
            preceding = messages[position - 1]["content"] if position else []
            _check_user(message["content"], preceding, last=following is None)
    for block in all_blocks(messages):
        _check_block(block)
    _check_cache_controls(messages)
    documents = [block for block in all_blocks(messages) if block["type"] == "document"]
    enabled = [block.get("citations", {}).get("enabled", False) for block in documents]
    assert len(set(enabled)) <= 1, "citations are enabled for some documents"


def _check_assistant(content: list[Any], following: list[Any] | None, *, last: bool) -> None:
    types = [block["type"] for block in content]
    assert set(types) <= {"text", "thinking", "redacted_thinking", "tool_use"}
    assert types[-1] not in ("thinking", "redacted_thinking"), "ends in thinking"
    assert types == sorted(types, key=lambda type: type == "tool_use"), "text after a call"
    if last and types[-1] == "text":
        assert content[-1]["text"] == content[-1]["text"].rstrip(), "trailing white space"


def _check_user(content: list[Any], preceding: list[Any], *, last: bool) -> None:
    types = [block["type"] for block in content]
    assert set(types) <= {"text", "image", "document", "tool_result"}
    results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
    assert types[: len(results)] == ["tool_result"] * len(results), "results do not come first"
    calls = [block["id"] for block in preceding if block["type"] == "tool_use"]
    if last:
        assert set(results) <= set(calls)
        assert len(results) == len(set(results))
        if len(results) < len(content):
            assert sorted(results) == sorted(calls), "text before the last result"
    else:
        assert sorted(results) == sorted(calls), "calls and results differ"


def _check_block(block: Any) -> None:
    if block["type"] == "text":
        assert block["text"].strip(), "blank text"
    elif block["type"] == "tool_use":
        assert TOOL_NAME.fullmatch(block["name"])
        assert isinstance(block["input"], dict)
        json.dumps(block["input"], allow_nan=False)
    elif block["type"] == "thinking":
        assert block["signature"]
    elif block["type"] == "tool_result" and block.get("is_error"):
        assert block["content"], "an error without content"
        assert {inner["type"] for inner in block["content"]} == {"text"}, "an error with media"
    elif block["type"] in ("image", "document"):
        source = block["source"]
        types = IMAGES if block["type"] == "image" else ["application/pdf"]
        if source["type"] == "base64":
            check_data(source["media_type"], source["data"], types)
        elif source["type"] == "url":
            assert re.match(r"https://[^/\s]", source["url"])


def _check_cache_controls(messages: list[Any]) -> None:
    ttls = [
        block["cache_control"].get("ttl", "5m")
        for block in all_blocks(messages)
        if "cache_control" in block
    ]
    assert len(ttls) <= 4, "too many cache breakpoints"
    assert ttls == sorted(ttls, key=["1h", "5m"].index), "a long breakpoint after a short one"


def all_blocks(messages: list[Any]) -> Iterator[Any]:
    for message in messages:
        for block in message["content"]:
            if block["type"] == "tool_result":
                yield from block.get("content", [])
            yield block


# Sizes


def sent_bytes(value: Any) -> tuple[int, int]:
    """Return the bytes of the text in a request, without media, and the number of media."""
    if isinstance(value, list):
        sizes = [sent_bytes(item) for item in value]
    elif not isinstance(value, dict):
        return (len(value.encode()), 0) if isinstance(value, str) else (0, 0)
    elif value.get("type") in ("image_url", "input_audio", "file", "image"):
        return 0, 1
    elif value.get("type") == "document" and value["source"]["type"] != "text":
        return sent_bytes([value.get("title"), value.get("context")])[0], 1
    elif value.get("type") == "tool_use":
        inputs = json.dumps(value["input"], separators=(",", ":"), ensure_ascii=False)
        return len((value["id"] + value["name"] + inputs).encode()), 0
    else:
        constant = ("type", "role", "cache_control", "media_type")
        sizes = [sent_bytes(value[key]) for key in value if key not in constant]
    return sum(size for size, _ in sizes), sum(media for _, media in sizes)


def check_size(window: Any) -> None:
    """Check that no more is sent than was counted, at four bytes for a token."""
    size, media = sent_bytes([window.messages, window.system])
    assert size <= 4 * (window.tokens - MEDIA_TOKENS * media), (size, media, window.tokens)
