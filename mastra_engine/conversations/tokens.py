"""How many tokens text and messages take: an estimate, unless the project plugs in a tokenizer."""

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

#: What a message takes beside its content: its role and the marks around it.
MESSAGE_TOKENS = 4
#: What an image or a file takes. The models differ, and none counts the bytes it is sent as.
MEDIA_TOKENS = 1_000
#: The types of parts that are one, as OpenAI, Anthropic and Vercel call them.
MEDIA = ("image", "image_url", "file", "document", "media", "input_audio")
_HOLDERS = frozenset({"data", "source", "image_url"})


def estimate(text: str) -> int:
    """Return about how many tokens `text` takes: one for four bytes of UTF-8, rounded up.

    English prose comes out some 10 % high, source code low.
    """
    return -(-len(text.encode()) // 4)


class TiktokenTokenizer:
    """Counts as OpenAI's models do. Needs the extra `tiktoken`, which loads its table on first use.

    `encoding` is one of tiktoken's, such as "o200k_base".
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
            raise EngineConfigError(f"tiktoken knows no encoding {self.encoding!r}") from error


def is_media(value: Mapping[str, Any]) -> bool:
    """Return whether what a tool answered is an image or a file, not just about one."""
    return value.get("type") in MEDIA and not _HOLDERS.isdisjoint(value)


def message_tokens(parts: Iterable[Part], tokenizer: Tokenizer) -> int:
    """Return the tokens of a message with that content; at least one."""
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
    """Return JSON without images and files, such as a tool's screenshots, and their number."""
    if isinstance(value, dict):
        if is_media(value):
            return None, 1
        inner = {key: _without_media(each) for key, each in value.items()}
        return {key: bare for key, (bare, _) in inner.items()}, sum(n for _, n in inner.values())
    if isinstance(value, list):
        items = [_without_media(each) for each in value]
        return [bare for bare, _ in items], sum(n for _, n in items)
    return value, 0
