"""The signal `facts_changed` reports committed changes of facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.exceptions import IdempotencyConflict, InvalidInput
from mastra_engine.signals import facts_changed
from mastra_engine.types import Fact, FactInput
from tests.integration.conftest import Received, receiving

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signals() -> Iterator[Received]:
    """Collect the arguments of the signals."""
    with receiving(facts_changed) as received:
        yield received


@pytest.fixture
def engine(transactional_db: None) -> PostgresEngine:
    return PostgresEngine()


def remember(engine: MastraEngine, city: str, **options: Any) -> Fact:
    fact = {"subject": "Ann", "predicate": "lives in", "object": city}
    (remembered,) = engine.facts.remember(resource_id="ann", facts=[fact], **options)
    return remembered


def changed(signals: Received) -> list[set[Any]]:
    """Return the ids of each signal."""
    return [set(arguments["fact_ids"]) for arguments in signals]


def test_the_signal_names_the_versions_that_were_written_or_deleted(
    store: MastraEngine, signals: Received
) -> None:
    hamburg, berlin = remember(store, "Hamburg"), remember(store, "Berlin")
    assert signals[0] == {
        "sender": type(store),
        "alias": "default",
        "resource_id": "ann",
        "fact_ids": [hamburg.id],
    }
    store.facts.retract(id=berlin.id)
    store.facts.forget(id=berlin.id)
    both = {hamburg.id, berlin.id}
    assert changed(signals) == [{hamburg.id}, both, {berlin.id}, both]


def test_the_signal_leaves_out_a_version_that_had_ended_before(
    store: MastraEngine, signals: Received
) -> None:
    start, end, later = (datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2022))
    _, berlin, rome = [
        store.facts.remember(resource_id="ann", facts=[FactInput("Ann", "lives in", *fact)])[0]
        for fact in (("Hamburg", start, end), ("Berlin", later), ("Rome", end))
    ]
    assert changed(signals)[-1] == {berlin.id, rome.id}


def test_a_call_without_a_change_sends_no_signal(store: MastraEngine, signals: Received) -> None:
    berlin = remember(store, "Berlin", idempotency_key="1")
    store.facts.retract(id=berlin.id)
    signals.clear()
    remember(store, "Berlin", idempotency_key="1")
    store.facts.retract(id=berlin.id)
    store.facts.remember(resource_id="ann", facts=[])
    with pytest.raises(IdempotencyConflict):
        remember(store, "Hamburg", idempotency_key="1")
    with pytest.raises(InvalidInput):
        remember(store, "")
    remember(store, "Rome")
    signals.clear()
    remember(store, "Rome")
    assert signals == []


def test_a_receiver_finds_the_committed_fact(store: MastraEngine) -> None:
    cities: list[str] = []

    def read(fact_ids: Any, **_: Any) -> None:
        cities.extend(store.facts.get_fact(id=id).object for id in fact_ids)

    facts_changed.connect(read)
    try:
        remember(store, "Berlin")
    finally:
        facts_changed.disconnect(read)
    assert cities == ["Berlin"]


def test_the_signal_follows_the_callers_commit(engine: PostgresEngine, signals: Received) -> None:
    with transaction.atomic():
        berlin = remember(engine, "Berlin")
        with transaction.atomic():
            remember(engine, "Rome")
            transaction.set_rollback(True)
        assert signals == []
    assert changed(signals) == [{berlin.id}]
