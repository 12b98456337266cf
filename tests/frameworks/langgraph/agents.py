"""An agent with a scripted model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import StateGraph
from langgraph.graph.message import _messages_delta_reducer, add_messages

DELTA = DeltaChannel(_messages_delta_reducer)
FULL = add_messages


def agent(saver: Any, *, channel: Any = DELTA, answers: Iterable[str] | None = None) -> Any:
    """Return a compiled graph with one node, which answers with the texts in turn."""
    script = iter(answers) if answers is not None else None

    # The annotations of a class would be text, evaluated where `channel` is not known.
    state_type = TypedDict("State", {"messages": Annotated[list[Any], channel]})  # noqa: UP013

    def answer(state: Any) -> dict[str, Any]:
        text = f"answer {len(state['messages'])}" if script is None else next(script)
        return {"messages": [AIMessage(text)]}

    graph = StateGraph(state_type)
    graph.add_node("answer", answer)
    graph.set_entry_point("answer")
    return graph.compile(checkpointer=saver)


def message(text: str) -> dict[str, Any]:
    return {"messages": [HumanMessage(text)]}


def thread(thread_id: str) -> Any:
    return {"configurable": {"thread_id": thread_id}}


def texts(state: Any) -> list[str]:
    return [message.content for message in state.values["messages"]]
