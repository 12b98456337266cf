"""What checkpoints cost: statements, bytes, and what deletions leave."""

from __future__ import annotations

from random import Random
from string import ascii_letters
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph.message import _messages_delta_reducer

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from mastra_engine.contrib.langgraph.models import ChannelValue, Checkpoint, Write
from tests.frameworks.langgraph.agents import DELTA, FULL, agent, message, texts, thread

MODELS = (Checkpoint, ChannelValue, Write)
TURNS = 200


def random_text(random: Random, length: int = 1_000) -> str:
    return "".join(random.choices(ascii_letters + " ", k=length))


def stored_bytes() -> int:
    """Return the bytes of all rows, with the columns that identify them."""
    total = 0
    with connection.cursor() as cursor:
        for model in MODELS:
            cursor.execute(f"SELECT sum(pg_column_size(t.*)) FROM {model._meta.db_table} t")
            total += cursor.fetchone()[0]
    return total


def test_delta_channels_store_at_most_3_percent_of_full_checkpoints(
    saver: DjangoCheckpointer,
) -> None:
    sizes = []
    for channel in (DELTA, FULL):
        random = Random(1)
        answers = (random_text(random) for _ in range(TURNS))
        graph = agent(saver, channel=channel, answers=answers)
        for _ in range(TURNS):
            graph.invoke(message(random_text(random)), thread("a"))
        assert len(texts(graph.get_state(thread("a")))) == 2 * TURNS
        sizes.append(stored_bytes())
        with connection.cursor() as cursor:
            names = ", ".join(model._meta.db_table for model in MODELS)
            cursor.execute(f"TRUNCATE {names}")
    delta, full = sizes
    assert delta <= 0.03 * full, (delta, full)


@pytest.mark.django_db
def test_each_operation_is_one_statement() -> None:
    saver, config = DjangoCheckpointer(), thread("a")
    checkpoint = {
        **empty_checkpoint(),
        "channel_values": {"a": 1, "b": 2},
        "channel_versions": {"a": 1, "b": 1},
    }
    calls: dict[str, Any] = {
        "put": lambda: saver.put(config, checkpoint, {"run_id": "r"}, {"a": 1, "b": 1}),
        "put_writes": lambda: saver.put_writes(at, [("a", 1), ("b", 2), ("c", 3)], "task"),
        "get_tuple": lambda: saver.get_tuple(config),
        "list": lambda: [*saver.list(config)],
        "history": lambda: saver.get_delta_channel_history(config=config, channels=["c", "d"]),
        "copy_thread": lambda: saver.copy_thread("a", "b"),
        "prune": lambda: saver.prune(["a", "b"]),
        "delete_for_runs": lambda: saver.delete_for_runs(["r"]),
        "delete_thread": lambda: saver.delete_thread("a"),
    }
    at = saver.put(config, checkpoint, {}, {"a": 1, "b": 1})
    for name, call in calls.items():
        with CaptureQueriesContext(
            connection,
        ) as queries:
            call()
        assert len(queries) == 1, name


@pytest.mark.django_db
def test_the_history_of_delta_channels_is_one_statement_however_long() -> None:
    saver, config = DjangoCheckpointer(), thread("a")
    for number in range(300):
        checkpoint = {**empty_checkpoint(), "id": str(uuid6(clock_seq=number))}
        config = saver.put(config, checkpoint, {}, {})
        saver.put_writes(config, [("a", number)], "task")
    with CaptureQueriesContext(connection) as queries:
        history = saver.get_delta_channel_history(config=config, channels=["a"])
    assert len(queries) == 1
    assert [value for _, _, value in history["a"]["writes"]] == [*range(299)]


