"""Token counts of text and messages: an estimate, unless the project configures a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from mastra_engine.exceptions import EngineConfigError
from mastra_engine.optional_deps import require
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import Part

if TYPE_CHECKING:
    from tiktoken import Encoding

#: Tokens of a message in addition to its content: its role and its delimiters.
MESSAGE_TOKENS = 4
#: Tokens of an image or a file. Models differ, and none counts the bytes of its Base64.
MEDIA_TOKENS = 1_000
#: The types of media parts in the notations of OpenAI, Anthropic and Vercel's AI SDK.
MEDIA = ("image", "image_url", "file", "document", "media", "input_audio")
_MEDIA_KEYS = frozenset({"data", "source", "image_url"})


def estimate(text: str) -> int:
    """Estimate the tokens of `text`: one for four bytes of UTF-8, rounded up.

    The estimate is about 10 % high for English prose, and low for source code.
    """
    return -(-len(text.encode()) // 4)


class TiktokenTokenizer:
    """Count tokens as OpenAI's models do.

    Requires the extra `tiktoken`, which downloads the table of an encoding on first use.
    `encoding` is the name of one of its encodings, such as "o200k_base".
    """

    def __init__(self, encoding: str = "o200k_base") -> None:
        require("tiktoken", "tiktoken", by="TiktokenTokenizer")
        self.encoding = encoding
        self._loaded: Encoding | None = None

    def __call__(self, text: str, /) -> int:
        if self._loaded is None:
            self._loaded = self._load()
        return len(self._loaded.encode_ordinary(text))

    def _load(self) -> Encoding:
        import tiktoken

        try:
            return tiktoken.get_encoding(self.encoding)
        except ValueError as error:
            raise EngineConfigError(
                f"tiktoken has no encoding {self.encoding!r}; use one of "
                f"{', '.join(tiktoken.list_encoding_names())}"
            ) from error


def is_media(value: Mapping[str, Any]) -> bool:
    """Return whether an object is an image or a file with content, not just a mention of one."""
    return value.get("type") in MEDIA and not _MEDIA_KEYS.isdisjoint(value)


def message_tokens(parts: Iterable[Part], tokenizer: Tokenizer) -> int:
    """Return the tokens of a message with these parts; at least `MESSAGE_TOKENS`."""
    return MESSAGE_TOKENS + sum(_part_tokens(part, tokenizer) for part in parts)


def _part_tokens(part: Part, tokenizer: Tokenizer) -> int:
    if part["type"] in MEDIA:
        return MEDIA_TOKENS
    text = part.get("text")
    if isinstance(text, str):
        return tokenizer(text)
    bare, media = _without_media(part)
    return media * MEDIA_TOKENS + tokenizer(orjson.dumps(bare).decode())


def _without_media(value: Any) -> tuple[Any, int]:
    """Return JSON with null for each image or file, such as a screenshot, and their number."""
    if isinstance(value, dict):
        if is_media(value):
            return None, 1
        members = {key: _without_media(member) for key, member in value.items()}
        media = sum(number for _, number in members.values())
        return {key: bare for key, (bare, _) in members.items()}, media
    if isinstance(value, list):
        items = [_without_media(item) for item in value]
        return [bare for bare, _ in items], sum(number for _, number in items)
    return value, 0
