"""engine_index: its output and its exit status."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from mastra_engine import MockMastraEngine, engine, index_records
from mastra_engine.registry import registry
from mastra_engine.testing.contract.recall import BagOfWords
from tests.commands.test_sync import Terminal

PATH = f"{BagOfWords.__module__}.{BagOfWords.__qualname__}"
MOCK = {
    "BACKEND": "mastra_engine.MockMastraEngine",
    "URL": "mock://engine_index",
    "EMBEDDER": PATH,
}


@pytest.fixture(autouse=True)
def _notes() -> Iterator[None]:
    """Two notes of ann and one of bob, which wait."""
    with registry.empty(), override_settings(MASTRA_ENGINE={"default": MOCK}):
        MockMastraEngine(url=MOCK["URL"]).reset()
        index_records(entity="Notes", index="notes", text=lambda data: data["text"])
        engine.record_search.indexes_at_once = False
        for connection, number in (("ann", 2), ("bob", 1)):
            records: list[Any] = [
                {"external_id": str(n), "data": {"text": f"note {n}"}} for n in range(number)
            ]
            engine.sync_records(name="Notes", connection_id=connection, records=records)
        yield


def call(*arguments: str, out: StringIO | None = None) -> str:
    out = out or StringIO()
    call_command("engine_index", *arguments, stdout=out)
    return out.getvalue()


def test_it_indexes_and_says_how_far_that_is() -> None:
    assert call("--connection", "ann") == (
        "2 changes indexed.\n  'Notes' in 'notes': 0 pending, complete for 1 of 1 connections\n"
    )
    assert call() == (
        "1 changes indexed.\n  'Notes' in 'notes': 0 pending, complete for 2 of 2 connections\n"
    )
    assert call("--entity", "Notes", "--index", "notes").startswith("0 changes indexed.")
    assert call("--rebuild").startswith("3 changes indexed.")


def test_a_terminal_sees_it_advance() -> None:
    out = call(out=Terminal())
    assert "\r2 of 3 changes indexed." in out
    assert "\r3 of 3 changes indexed." in out
    assert "\r2 changes indexed." in call("--rebuild", out=Terminal())


@pytest.mark.django_db(transaction=True)
@override_settings(MASTRA_ENGINE={"default": {"BACKEND": "mastra_engine.PostgresEngine"}})
def test_what_is_broken_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mastra_engine.management.commands.engine_index.POLL", 0.001)
    for name in ("a", "b", "empty", "whole"):
        engine.vectors.create_index(index_name=name, dimension=3, index_type="ivfflat")
        if name != "empty":
            engine.vectors.upsert(index_name=name, vectors=[[1, 0, 0]])
    engine.vectors.build_index(index_name="whole")
    assert call("--build", "--index", "b") == "The index 'b' was missing, and is ready.\n"
    out = call("--build", out=Terminal())
    assert "\r'a': 0% built." in out
    assert out.endswith("The index 'a' was missing, and is ready.\n")
    assert call("--build") == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--index", "mails"], "declared"), (["--connection", ""], "/connection_id")],
)
def test_what_is_refused_is_one_message(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call(*arguments)


def test_a_record_that_cannot_be_indexed_is_named() -> None:
    records: list[Any] = [{"external_id": "odd", "data": {}}]
    engine.sync_records(name="Notes", connection_id="cid", records=records)
    with pytest.raises(KeyError) as raised:
        call()
    assert raised.value.__notes__ == ["While indexing the record 'odd' of 'Notes' in 'notes'."]
    assert call("--connection", "ann").startswith("0 changes indexed.")


def test_it_embeds_messages() -> None:
    memory = engine.memory
    memory.embeds_at_once = False
    messages: list[Any] = [{"role": "user", "content": text} for text in ("a dog", "a cat")]
    memory.save_memory(thread_id="chat", resource_id="ann", messages=messages)
    assert call("--messages") == "2 messages embedded.\n"
    assert call("--messages") == "0 messages embedded.\n"
    assert call("--messages", "--rebuild") == "2 messages embedded.\n"
    for other in (["--entity", "Notes"], ["--connection", "ann"], ["--index", "x"], ["--build"]):
        with pytest.raises(CommandError, match="--messages"):
            call("--messages", *other)


def test_it_indexes_state() -> None:
    for key in ("a", "b"):
        engine.state.put(namespace=("ann",), key=key, value={"said": "tea"})
    engine.state.index_pending()
    engine.state.store.mark_all_unindexed()
    assert call("--state") == "2 items indexed.\n"
    assert call("--state") == "0 items indexed.\n"
    assert call("--state", "--rebuild") == "2 items indexed.\n"
    with pytest.raises(CommandError, match="--state"):
        call("--state", "--entity", "Notes")
    with pytest.raises(CommandError, match="not allowed with"):
        call("--state", "--messages")


def test_it_indexes_facts() -> None:
    cities: list[Any] = [
        {"subject": "Ann", "predicate": "knows", "object": city, "many": True}
        for city in ("Rome", "Berlin")
    ]
    engine.facts.remember(resource_id="ann", facts=cities)
    engine.facts.index_pending()
    engine.facts.store.mark_all_unindexed()
    assert call("--facts") == "2 facts indexed.\n"
    assert call("--facts") == "0 facts indexed.\n"
    assert call("--facts", "--rebuild") == "2 facts indexed.\n"
    (match,) = engine.facts.search(resource_id="ann", query="Rome", top_k=1)
    assert match.fact.object == "Rome"
    with pytest.raises(CommandError, match="--facts"):
        call("--facts", "--connection", "ann")
    with pytest.raises(CommandError, match="not allowed with"):
        call("--facts", "--state")
