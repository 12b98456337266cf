"""Real graphs keep their state in the project's database and transactions."""

from __future__ import annotations

from operator import add
from typing import Annotated, Any, TypedDict

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from mastra_engine.contrib.langgraph.models import ChannelValue, Checkpoint, Write
from tests.frameworks.langgraph.agents import DELTA, FULL, agent, message, texts, thread
from tests.waiting import wait_until

channels = pytest.mark.parametrize("channel", [DELTA, FULL], ids=["delta", "full"])


@channels
def test_a_conversation_goes_on_in_the_next_process(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    for turn in range(3):
        agent(DjangoCheckpointer(), channel=channel).invoke(
            message(f"question {turn}"), thread("a")
        )
    state = agent(saver, channel=channel).get_state(thread("a"))
    assert texts(state) == [
        *("question 0", "answer 1"),
        *("question 1", "answer 3"),
        *("question 2", "answer 5"),
    ]


@channels
async def test_a_conversation_goes_on_asynchronously(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graph = agent(saver, channel=channel)
    for turn in range(3):
        await graph.ainvoke(message(f"question {turn}"), thread("a"))
    assert len(texts(await graph.aget_state(thread("a")))) == 6
    assert len([item async for item in graph.aget_state_history(thread("a"))]) == 9


@channels
def test_the_state_is_that_of_the_framework_after_each_turn(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graphs = agent(saver, channel=channel), agent(InMemorySaver(), channel=channel)
    for turn in range(5):
        for graph in graphs:
            graph.invoke(message(f"question {turn}"), thread("a"))
        ours, others = ([*graph.get_state_history(thread("a"))] for graph in graphs)
        assert [texts(s) if s.values else [] for s in ours] == [
            texts(s) if s.values else [] for s in others
        ]
        assert [s.metadata for s in ours] == [s.metadata for s in others]
        assert [s.next for s in ours] == [s.next for s in others]


@channels
def test_an_older_checkpoint_continues_in_a_branch_of_its_own(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graph = agent(saver, channel=channel)
    for turn in range(3):
        graph.invoke(message(f"question {turn}"), thread("a"))
    older = next(
        s for s in graph.get_state_history(thread("a")) if len(texts(s)) == 2 and not s.next
    )
    graph.invoke(message("another question"), older.config)
    assert texts(graph.get_state(thread("a"))) == [
        *("question 0", "answer 1"),
        *("another question", "answer 3"),
    ]


@channels
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_all_kinds_of_durability(saver: DjangoCheckpointer, channel: Any, durability: str) -> None:
    graph = agent(saver, channel=channel)
    for turn in range(3):
        graph.invoke(message(f"question {turn}"), thread("a"), durability=durability)
    assert len(texts(graph.get_state(thread("a")))) == 6
    with transaction.atomic():
        graph.invoke(message("undone"), thread("a"), durability=durability)
        transaction.set_rollback(True)
    assert len(texts(graph.get_state(thread("a")))) == 6


# The caller's transaction


@channels
def test_a_rollback_takes_the_turn_with_it(saver: DjangoCheckpointer, channel: Any) -> None:
    graph = agent(saver, channel=channel)
    graph.invoke(message("kept"), thread("a"))
    with transaction.atomic():
        graph.invoke(message("undone"), thread("a"))
        graph.invoke(message("undone"), thread("b"))
        assert len(texts(graph.get_state(thread("a")))) == 4
        transaction.set_rollback(True)
    assert texts(graph.get_state(thread("a"))) == ["kept", "answer 1"]
    assert not graph.get_state(thread("b")).values


def test_a_rollback_to_a_savepoint_takes_the_turn_with_it(saver: DjangoCheckpointer) -> None:
    graph = agent(saver)
    with transaction.atomic():
        graph.invoke(message("kept"), thread("a"))
        with transaction.atomic():
            graph.invoke(message("undone"), thread("a"))
            transaction.set_rollback(True)
    assert texts(graph.get_state(thread("a"))) == ["kept", "answer 1"]


@channels
def test_a_rollback_takes_an_asynchronous_turn_with_it(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graph = agent(saver, channel=channel)

    @async_to_sync
    async def turn() -> None:
        await graph.ainvoke(message("undone"), thread("a"))

    with transaction.atomic():
        turn()
        assert len(texts(graph.get_state(thread("a")))) == 2
        transaction.set_rollback(True)
    assert not graph.get_state(thread("a")).values


def test_threads_of_a_graph_leave_no_connection_open(saver: DjangoCheckpointer) -> None:
    def backends() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            )
            return int(cursor.fetchone()[0])

    before = backends()
    for turn in range(5):
        agent(saver).invoke(message(f"question {turn}"), thread("a"))
        branching(saver).invoke({"items": [100]}, thread("b"))
    wait_until(lambda: backends() == before)  # a server process ends after its connection


def test_a_thread_of_ones_own_keeps_its_transaction(saver: DjangoCheckpointer) -> None:
    """The checkpointer is called in a thread that has a copy of this context, and a transaction."""
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    graph = agent(saver)
    graph.get_state(thread("a"))  # this thread's connection is known in the context

    def undone() -> None:
        try:
            with transaction.atomic():
                graph.invoke(message("undone"), thread("a"))
                transaction.set_rollback(True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor() as executor:
        executor.submit(copy_context().run, undone).result()
    assert not graph.get_state(thread("a")).values


# Other graphs


def test_an_interrupted_graph_resumes(saver: DjangoCheckpointer) -> None:
    class State(TypedDict):
        answers: Annotated[list[str], add]

    def ask(state: State) -> dict[str, Any]:
        return {"answers": [interrupt("What is your name?")]}

    def graph(saver: Any) -> Any:
        builder = StateGraph(State)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", END)
        return builder.compile(checkpointer=saver)

    graph(saver).invoke({"answers": []}, thread("a"))
    (task,) = graph(saver).get_state(thread("a")).tasks
    assert task.interrupts[0].value == "What is your name?"
    result = graph(DjangoCheckpointer()).invoke(Command(resume="Ada"), thread("a"))
    assert result["answers"] == ["Ada"]


class Items(TypedDict):
    items: Annotated[list[int], add]


def branching(saver: Any) -> Any:
    """Return a graph that runs six subgraphs in parallel."""
    inner = StateGraph(Items)
    inner.add_node("square", lambda state: {"items": [state["items"][-1] ** 2]})
    inner.add_edge(START, "square")
    outer = StateGraph(Items)
    outer.add_node("each", inner.compile())
    outer.add_node("collect", lambda state: {"items": [sum(state["items"])]})
    outer.add_conditional_edges(
        START, lambda state: [Send("each", {"items": [n]}) for n in range(6)]
    )
    outer.add_edge("each", "collect")
    return outer.compile(checkpointer=saver)


@pytest.mark.parametrize("atomic", [True, False])
def test_parallel_tasks_and_subgraphs_join_the_transaction(
    saver: DjangoCheckpointer, atomic: bool
) -> None:
    def run(saver: Any) -> Any:
        graph = branching(saver)
        graph.invoke({"items": [100]}, thread("a"))
        return [state.values for state in graph.get_state_history(thread("a"))]

    expected = run(InMemorySaver())
    if not atomic:
        assert run(saver) == expected
        return
    with transaction.atomic():
        assert run(saver) == expected
        transaction.set_rollback(True)
    assert not any(model.objects.exists() for model in (Checkpoint, ChannelValue, Write))


def test_a_thread_begun_with_another_checkpointer_goes_on(saver: DjangoCheckpointer) -> None:
    memory = InMemorySaver()
    agent(memory).invoke(message("before"), thread("a"))
    for item in reversed([*memory.list(thread("a"))]):
        saver.put(
            item.parent_config or thread("a"),
            item.checkpoint,
            item.metadata,
            item.checkpoint["channel_versions"],
        )
        for task_id, channel, value in item.pending_writes:
            saver.put_writes(item.config, [(channel, value)], f"{task_id}:{channel}")
    agent(saver).invoke(message("after"), thread("a"))
    state = agent(saver).get_state(thread("a"))
    assert texts(state) == ["before", "answer 1", "after", "answer 3"]
