"""The tools of the desk. A language model calls them, and so do the rules that replace it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from example_project.desk import knowledge
from example_project.desk.turns import Turn
from mastra_engine.exceptions import InvalidInput

#: The kinds and the states of tickets.
KINDS, STATES = ("issue", "pull request", "discussion"), ("open", "closed")
#: The fields of a ticket in a list.
_LISTED = ("repository", "number", "kind", "title", "state", "author")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. A model chose the arguments, so `args` may be anything."""

    id: str
    name: str
    args: Any


def definitions(turn: Turn) -> list[dict[str, Any]]:
    """Return the definitions of the tools, in the format of OpenAI's client."""
    look_up = {
        "name": "look_up_ticket",
        "description": "Look up the tickets of a number; each repository may have one.",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer"}},
            "required": ["number"],
        },
    }
    list_tickets = {
        "name": "list_tickets",
        "description": "List the tickets of a kind and in a state; without both, all of them.",
        "parameters": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": list(KINDS)},
                "state": {"type": "string", "enum": list(STATES)},
            },
        },
    }
    return [
        {"type": "function", "function": look_up},
        {"type": "function", "function": list_tickets},
        turn.desk.memory.working_memory_tool(format="openai"),
    ]


def execute(turn: Turn, calls: list[Call]) -> list[dict[str, Any]]:
    """Execute tool calls and return their results; calls and results are saved together."""
    results = [_execute(turn, call) for call in calls]
    turn.save(calls[0].id, _messages(calls, results))
    return results


def _execute(turn: Turn, call: Call) -> dict[str, Any]:
    """Return the result of a call. An invalid call has an error as its result."""
    match call.name, call.args:
        case "look_up_ticket", {"number": int(number)}:
            return {"tickets": _look_up_ticket(turn, number)}
        case "list_tickets", dict(conditions) if _are_conditions(conditions):
            return {"tickets": _list_tickets(turn, conditions)}
        case "update_working_memory", patch:
            return _update_working_memory(turn, patch)
    return {"error": f"There is no tool {call.name!r} that takes these arguments."}


def _look_up_ticket(turn: Turn, number: int) -> list[dict[str, Any]]:
    """Return the tickets of a number, each with the number that cites it."""
    return [
        {"cite_as": turn.cite(ticket, tool="look_up_ticket"), **ticket.data}
        for ticket in knowledge.find_tickets(turn.desk, number)
    ]


def _are_conditions(args: dict[str, Any]) -> bool:
    """Return whether these are arguments of `list_tickets`."""
    return args.get("kind") in (None, *KINDS) and args.get("state") in (None, *STATES)


def _list_tickets(turn: Turn, conditions: dict[str, Any]) -> list[dict[str, Any]]:
    """Return tickets without their texts, each with the number that cites it."""
    return [
        {
            "cite_as": turn.cite(ticket, tool="list_tickets"),
            **{field: ticket.data[field] for field in _LISTED},
        }
        for ticket in knowledge.list_tickets(
            turn.desk, kind=conditions.get("kind"), state=conditions.get("state")
        )
    ]


def _update_working_memory(turn: Turn, patch: Any) -> dict[str, Any]:
    try:
        memory = turn.memory.update_working_memory(resource_id=turn.resource_id, patch=patch)
    except InvalidInput as error:
        return {"error": str(error)}
    return {"working_memory": memory.data}


def _messages(calls: list[Call], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return calls and their results as messages of a thread."""
    call_parts = [
        {"type": "tool-call", "tool_call_id": call.id, "tool_name": call.name, "args": call.args}
        for call in calls
    ]
    result_parts = [
        {"type": "tool-result", "tool_call_id": call.id, "result": result}
        for call, result in zip(calls, results, strict=True)
    ]
    return [
        {"role": "assistant", "content": call_parts},
        *({"role": "tool", "content": [part]} for part in result_parts),
    ]
