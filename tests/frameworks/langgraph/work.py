"""Functions that worker processes run."""

from __future__ import annotations

from typing import Any

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from tests.concurrency.processes import report
from tests.frameworks.langgraph.agents import DELTA, FULL, agent, message, thread


def converse(*, delta: bool, turns: int) -> None:
    """Report after each turn of a conversation."""
    graph: Any = agent(DjangoCheckpointer(), channel=DELTA if delta else FULL)
    for turn in range(turns):
        graph.invoke(message(f"question {turn}"), thread("a"))
        report(turn)
