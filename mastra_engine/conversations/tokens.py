"""Token counts of text and messages: an estimate, unless the project configures a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson

from mastra_engine.conversations.media import Media
from mastra_engine.conversations.parts import (
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    arguments_text,
    read_message,
)
from mastra_engine.conversations.tool_ids import ID_SUFFIX, MAX_ID, UNNAMED_TOOL, sendable_id
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.optional_deps import require
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import ContentPart

if TYPE_CHECKING:
    from tiktoken import Encoding

#: Tokens of a message in addition to its content: its role and its delimiters.
MESSAGE_TOKENS = 4
#: Tokens of an image or a file. Models differ, and none counts the bytes of its Base64.
MEDIA_TOKENS = 1_000


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


def message_tokens(
    role: str, parts: list[ContentPart], tool_call_id: str | None, tokenizer: Tokenizer
) -> int:
    """Return the tokens of a message: at least `MESSAGE_TOKENS`.

    They cover the message in every format of a provider. Parts that are never sent add none.
    """
    tokens, texts = MESSAGE_TOKENS, 0
    for entry in read_message(role, parts, tool_call_id):
        item = entry.item
        if isinstance(item, Text):
            tokens += _text_tokens(item, tokenizer, first=not texts)
            texts += 1
        elif isinstance(item, ToolResult):
            tokens += _content_tokens(item.content, tokenizer)
        elif not isinstance(item, ToolCall):
            tokens += _item_tokens(item, tokenizer)
        elif role == "assistant":
            tokens += _call_tokens(item, tokenizer)
    return tokens


def _content_tokens(content: Iterable[Text | Media], tokenizer: Tokenizer) -> int:
    return sum(
        _text_tokens(item, tokenizer, first=not position)
        if isinstance(item, Text)
        else _item_tokens(item, tokenizer)
        for position, item in enumerate(content)
    )


def _text_tokens(item: Text, tokenizer: Tokenizer, *, first: bool) -> int:
    # A line break joins texts where a format has one text per message.
    tokens = tokenizer(item.text if first else f"\n{item.text}")
    for extra in filter(None, (item.citations, item.document)):
        tokens += tokenizer(orjson.dumps(extra).decode())
    return tokens


def _item_tokens(item: Media | Thinking, tokenizer: Tokenizer) -> int:
    if isinstance(item, Thinking):
        return tokenizer(f"{item.text}{item.signature}{item.redacted}")
    names = "".join(filter(None, (item.name, item.title, item.context)))
    return max(MEDIA_TOKENS, tokenizer(item.url)) + (tokenizer(names) if names else 0)


def _call_tokens(call: ToolCall, tokenizer: Tokenizer) -> int:
    """Return the tokens of a call, with its id twice: its result is sent with the id as well."""
    id = f"{max(sendable_id(call.id), call.id[:MAX_ID], key=len)}{ID_SUFFIX}"
    return tokenizer(f"{id}{call.name or UNNAMED_TOOL}{arguments_text(call)}{id}")
