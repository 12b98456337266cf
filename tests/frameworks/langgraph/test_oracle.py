"""The checkpointer answers as LangGraph's own in-memory checkpointer does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from tests.frameworks.langgraph.histories import (
    CHANNELS,
    NAMESPACES,
    THREADS,
    History,
    comparable,
)
from tests.frameworks.random_operations import seeds

#: Random operations in one history.
OPERATIONS = 1_000


def places() -> list[Any]:
    return [
        {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace}}
        for thread_id in THREADS
        for namespace in NAMESPACES
    ]


@pytest.mark.parametrize("seed", seeds(OPERATIONS))
def test_random_histories_leave_no_difference(db: None, seed: int) -> None:
    ours, others = DjangoCheckpointer(), InMemorySaver()
    history = History([ours, others], seed)
    for operation in range(OPERATIONS):
        history.step()
        if history.stored and operation % 5 == 0:
            compare_one(history, ours, others)
    compare_lists(history, ours, others)


def compare_one(history: History, ours: Any, others: Any) -> None:
    config, _ = history.random.choice(history.stored)
    if history.random.random() < 0.3:
        config = history.random.choice(places())
    assert comparable(ours.get_tuple(config)) == comparable(others.get_tuple(config))
    channels = history.random.sample(CHANNELS, history.random.randint(0, 4))
    expected = others.get_delta_channel_history(config=config, channels=channels)
    assert ours.get_delta_channel_history(config=config, channels=channels) == expected
    inherited = BaseCheckpointSaver.get_delta_channel_history
    assert inherited(ours, config=config, channels=channels) == expected


def compare_lists(history: History, ours: Any, others: Any) -> None:
    filters = {}, {"source": "loop"}, {"step": 2, "source": "input"}, {"missing": None}
    for place in places():
        before, _ = history.random.choice(history.stored)
        for options in ({}, {"limit": 3}, {"limit": 0}, {"before": before}):
            options["filter"] = history.random.choice(filters)
            assert [comparable(item) for item in ours.list(place, **options)] == [
                comparable(item) for item in others.list(place, **options)
            ]
    everything = sorted((comparable(item) for item in others.list(None)), key=by_id, reverse=True)
    assert [comparable(item) for item in ours.list(None)] == everything


def by_id(checkpoint: Any) -> tuple[str, ...]:
    place = checkpoint[0]
    return place["checkpoint_id"], place["thread_id"], place["checkpoint_ns"]


async def test_asynchronous_calls_answer_alike(saver: DjangoCheckpointer) -> None:
    memory = InMemorySaver()
    history = await asyncio.to_thread(stored_history, saver, memory)
    for config, _ in history.stored:
        assert comparable(await saver.aget_tuple(config)) == comparable(memory.get_tuple(config))
        options = {"config": config, "channels": CHANNELS}
        assert await saver.aget_delta_channel_history(
            **options
        ) == memory.get_delta_channel_history(**options)
    for place in places():
        assert [comparable(item) async for item in saver.alist(place)] == [
            comparable(item) for item in memory.list(place)
        ]


def stored_history(*savers: Any) -> History:
    history = History(savers, seed=1)
    for _ in range(200):
        history.step()
    return history
