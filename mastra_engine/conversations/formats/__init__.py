"""Context windows in the formats of model providers, one module for each provider.

OpenAI's Chat Completions and Anthropic's Messages both require the results of tools right after
the message that calls them, even if other messages were saved in between. Messages are therefore
grouped into turns first, each with the results of its calls, and a provider's module renders the
turns.

Content that a provider has no part for is left out: parts of the project's own types, images in
messages of the system or the assistant, files other than images, PDFs and audio (OpenAI), media in
results (OpenAI), thinking (OpenAI; Anthropic unless it is signed and more follows), and blank
text. A result without a call is left out too, and so is a message without remaining content.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mastra_engine.conversations.formats.anthropic import anthropic_messages
from mastra_engine.conversations.formats.openai import openai_messages
from mastra_engine.conversations.parts import text_of
from mastra_engine.conversations.turns import group_turns
from mastra_engine.types import ContextWindow, Message, WindowFormat

__all__ = ["format_window"]


def format_window(
    messages: Sequence[Message], format: WindowFormat, *, truncated: bool
) -> ContextWindow:
    """Return a context window that shows `messages`, all tool calls paired, in a format."""
    system: str | None = None
    window: list[Any] = list(messages)
    if format == "openai":
        window = openai_messages(group_turns(messages).turns)
    elif format == "anthropic":
        system = _system_text(messages)
        others = (message for message in messages if message.role != "system")
        window = anthropic_messages(group_turns(others).turns)
    return ContextWindow(
        messages=window,
        tokens=sum(message.tokens for message in messages),
        truncated=truncated,
        system=system,
    )


def _system_text(messages: Sequence[Message]) -> str:
    """Return the text of the system messages, which Anthropic takes apart from the others.

    Without any it is empty: Anthropic refuses null, and its client would send None as null.
    """
    texts = [text_of(message.content) for message in messages if message.role == "system"]
    return "\n\n".join(filter(None, texts))
