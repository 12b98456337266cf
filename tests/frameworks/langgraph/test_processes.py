"""Checkpointers in threads and processes, some of which are killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from mastra_engine.exceptions import Unavailable
from tests.concurrency.conftest import Start
from tests.frameworks.langgraph import work
from tests.frameworks.langgraph.agents import DELTA, FULL, agent, message, texts, thread
from tests.waiting import wait_until_gone

THREADS, CALLS = 16, 10
channels = pytest.mark.parametrize("channel", [DELTA, FULL], ids=["delta", "full"])


def in_threads(function: Any) -> list[Any]:
    """Call the function in 16 threads at once, with their numbers."""
    with ThreadPoolExecutor(THREADS) as executor:
        return [*executor.map(function, range(THREADS))]


def test_threads_that_store_in_one_conversation_lose_nothing(saver: DjangoCheckpointer) -> None:
    def store(number: int) -> dict[str, tuple[str, str]]:
        stored = {}
        for call in range(CALLS):
            name = f"{number} {call}"
            version = saver.get_next_version(call or None, None)
            checkpoint = {
                **empty_checkpoint(),
                "id": str(uuid6(clock_seq=number)),
                "channel_values": {"shared": name},
                "channel_versions": {"shared": version},
            }
            config = saver.put(thread("a"), checkpoint, {"step": call}, {"shared": version})
            saver.put_writes(config, [("shared", name), ("other", name)], f"task {name}")
            stored[checkpoint["id"]] = name
        return stored

    stored = {id: name for part in in_threads(store) for id, name in part.items()}
    values_by_key = {item.checkpoint["id"]: item for item in saver.list(thread("a"))}
    assert values_by_key.keys() == stored.keys()
    for id, name in stored.items():
        assert values_by_key[id].checkpoint["channel_values"] == {"shared": name}
        writes = [(f"task {name}", channel, name) for channel in ("shared", "other")]
        assert values_by_key[id].pending_writes == writes


def test_threads_that_write_after_one_checkpoint_lose_nothing(saver: DjangoCheckpointer) -> None:
    config = saver.put(thread("a"), empty_checkpoint(), {}, {})

    def write(number: int) -> None:
        for call in range(CALLS):
            saver.put_writes(config, [("a", number), ("b", call)], f"{number} {call}")

    in_threads(write)
    assert len(saver.get_tuple(config).pending_writes) == THREADS * CALLS * 2


def test_agents_in_one_conversation_lose_nothing(saver: DjangoCheckpointer) -> None:
    # With delta channels LangGraph itself mixes up what runs write after the same checkpoint.
    graph = agent(saver, channel=FULL)

    def converse(number: int) -> list[Any]:
        return [
            graph.invoke(message(f"{number} {turn}"), thread("a"))["messages"] for turn in range(2)
        ]

    conversations = [turn for part in in_threads(converse) for turn in part]
    states = [*graph.get_state_history(thread("a"))]
    assert len(states) == THREADS * 2 * 3
    stored = [state.values["messages"] for state in states if state.values and not state.next]
    for messages in conversations:
        assert messages in stored


def test_concurrent_deletions_do_not_fail(saver: DjangoCheckpointer) -> None:
    graph = agent(saver, channel=FULL)

    def work(number: int) -> None:
        for turn in range(4):
            if number % 4 == 0:
                saver.prune(["a", "b"])
            elif number % 4 == 1:
                saver.prune(["b", "a"], strategy="delete")
            else:
                graph.invoke(message(f"{number} {turn}"), thread("ab"[number % 2]))

    in_threads(work)
    graph.invoke(message("after all"), thread("a"))
    assert texts(graph.get_state(thread("a")))[-2] == "after all"


def test_a_lost_connection_is_replaced(saver: DjangoCheckpointer) -> None:
    graph = agent(saver)
    for turn in range(3):
        lose_connection()
        graph.invoke(message(f"question {turn}"), thread("a"))
    lose_connection()
    assert len(texts(graph.get_state(thread("a")))) == 6


def test_a_lost_connection_in_a_transaction_is_not_replaced(
    saver: DjangoCheckpointer,
) -> None:
    def converse() -> None:
        with transaction.atomic():
            saver.put(thread("a"), empty_checkpoint(), {}, {})
            lose_connection()
            saver.put(thread("a"), empty_checkpoint(), {}, {})

    with pytest.raises(Unavailable):
        converse()
    assert not [*saver.list(None)]


def lose_connection() -> None:
    """End the session of this thread's connection, as a server does that restarts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with ThreadPoolExecutor() as executor:
        executor.submit(terminate, pid).result()


def terminate(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    connection.close()
    wait_until_gone(pid)
    connection.close()


@channels
def test_a_killed_process_leaves_a_readable_conversation(
    saver: DjangoCheckpointer, start: Start, channel: Any
) -> None:
    graph, before = agent(saver, channel=channel), 0
    for _ in range(4):
        arguments = {"delta": channel is DELTA, "turns": 20}
        (worker,) = start(work.converse, [arguments])
        worker.kill_somewhere(steps=6)
        state = graph.get_state(thread("a"))
        said_or_answered = [message.type for message in state.values["messages"]]
        # A question without an answer is one whose process was killed before the answer.
        assert said_or_answered.count("human") - said_or_answered.count("ai") in range(5)
        assert len(said_or_answered) >= before + 2
        before = len(said_or_answered)
        for item in saver.list(thread("a"), limit=5):
            graph.get_state(item.config)
    graph.invoke(message("after all"), thread("a"))
    assert texts(graph.get_state(thread("a")))[-2] == "after all"
