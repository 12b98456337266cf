"""The messages that a context window shows, and the preamble in front of them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import Literal

import orjson

from mastra_engine.conversations.parts import Thinking, read_message, text_of, uses_tools
from mastra_engine.conversations.tokens import message_tokens
from mastra_engine.conversations.turns import Place, group_turns
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import ContentPart, Fact, Message, RecalledMessage, Thread, WorkingMemory

#: The first lines of the messages of the preamble.
WORKING_MEMORY = "Working memory:"
FACTS = "Known facts:"
RECALLED = "Earlier messages that may matter:"

Segment = Literal["system", "facts", "working_memory", "recalled", "messages", "tools"]


def segment_of(message: Message) -> Segment:
    """Return the segment of a raw window that a message belongs to.

    Messages of the preamble have position 0. A leading message with a system text and facts
    belongs to "system", a message with a text and a tool call to "tools".
    """
    if message.position == 0:
        heading = text_of(message.content).partition("\n")[0]
        of_preamble: dict[str, Segment] = {
            FACTS: "facts",
            WORKING_MEMORY: "working_memory",
            RECALLED: "recalled",
        }
        return of_preamble.get(heading, "system")
    if message.role == "system":
        return "system"
    if uses_tools(message.role, message.content, message.tool_call_id):
        return "tools"
    return "messages"


def whole_exchanges(messages: Sequence[Message], *, to_the_end: bool) -> list[Message]:
    """Drop each tool call without its result, and each result without its call.

    Model providers refuse one without the other. The other parts of a message stay, and so do
    parallel calls that have their results; a message without remaining content is dropped. With
    `to_the_end`, the messages are the last of their thread, and calls that only results follow
    stay: their tools are still running.
    """
    if not any(uses_tools(m.role, m.content, m.tool_call_id) for m in messages):
        return list(messages)
    grouped = group_turns(messages)
    finished = grouped.turns[:-1] if to_the_end else grouped.turns
    places = [
        exchange.call_place
        for turn in finished
        for exchange in turn.exchanges
        if exchange.call is not None and exchange.result is None
    ]
    return _without(messages, [*places, *grouped.stray_results])


def _without(messages: Sequence[Message], places: Iterable[Place]) -> list[Message]:
    """Return messages without the parts at `places`, and without messages that these empty."""
    dropped: dict[int, set[int]] = defaultdict(set)
    for index, positions in places:
        dropped[index].update(positions)
    remaining: list[Message] = []
    for index, message in enumerate(messages):
        if index not in dropped:
            remaining.append(message)
            continue
        parts = [p for i, p in enumerate(message.content) if i not in dropped[index]]
        if _has_content(message, parts):
            remaining.append(replace(message, content=parts))
    return remaining


def _has_content(message: Message, parts: list[ContentPart]) -> bool:
    """Return whether a message with these parts would show more than thinking."""
    if message.role == "tool" and not parts:
        return False
    items = read_message(message.role, parts, message.tool_call_id)
    return any(not isinstance(entry.item, Thinking) for entry in items)


class ContextPreamble:
    """The system messages in front of a thread's messages, within a budget of tokens.

    They hold the caller's system text, facts, the working memory and the recalled messages.
    """

    def __init__(self, thread: Thread, tokenizer: Tokenizer, budget: int | None) -> None:
        self.thread = thread
        self.tokenizer = tokenizer
        self.budget = budget
        #: The facts that the leading system message tells.
        self.facts: list[Fact] = []
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

    def add_leading(self, text: str | None, facts: Sequence[Fact]) -> None:
        """Append the leading system message: a text, and facts up to half of the budget."""
        texts = [] if text is None else [text]

        def tokens(count: int) -> int:
            return self._system_message(_list_of_facts(facts[:count])).tokens

        fitting = len(facts)
        if self.budget is not None:
            fitting = bisect_right(range(1, len(facts) + 1), self.budget // 2, key=tokens)
        self.facts = list(facts[:fitting])
        if self.facts:
            texts.append(_list_of_facts(self.facts))
        if texts:
            self.add("\n\n".join(texts))

    def add_working_memory(self, memory: WorkingMemory) -> None:
        """Append the text and the JSON of working memory, unless both are empty."""
        lines = [memory.content] if memory.content else []
        if memory.data:
            lines.append(orjson.dumps(memory.data).decode())
        if lines:
            self.add("\n".join([WORKING_MEMORY, *lines]))

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
        parts: list[ContentPart] = [{"type": "text", "text": text}]
        return Message(
            id="",
            thread_id=self.thread.id,
            position=0,
            role="system",
            content=parts,
            tool_call_id=None,
            tokens=message_tokens("system", parts, None, self.tokenizer),
            metadata={},
            created_at=self.thread.created_at,
        )


def _list_of_facts(facts: Sequence[Fact]) -> str:
    lines = [f"{fact.subject} {fact.predicate} {fact.object}" for fact in facts]
    return "\n".join([FACTS, *lines])


def _quotation(messages: Sequence[Message]) -> str:
    lines = [f"{message.role}: {text_of(message.content)}" for message in messages]
    return "\n".join([RECALLED, *lines])
