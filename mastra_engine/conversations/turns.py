"""Turns: a conversation's items in the order that every provider requires."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mastra_engine.conversations.media import Media
from mastra_engine.conversations.parts import (
    MessageItem,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    read_message,
)
from mastra_engine.types import Message

#: The index of a message, and the positions of parts in it.
Place = tuple[int, list[int]]


@dataclass(slots=True)
class Exchange:
    """A tool call and its result, once there is one, with their places.

    The call is None where only the message says that it makes one, without a part that does.
    """

    call: ToolCall | None
    call_place: Place
    result: ToolResult | None = None
    result_place: Place | None = None


TurnItem = Text | Media | Thinking | Exchange


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive items of one role. An assistant's tool calls include their results."""

    role: str
    items: list[TurnItem] = field(default_factory=list)

    @property
    def exchanges(self) -> list[Exchange]:
        """The tool calls of this turn."""
        return [item for item in self.items if isinstance(item, Exchange)]


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns of messages, and the places of results that answer none of their calls."""

    turns: list[Turn]
    stray_results: list[Place]


class _OpenCalls:
    """The calls that wait for a result, by id.

    Some models use the same ids again in every turn, so the order decides which call a result
    belongs to: the first without a result of the latest message that has a call with this id.
    Calls of an earlier message with the same id remain without a result. A part that holds a call
    and its result needs no id.
    """

    def __init__(self) -> None:
        self._calls: dict[str, list[Exchange]] = {}

    def add(self, id: str, exchange: Exchange) -> None:
        message = exchange.call_place[0]
        waiting = self._calls.get(id, [])
        parallel = [other for other in waiting if other.call_place[0] == message]
        self._calls[id] = [*parallel, exchange]

    def pop(self, id: str, place: Place) -> Exchange | None:
        """Return the call that a result at a place answers; it waits no longer."""
        waiting = self._calls.get(id)
        if not waiting:
            return None
        indices = (i for i, exchange in enumerate(waiting) if exchange.call_place == place)
        return waiting.pop(next(indices, 0))


def group_turns(messages: Iterable[Message]) -> Turns:
    """Group the items of messages into turns, with each tool result beside its call."""
    grouping = _Grouping()
    for index, message in enumerate(messages):
        grouping.add(index, message)
    return Turns(grouping.turns, grouping.stray_results)


class _Grouping:
    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.stray_results: list[Place] = []
        self._open_calls = _OpenCalls()
        self._turn: Turn | None = None

    def add(self, index: int, message: Message) -> None:
        """Add the items of a message, which begins a turn unless it adds parallel calls to one."""
        entries = read_message(message.role, message.content, message.tool_call_id)
        if not self._continues_calls(message.role, entries):
            self._turn = None
        makes_call = False
        for entry in entries:
            place = (index, entry.positions)
            if isinstance(entry.item, ToolResult):
                self._add_result(entry.item, place)
                continue
            turn = self._current_turn(message.role)
            if isinstance(entry.item, ToolCall):
                makes_call = True
                self._add_call(turn, entry.item.id, Exchange(entry.item, place))
            else:
                turn.items.append(entry.item)
        if message.role == "assistant" and message.tool_call_id is not None and not makes_call:
            turn = self._current_turn(message.role)
            self._add_call(turn, message.tool_call_id, Exchange(None, (index, [])))

    def _continues_calls(self, role: str, entries: list[MessageItem]) -> bool:
        """Return whether a message holds nothing but further calls of the same assistant's turn.

        OpenAI's Responses API writes parallel calls as one item each. A call with an id of
        the same turn is not parallel: it repeats a call that was interrupted.
        """
        if self._turn is None or self._turn.role != "assistant" or role != "assistant":
            return False
        calls = [entry.item for entry in entries if isinstance(entry.item, ToolCall)]
        turn_ids = {other.call.id for other in self._turn.exchanges if other.call is not None}
        if not turn_ids or not calls or len(calls) < len(entries):
            return False
        return turn_ids.isdisjoint(call.id for call in calls)

    def _current_turn(self, role: str) -> Turn:
        if self._turn is None:
            self._turn = Turn(role)
            self.turns.append(self._turn)
        return self._turn

    def _add_call(self, turn: Turn, id: str, exchange: Exchange) -> None:
        self._open_calls.add(id, exchange)
        turn.items.append(exchange)

    def _add_result(self, result: ToolResult, place: Place) -> None:
        # The assistant writes the parts after a result knowing it: they are a new turn.
        self._turn = None
        exchange = self._open_calls.pop(result.call_id, place)
        if exchange is None:
            self.stray_results.append(place)
        else:
            exchange.result, exchange.result_place = result, place
