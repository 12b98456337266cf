"""What can be used on the way to an answer, by a language model or without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from example_project.desk import knowledge
from mastra_engine.exceptions import InvalidInput

if TYPE_CHECKING:
    from example_project.desk.turns import Turn


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that is asked for. A model chose the arguments, so they may be anything."""

    id: str
    name: str
    args: Any


def definitions(turn: Turn) -> list[dict[str, Any]]:
    """Return the tools as OpenAI's client takes them."""
    look_up = {
        "name": "look_up_ticket",
        "description": "Look up the tickets of a number; each repository may have one.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
        },
    }
    return [
        {"type": "function", "function": look_up},
        turn.desk.memory.working_memory_tool(format="openai"),
    ]


def use(turn: Turn, call: Call) -> dict[str, Any]:
    """Return what a tool answers; that it was asked wrongly is an answer, too."""
    match call.name, call.args:
        case "look_up_ticket", {"number": int(number)}:
            return {"tickets": look_up_ticket(turn, number)}
        case "update_working_memory", patch:
            return update_working_memory(turn, patch)
    return {"error": f"There is no tool {call.name!r} that takes these arguments."}


def look_up_ticket(turn: Turn, number: int) -> list[dict[str, Any]]:
    """Return tickets, each with the number to cite it by."""
    return [
        {"cite_as": turn.cite(ticket, tool="look_up_ticket"), **ticket.data}
        for ticket in knowledge.find_tickets(turn.desk, number)
    ]


def update_working_memory(turn: Turn, patch: Any) -> dict[str, Any]:
    try:
        kept = turn.memory.update_working_memory(resource_id=turn.resource_id, patch=patch)
    except InvalidInput as error:
        return {"error": str(error)}
    return {"working_memory": kept.data}


def as_messages(calls: list[Call], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls and what they were answered, as they are remembered."""
    asked = [
        {"type": "tool-call", "tool_call_id": call.id, "tool_name": call.name, "args": call.args}
        for call in calls
    ]
    answers = [
        {"type": "tool-result", "tool_call_id": call.id, "result": result}
        for call, result in zip(calls, results, strict=True)
    ]
    return [
        {"role": "assistant", "content": asked},
        *({"role": "tool", "content": [answer]} for answer in answers),
    ]
