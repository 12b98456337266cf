"""Values survive, and those that cannot are refused before anything is stored."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import uuid
from typing import Any

import pytest
from django.test.utils import override_settings
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command, Interrupt, Overwrite, Send

from mastra_engine.contrib.langgraph import DjangoCheckpointer
from mastra_engine.contrib.langgraph.models import ChannelValue, Checkpoint, Write
from mastra_engine.exceptions import CalledInEventLoop, EngineConfigError, InvalidInput
from tests.frameworks.langgraph.agents import thread

pytestmark = pytest.mark.django_db


@dataclasses.dataclass
class Plan:
    steps: list[str]


def put(value: Any, *, saver: DjangoCheckpointer | None = None, **metadata: Any) -> Any:
    checkpoint = {
        **empty_checkpoint(),
        "channel_values": {"kept": 1, "value": value},
        "channel_versions": {"kept": 1, "value": 1},
    }
    saver = saver or DjangoCheckpointer()
    return saver.put(
        {"configurable": {"thread_id": "a", "checkpoint_ns": ""}},
        checkpoint,
        {"source": "loop", "step": 1, "parents": {}, **metadata},
        {"kept": 1, "value": 1},
    )


@pytest.mark.parametrize(
    "value",
    [
        "with NUL \0 inside",
        b"\0\xff",
        ["\0", {"\0": "\0"}],
        10**18,
        float("inf"),
        {1: "a", "1": "b"},
        datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
        decimal.Decimal("1.10"),
        uuid.UUID(int=7),
        {1, 2},
        [HumanMessage("hi", id="1"), AIMessage("\0", id="2"), ToolMessage("x", tool_call_id="3")],
        Interrupt(value={"why": "?"}, id="i"),
        Overwrite(value=[1]),
        Send("node", {"a": 1}),
        Command(goto="node"),
        "x" * 5_000_000,
    ],
    ids=lambda value: f"{type(value).__name__} {value!r:.16}",
)
def test_values_survive(value: Any) -> None:
    config = put(value)
    saver = DjangoCheckpointer()
    saver.put_writes(config, [("value", value)], "task")
    stored = saver.get_tuple(config)
    assert stored.checkpoint["channel_values"]["value"] == value
    assert stored.pending_writes == [("task", "value", value)]


def test_none_survives() -> None:
    assert DjangoCheckpointer().get_tuple(put(None)).checkpoint["channel_values"]["value"] is None


@pytest.mark.parametrize(
    "value",
    [
        "\0",
        {"\0": 1},
        {"nested": ["\0", (1, 2)]},
        2**64 - 1,
        float("-inf"),
        {1: 2},
        uuid.UUID(int=1),
    ],
    ids=repr,
)
def test_metadata_survive(value: Any) -> None:
    stored = DjangoCheckpointer().get_tuple(put(1, custom={"value": value}))
    expected = JsonPlusSerializer()
    assert stored.metadata["custom"] == expected.loads_typed(expected.dumps_typed({"value": value}))


class Unknown:
    pass


def cyclic() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return value


def deep() -> Any:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    return value


def never_serializable() -> list[Any]:
    return [Unknown(), {"a": [Unknown()]}, lambda: None, cyclic(), deep(), {2**70: 1}]


@pytest.mark.parametrize("value", never_serializable(), ids=lambda value: type(value).__name__)
def test_unserializable_values_are_refused_whole(value: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        put(value)
    assert refusal.value.path == "/checkpoint/channel_values/value"
    config = put("stored")
    with pytest.raises(InvalidInput) as refusal:
        DjangoCheckpointer().put_writes(config, [("kept", 1), ("value", value)], "task")
    assert refusal.value.path == "/writes/1/1"
    assert (Checkpoint.objects.count(), ChannelValue.objects.count()) == (1, 2)
    assert not Write.objects.exists()


def test_unserializable_metadata_are_refused_whole() -> None:
    with pytest.raises(InvalidInput, match="/checkpoint"):
        put(1, custom={"unknown": Unknown()})
    assert not ChannelValue.objects.exists()


def test_huge_values_are_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.contrib.langgraph.serialization.MAX_BYTES", 1_000)
    with pytest.raises(InvalidInput, match="at most 1,000 fit") as refusal:
        put("x" * 1_000)
    assert refusal.value.path == "/checkpoint/channel_values/value"
    assert not Checkpoint.objects.exists()


# Types are restored from the allow-list only, and nothing is pickled


def test_types_outside_of_the_allow_list_are_not_restored() -> None:
    stored = DjangoCheckpointer().get_tuple(put(Plan(["a"])))
    assert stored.checkpoint["channel_values"]["value"] == {"steps": ["a"]}
    assert {value.type for value in ChannelValue.objects.all()} == {"msgpack"}


def test_allowed_types_are_restored() -> None:
    serde = JsonPlusSerializer(allowed_msgpack_modules=[Plan])
    stored = DjangoCheckpointer(serde=serde).get_tuple(put(Plan(["a"])))
    assert stored.checkpoint["channel_values"]["value"] == Plan(["a"])


def test_the_allow_list_can_be_extended_as_the_framework_does() -> None:
    saver = DjangoCheckpointer().with_allowlist([(Plan.__module__, "Plan")])
    assert saver.get_tuple(put(Plan(["a"]))).checkpoint["channel_values"]["value"] == Plan(["a"])


def test_pickled_values_are_not_read() -> None:
    config = put(1)
    ChannelValue.objects.filter(channel="value").update(type="pickle", value=b"\x80\x04N.")
    with pytest.raises(NotImplementedError, match="pickle"):
        DjangoCheckpointer().get_tuple(config)


# Arguments


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({}, "/config"),
        (None, "/config"),
        ({"configurable": {}}, "/config/configurable/thread_id"),
        (thread("a\0"), "/config/configurable/thread_id"),
        (thread("x" * 513), "/config/configurable/thread_id"),
        (thread(["a"]), "/config/configurable/thread_id"),
        (
            {"configurable": {"thread_id": "a", "checkpoint_ns": "\ud800"}},
            "/config/configurable/checkpoint_ns",
        ),
        (
            {"configurable": {"thread_id": "a", "checkpoint_id": 1.5}},
            "/config/configurable/checkpoint_id",
        ),
    ],
    ids=lambda value: f"{value!s:.40}",
)
def test_a_bad_configuration_names_the_place(config: Any, path: str) -> None:
    saver = DjangoCheckpointer()
    calls = [
        lambda: saver.get_tuple(config),
        lambda: saver.put(config, empty_checkpoint(), {}, {}),
        lambda: saver.put_writes(config, [("a", 1)], "task"),
        lambda: saver.get_delta_channel_history(config=config, channels=["a"]),
    ]
    for call in calls:
        with pytest.raises(InvalidInput) as refusal:
            call()
        assert refusal.value.path == path


def test_bad_versions_and_ids_name_the_place() -> None:
    saver, config = DjangoCheckpointer(), thread("a")
    for part, path in [
        ({"id": ""}, "/checkpoint/id"),
        ({"channel_versions": {"a": None}}, "/checkpoint/channel_versions/a"),
        ({"channel_versions": {"a": "\0"}}, "/checkpoint/channel_versions/a"),
    ]:
        with pytest.raises(InvalidInput) as refusal:
            saver.put(config, {**empty_checkpoint(), **part}, {}, {})
        assert refusal.value.path == path
    with pytest.raises(InvalidInput, match="/strategy"):
        saver.prune(["a"], strategy="some")
    with pytest.raises(InvalidInput, match="/config/configurable/checkpoint_id"):
        saver.put_writes(config, [("a", 1)], "task")


def test_a_thread_may_be_named_by_a_number() -> None:
    saver = DjangoCheckpointer()
    stored = saver.put(thread(7), empty_checkpoint(), {}, {})
    assert stored["configurable"]["thread_id"] == "7"
    assert saver.get_tuple(thread("7")) == saver.get_tuple(thread(7)) is not None


def test_deletions_touch_no_other_thread() -> None:
    saver = DjangoCheckpointer()
    for name in ("a", "a%", "a_", "ab", "A"):
        saver.put(thread(name), empty_checkpoint(), {}, {})
    saver.delete_thread("a%")
    saver.delete_thread("a_")
    assert {item.config["configurable"]["thread_id"] for item in saver.list(None)} == {
        *("a", "ab", "A")
    }


# Configuration


def test_the_missing_app_is_named() -> None:
    expected = pytest.raises(EngineConfigError, match=r'Add "mastra_engine\.contrib\.langgraph" to')
    with override_settings(INSTALLED_APPS=["mastra_engine"]), expected:
        DjangoCheckpointer()


def test_an_unknown_alias_is_named() -> None:
    with pytest.raises(EngineConfigError, match="'archive'"):
        DjangoCheckpointer(using="archive")


async def test_synchronous_methods_are_refused_in_a_coroutine() -> None:
    saver = DjangoCheckpointer()
    for call in (
        lambda: saver.get_tuple(thread("a")),
        lambda: saver.list(thread("a")),
        lambda: saver.put_writes(thread("a"), [], "task"),
    ):
        with pytest.raises(CalledInEventLoop, match=r"use a\w+\(\) instead"):
            call()
