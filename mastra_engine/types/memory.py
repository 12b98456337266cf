"""Values of agent memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mastra_engine.types.facts import Fact
from mastra_engine.types.vectors import Explanation

Role = Literal["system", "user", "assistant", "tool"]
ThreadOrder = Literal["updated_at", "created_at"]
RecallScope = Literal["thread", "resource"]
ToolFormat = Literal["openai", "anthropic"]
WindowFormat = Literal["raw", "openai", "anthropic"]
#: One part of a message's content, such as `{"type": "text", "text": "Hello"}`.
ContentPart = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation. It belongs to a resource, for example a user or an organization.

    `version` is incremented by changes of the title and the metadata, not by messages.
    """

    id: str
    resource_id: str
    title: str
    metadata: dict[str, Any]
    version: int
    message_count: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. Positions in a thread are 1, 2, 3 … in the order of commits.

    A message keeps its position, so a deletion leaves a gap. `tokens` is the number of tokens
    that the engine's tokenizer counted. `tool_call_id` names the call that a tool message answers.
    """

    id: str
    thread_id: str
    position: int
    role: Role
    content: list[ContentPart]
    tool_call_id: str | None
    tokens: int
    metadata: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageInput:
    """A message to store. A dict with the same keys is accepted too.

    `created_at` is for messages that were written earlier; the default is the time of saving.
    """

    role: str
    content: str | Sequence[Mapping[str, Any]]
    id: str | None = None
    tool_call_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    created_at: datetime | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledMessage(Message):
    """A message that matches a recall, or that `message_range` adds to one, without scores.

    `score`, `similarity`, `lexical` and `explanation` are those of its vector: see `Match`.
    """

    score: float | None = None
    similarity: float | None = None
    lexical: float | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingMemory:
    """The working memory of a resource or a thread: a text and a JSON object.

    `version` counts its changes; it is 0 before the first one.
    """

    content: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """The latest messages of a thread, oldest first, recalled messages and the working memory.

    `facts` are the current facts about the resource, if they were requested.
    """

    thread: Thread
    messages: list[Message]
    recalled: list[RecalledMessage]
    working_memory: WorkingMemory
    facts: list[Fact] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextWindow(Sequence[Any]):
    """The newest messages that fit the token budget, oldest first, in the requested format.

    `system` is set in Anthropic's format only, which keeps the system text apart from the
    messages. `truncated` is true if older messages were omitted. `tokens` includes the preamble.
    `facts` are the facts that the leading system message tells.
    """

    messages: list[Any]
    tokens: int
    truncated: bool
    system: str | None = None
    facts: list[Fact] = field(default_factory=list)

    def __getitem__(self, index: int | slice) -> Any:
        return self.messages[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


MessageLike = MessageInput | Mapping[str, Any]
