"""The messages that a context window shows, and the preamble in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import orjson

from mastra_engine.conversations.messages import CALLS, RESULTS, text_of, tool_calls, tool_results
from mastra_engine.conversations.tokens import message_tokens
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import Message, Part, RecalledMessage, Thread, WorkingMemory

_TOOL_PARTS = frozenset((*CALLS, *RESULTS))


def whole_exchanges(messages: Sequence[Message], *, to_the_end: bool) -> list[Message]:
    """Drop messages that hold a tool call without its result, or a result without its call.

    Model providers refuse one without the other. With `to_the_end`, the messages are the last of
    their thread, and a call that only results follow stays: its tool is still running. Dropping
    one message can separate others, so this repeats until nothing changes.
    """
    paired = list(messages)
    while unpaired := _unpaired_positions(paired, to_the_end=to_the_end):
        paired = [message for i, message in enumerate(paired) if i not in unpaired]
    return paired


def _unpaired_positions(messages: Sequence[Message], *, to_the_end: bool) -> set[int]:
    """Return the positions of messages whose call has no result, or whose result has no call.

    Some models use the same ids again in every turn, so the order decides which call a result
    belongs to: a result answers the latest call with its id, and a call is answered once.
    """
    unpaired: set[int] = set()
    open_calls: dict[str, int] = {}
    last_statement = 0
    for i, message in enumerate(messages):
        types = {part["type"] for part in message.content}
        if message.role != "tool" and not types.issubset(RESULTS):
            last_statement = i
        # Most messages have nothing to do with tools, and a window may hold thousands.
        if message.tool_call_id is None and types.isdisjoint(_TOOL_PARTS):
            continue
        for call in tool_calls(message):
            if call in open_calls:
                unpaired.add(open_calls[call])
            open_calls[call] = i
        for call in tool_results(message):
            if open_calls.pop(call, None) is None:
                unpaired.add(i)
    running = {i for i in open_calls.values() if to_the_end and i >= last_statement}
    return unpaired | (set(open_calls.values()) - running)


class ContextPreamble:
    """The system messages in front of a thread's messages, within a budget of tokens.

    They hold the caller's system text, the working memory and the recalled messages.
    """

    def __init__(self, thread: Thread, tokenizer: Tokenizer, budget: int | None) -> None:
        self.thread = thread
        self.tokenizer = tokenizer
        self.budget = budget
        self._fixed: list[Message] = []
        self._recalled: list[RecalledMessage] = []

    @property
    def remaining_tokens(self) -> int | None:
        """The tokens that remain of the budget; negative if the preamble exceeds it."""
        if self.budget is None:
            return None
        return self.budget - sum(message.tokens for message in self._messages(self._recalled))

    def add(self, text: str) -> None:
        """Append a system message with this text."""
        self._fixed.append(self._system_message(text))

    def add_working_memory(self, memory: WorkingMemory) -> None:
        """Append the text and the JSON of working memory, unless both are empty."""
        lines = [memory.content] if memory.content else []
        if memory.data:
            lines.append(orjson.dumps(memory.data).decode())
        if lines:
            self.add("\n".join(["Working memory:", *lines]))

    def add_recalled(self, recalled: Sequence[RecalledMessage]) -> None:
        """Add recalled messages, best first, up to half of the remaining tokens.

        Messages without text, such as the calls and results of tools, are left out.
        """
        limit = inf if self.remaining_tokens is None else self.remaining_tokens // 2
        for message in recalled:
            if not text_of(message.content):
                continue
            quotation = _quotation([*self._recalled, message])
            if self._system_message(quotation).tokens > limit:
                break
            self._recalled.append(message)

    def messages_before(self, history: Sequence[Message]) -> list[Message]:
        """Return the system messages, without recalled messages that `history` holds as well."""
        history_ids = {message.id for message in history}
        return self._messages(
            [message for message in self._recalled if message.id not in history_ids]
        )

    def _messages(self, recalled: Sequence[RecalledMessage]) -> list[Message]:
        if not recalled:
            return list(self._fixed)
        return [*self._fixed, self._system_message(_quotation(recalled))]

    def _system_message(self, text: str) -> Message:
        parts: list[Part] = [{"type": "text", "text": text}]
        return Message(
            id="",
            thread_id=self.thread.id,
            position=0,
            role="system",
            content=parts,
            tool_call_id=None,
            tokens=message_tokens(parts, self.tokenizer),
            metadata={},
            created_at=self.thread.created_at,
        )


def _quotation(messages: Sequence[Message]) -> str:
    lines = [f"{message.role}: {text_of(message.content)}" for message in messages]
    return "\n".join(["Earlier messages that may matter:", *lines])