@pytest.mark.django_db
def test_reads_use_the_indexes_of_the_keys() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO mastra_langgraph_checkpoint (thread_id, checkpoint_ns, checkpoint_id,
                parent_id, channel_versions, metadata, type, value)
            SELECT 't' || i / 100, '', lpad(i::text, 8, '0'), lpad((i - 1)::text, 8, '0'),
                jsonb_build_object('a', i, 'b', i), '{}', 'msgpack', %s
            FROM generate_series(0, 9999) AS i;
            INSERT INTO mastra_langgraph_channelvalue
                (thread_id, checkpoint_ns, channel, version, type, value)
            SELECT 't' || i / 100, '', 'b', i::text, 'null', '' FROM generate_series(0, 9999) AS i;
            INSERT INTO mastra_langgraph_write (thread_id, checkpoint_ns, checkpoint_id, task_id,
                task_path, position, channel, type, value)
            SELECT 't' || i / 100, '', lpad(i::text, 8, '0'), 'task', '', 0, 'a', 'null', ''
            FROM generate_series(0, 9999) AS i;
            ANALYZE mastra_langgraph_checkpoint, mastra_langgraph_channelvalue,
                mastra_langgraph_write
            """,
            [JsonPlusSerializer().dumps_typed([{}, {}])[1]],
        )
    saver, config = DjangoCheckpointer(), thread("t7")
    for call in (
        lambda: saver.get_tuple(config),
        lambda: [*saver.list(config, limit=50)],
        lambda: saver.get_delta_channel_history(config=config, channels=["a", "b"]),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert call()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {queries[0]['sql'].replace('%', '%%')}", [])
            plan = "\n".join(line for (line,) in cursor.fetchall())
        assert "Seq Scan" not in plan, plan


@pytest.mark.django_db
def test_a_value_is_stored_once_for_all_checkpoints() -> None:
    saver, config = DjangoCheckpointer(), thread("a")
    versions = {"a": 1}
    for number in range(3):
        checkpoint = {
            **empty_checkpoint(),
            "id": str(uuid6(clock_seq=number)),
            "channel_values": {"a": "the same"},
            "channel_versions": versions,
        }
        config = saver.put(config, checkpoint, {}, versions if number == 0 else {})
    assert ChannelValue.objects.count() == 1
    values = [item.checkpoint["channel_values"] for item in saver.list(config)]
    assert next(iter(saver.list(thread("a")))).checkpoint["channel_values"] == {"a": "the same"}
    assert values == [{"a": "the same"}]


@pytest.mark.django_db
def test_a_parent_that_is_the_checkpoint_itself_ends_the_walk() -> None:
    saver = DjangoCheckpointer()
    first, second = ({**empty_checkpoint(), "id": id} for id in ("1", "2"))
    saver.put({"configurable": {"thread_id": "a", "checkpoint_id": "2"}}, first, {}, {})
    config = saver.put({"configurable": {"thread_id": "a", "checkpoint_id": "1"}}, second, {}, {})
    saver.put_writes(config, [("a", 2)], "task")
    history = saver.get_delta_channel_history(config=config, channels=["a"])
    assert history == {"a": {"writes": [("task", "a", 2)]}}
    saver.prune(["a"])


# Deletions


FEW = DeltaChannel(_messages_delta_reducer, snapshot_frequency=5)


@pytest.mark.parametrize("channel", [DELTA, FEW, FULL], ids=["delta", "snapshots", "full"])
def test_pruned_threads_have_the_same_state_and_go_on(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graph = agent(saver, channel=channel)
    for turn in range(4):
        graph.invoke(message(f"question {turn}"), thread("a"))
        graph.invoke(message(f"question {turn}"), thread("b"))
    before = texts(graph.get_state(thread("a")))
    saver.prune(["a"])
    assert texts(graph.get_state(thread("a"))) == before
    assert len([*saver.list(thread("b"))]) == 12
    count = len([*saver.list(thread("a"))])
    assert count == 1 if channel is FULL else 1 < count <= 12
    graph.invoke(message("after"), thread("a"))
    assert texts(graph.get_state(thread("a"))) == [*before, "after", "answer 9"]
    saver.prune(["a", "b"], strategy="delete")
    assert not any(model.objects.exists() for model in MODELS)


def test_prune_keeps_no_ancestor_behind_a_snapshot(saver: DjangoCheckpointer) -> None:
    graph = agent(saver, channel=FEW)
    for turn in range(20):
        graph.invoke(message(f"question {turn}"), thread("a"))
    saver.prune(["a"])
    assert len([*saver.list(thread("a"))]) <= 2 * 5
    assert len(texts(graph.get_state(thread("a")))) == 40


@pytest.mark.parametrize("channel", [DELTA, FULL], ids=["delta", "full"])
def test_pruning_leaves_what_no_checkpoint_uses_nowhere(
    saver: DjangoCheckpointer, channel: Any
) -> None:
    graph = agent(saver, channel=channel)
    for turn in range(3):
        graph.invoke(message(f"question {turn}"), thread("a"))
    saver.prune(["a"])
    checkpoints = [*saver.list(thread("a"))]
    ids = {checkpoint.checkpoint["id"] for checkpoint in checkpoints}
    assert {write.checkpoint_id for write in Write.objects.all()} <= ids
    used = {
        (channel, str(version))
        for checkpoint in checkpoints
        for channel, version in checkpoint.checkpoint["channel_versions"].items()
    }
    assert {(value.channel, value.version) for value in ChannelValue.objects.all()} <= used


@pytest.mark.django_db
def test_writes_that_came_before_their_checkpoint_are_not_pruned() -> None:
    saver = DjangoCheckpointer()
    saver.put(thread("a"), {**empty_checkpoint(), "id": "1"}, {}, {})
    later = {"configurable": {"thread_id": "a", "checkpoint_ns": "", "checkpoint_id": "2"}}
    saver.put_writes(later, [("a", 1)], "task")
    saver.prune(["a"])
    saver.put(thread("a"), {**empty_checkpoint(), "id": "2"}, {}, {})
    assert saver.get_tuple(later).pending_writes == [("task", "a", 1)]


@pytest.mark.django_db
def test_values_of_a_deleted_run_stay_while_another_checkpoint_uses_them() -> None:
    saver, config = DjangoCheckpointer(), thread("a")
    for run, new in (("r", {"a": 1, "b": 1}), ("s", {"b": 2})):
        checkpoint = {
            **empty_checkpoint(),
            "id": run,
            "channel_values": {"a": "shared", "b": run},
            "channel_versions": {"a": 1, "b": 1, **new},
        }
        config = saver.put(config, checkpoint, {"run_id": run}, new)
    saver.delete_for_runs(["r"])
    assert [item.checkpoint["id"] for item in saver.list(None)] == ["s"]
    assert saver.get_tuple(config).checkpoint["channel_values"] == {"a": "shared", "b": "s"}
    assert ChannelValue.objects.count() == 2


@pytest.mark.parametrize("channel", [DELTA, FULL], ids=["delta", "full"])
def test_copies_go_on_on_their_own(saver: DjangoCheckpointer, channel: Any) -> None:
    graph = agent(saver, channel=channel)
    graph.invoke(message("shared"), thread("a"))
    saver.copy_thread("a", "b")
    saver.copy_thread("a", "a")
    saver.copy_thread("nothing", "c")
    graph.invoke(message("of the copy"), thread("b"))
    saver.delete_thread("a")
    assert texts(graph.get_state(thread("b"))) == ["shared", "answer 1", "of the copy", "answer 3"]
    assert {item.config["configurable"]["thread_id"] for item in saver.list(None)} == {"b"}
