"""Which of a thread's messages a model is shown."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import orjson

from mastra_engine.conversations.messages import CALLS, RESULTS, text_of, tool_calls, tool_results
from mastra_engine.conversations.tokens import message_tokens
from mastra_engine.protocols import Tokenizer
from mastra_engine.types import Message, Part, RecalledMessage, Thread, WorkingMemory

_OF_TOOLS = frozenset((*CALLS, *RESULTS))


def whole_exchanges(messages: Sequence[Message], *, to_the_end: bool) -> list[Message]:
    """Leave out what is separated from its counterpart: a tool's result or a call of it.

    Models refuse one without the other. A call without a result stays where the messages go on
    `to_the_end` of the thread and nothing but results follows it: its tool is at work. Leaving a
    message out may separate others, so it is done until nothing changes.
    """
    kept = list(messages)
    while apart := _separated(kept, to_the_end=to_the_end):
        kept = [message for at, message in enumerate(kept) if at not in apart]
    return kept


def _separated(messages: Sequence[Message], *, to_the_end: bool) -> set[int]:
    """Return where a result answers no earlier call, or a call stays without a result.

    Some models use the same ids again in every answer, so that the order tells what belongs
    together: a result answers the latest call, and only once.
    """
    apart: set[int] = set()
    calling: dict[str, int] = {}
    last_said = 0
    for at, message in enumerate(messages):
        types = {part["type"] for part in message.content}
        if message.role != "tool" and not types.issubset(RESULTS):
            last_said = at
        if message.tool_call_id is None and types.isdisjoint(_OF_TOOLS):
            continue  # like most, and a window may have a thousand
        for call in tool_calls(message):
            if call in calling:
                apart.add(calling[call])
            calling[call] = at
        for call in tool_results(message):
            if calling.pop(call, None) is None:
                apart.add(at)
    at_work = {at for at in calling.values() if to_the_end and at >= last_said}
    return apart | (set(calling.values()) - at_work)


class ContextPreamble:
    """What is put in front of a thread's messages, as system messages, within a budget."""

    def __init__(self, thread: Thread, tokenizer: Tokenizer, budget: int | None) -> None:
        self.thread = thread
        self.tokenizer = tokenizer
        self.budget = budget
        self._notes: list[Message] = []
        self._recalled: list[RecalledMessage] = []

    @property
    def left(self) -> int | None:
        """How many tokens are left of the budget; negative when it was too small."""
        if self.budget is None:
            return None
        return self.budget - sum(note.tokens for note in self._all(self._recalled))

    def add(self, text: str) -> None:
        self._notes.append(self._note(text))

    def add_working_memory(self, memory: WorkingMemory) -> None:
        written = [memory.content] if memory.content else []
        if memory.data:
            written.append(orjson.dumps(memory.data).decode())
        if written:
            self.add("\n".join(["Working memory:", *written]))

    def add_recalled(self, recalled: Sequence[RecalledMessage]) -> None:
        """Take as many as fit half of what is left; calls and results of tools have no text."""
        most = inf if self.left is None else self.left // 2
        for message in recalled:
            if not text_of(message.content):
                continue
            if self._note(_quoted([*self._recalled, message])).tokens > most:
                break
            self._recalled.append(message)

    def beside(self, history: Sequence[Message]) -> list[Message]:
        """Return the notes, without what was recalled and is in the history anyway."""
        shown = {message.id for message in history}
        return self._all([each for each in self._recalled if each.id not in shown])

    def _all(self, recalled: Sequence[RecalledMessage]) -> list[Message]:
        return [*self._notes, *([self._note(_quoted(recalled))] if recalled else [])]

    def _note(self, text: str) -> Message:
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


def _quoted(messages: Sequence[Message]) -> str:
    lines = [f"{message.role}: {text_of(message.content)}" for message in messages]
    return "\n".join(["Earlier messages that may matter:", *lines])
