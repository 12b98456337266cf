"""Limits on the size of the values that agent memory stores and returns."""

from __future__ import annotations

from typing import Any

from mastra_engine.conversations.messages import NewMessage, new_messages
from mastra_engine.exceptions import InvalidInput
from mastra_engine.protocols import Tokenizer
from mastra_engine.validation.inputs import json_object, text
from mastra_engine.validation.jsonb import Path, canonical
from mastra_engine.validation.sizes import limit_size

#: Characters of a thread's title.
MAX_TITLE = 1_000
#: Bytes of the metadata of a thread or a message, as PostgreSQL writes it.
MAX_METADATA_BYTES = 256 * 1024
#: Bytes of the parts of a message, as PostgreSQL writes them.
MAX_CONTENT_BYTES = 64 * 1024 * 1024
#: Bytes of the JSON of a working memory, as PostgreSQL writes it.
MAX_WORKING_MEMORY_BYTES = 16 * 1024 * 1024


def checked_title(title: Any, path: str) -> str:
    """Return a title of at most 1,000 characters; raise InvalidInput for other values."""
    checked = text(title, path)
    if len(checked) > MAX_TITLE:
        raise InvalidInput(
            f"must have at most {MAX_TITLE:,} characters, got {len(checked):,}", path=path
        )
    return checked


def checked_metadata(metadata: Any, path: Path) -> bytes:
    """Return metadata as canonical JSON of at most 256 KiB; raise InvalidInput otherwise."""
    return limit_size(json_object(metadata, path), MAX_METADATA_BYTES, path)


def merged_metadata(stored: dict[str, Any], added: dict[str, Any], path: Path) -> bytes:
    """Return stored metadata with the keys of other metadata put over its own, of 256 KiB."""
    return limit_size(canonical({**stored, **added}, path), MAX_METADATA_BYTES, path)


def checked_messages(
    messages: Any, tokenizer: Tokenizer, *, path: str = "messages", start: int = 0
) -> list[NewMessage]:
    """Return validated messages; raise InvalidInput with the path of an invalid or large value."""
    checked = new_messages(messages, tokenizer, path=path, start=start)
    for number, message in enumerate(checked, start=start):
        limit_size(message.content, MAX_CONTENT_BYTES, (path, number, "content"))
        limit_size(message.metadata, MAX_METADATA_BYTES, (path, number, "metadata"))
    return checked
