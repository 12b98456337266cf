"""Other apps of the project are told of changes, once they are committed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from mastra_engine import MastraEngine, PostgresEngine
from mastra_engine.registry import registry
from mastra_engine.registry import sync as declare
from mastra_engine.signals import records_changed
from tests.integration.conftest import NAME, Received, receiving, record

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reported() -> Iterator[Received]:
    """What a receiver is told."""
    with receiving(records_changed) as received:
        yield received


@pytest.fixture
def engine(transactional_db: None) -> PostgresEngine:
    return PostgresEngine()


def revs(reported: Received) -> list[tuple[int, int]]:
    return [(item["after"], item["rev"]) for item in reported]


def test_a_write_is_told_without_its_content(store: MastraEngine, reported: Received) -> None:
    entity = store.sync_records(**NAME, records=[record("1"), record("2")]).entity
    assert reported == [
        {
            "sender": type(store),
            "alias": "default",
            "entity_id": entity.id,
            "entity_name": "Contacts",
            "connection_id": "crm",
            "after": 0,
            "rev": 2,
        }
    ]


def test_it_says_what_to_read(store: MastraEngine) -> None:
    seen: list[tuple[str, str]] = []

    def read(entity_id: Any, after: int, **_: Any) -> None:
        changes = store.get_changes(entity_id=entity_id, after=after)
        seen.extend((change.action, change.record.external_id) for change in changes)

    records_changed.connect(read)
    try:
        entity = store.sync_records(**NAME, records=[record("1"), record("2")]).entity
        store.upsert_records(entity_id=entity.id, records=[record("2", n=2), record("1")])
        store.delete_records(entity_id=entity.id, external_ids=["1"])
    finally:
        records_changed.disconnect(read)
    assert seen == [("added", "1"), ("added", "2"), ("updated", "2"), ("deleted", "1")]


def test_where_nothing_changed_nothing_is_told(store: MastraEngine, reported: Received) -> None:
    entity = store.sync_records(**NAME, records=[record("1")]).entity
    store.delete_records(entity_id=entity.id, external_ids=["1"])
    reported.clear()
    store.sync_records(**NAME, records=[], last_sync_id="tuesday")
    store.delete_records(entity_id=entity.id, external_ids=["1", "unknown"])
    store.purge_deleted_records(entity_id=entity.id, up_to_rev=10)
    store.create_entity(name="Others", connection_id="crm")
    assert reported == []


def test_each_page_of_a_declared_sync_is_told(store: MastraEngine, reported: Received) -> None:
    with registry.empty():
        declare(entity="Contacts", name="contacts")(
            lambda ctx: [[record("1"), record("2")], [record("1")], [record("3")]]
        )
        store.run_sync("contacts", connection_id="crm", dry_run=True)
        assert reported == []
        store.run_sync("contacts", connection_id="crm")
    assert revs(reported) == [(0, 2), (2, 3)]


def test_a_receiver_that_fails_neither_breaks_the_write_nor_keeps_others_from_it(
    store: MastraEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    records_changed.connect(fail)
    arrived: Received = []
    last = arrived.append
    records_changed.connect(receiver := lambda **given: last(given))
    try:
        with caplog.at_level(logging.ERROR, logger="django.dispatch"):
            result = store.sync_records(**NAME, records=[record("1")])
    finally:
        records_changed.disconnect(fail)
        records_changed.disconnect(receiver)
    assert result.created == 1
    assert len(arrived) == 1
    assert "fail" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_write_of_which_nobody_can_be_woken_is_a_write(
    store: MastraEngine,
    reported: Received,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(entity_id: Any) -> None:
        raise DatabaseError("too many notifications in the NOTIFY queue")

    monkeypatch.setattr(store.records.store, "wake_followers", fail)
    entity = store.sync_records(**NAME, records=[record("1")]).entity
    assert f"A listener failed after the commit of rev 1 of the entity {entity.id}" in caplog.text
    assert revs(reported) == [(0, 1)]


# Transactions


def test_nothing_is_told_before_the_callers_commit(
    engine: PostgresEngine, reported: Received
) -> None:
    with transaction.atomic():
        entity = engine.sync_records(**NAME, records=[record("1")]).entity
        engine.upsert_records(entity_id=entity.id, records=[record("2")])
        assert reported == []
    assert revs(reported) == [(0, 1), (1, 2)]


def test_what_is_rolled_back_is_not_told(engine: PostgresEngine, reported: Received) -> None:
    with transaction.atomic():
        engine.sync_records(**NAME, records=[record("1")])
        transaction.set_rollback(True)
    assert reported == []


def test_a_savepoint_that_is_rolled_back_takes_back_its_own(
    engine: PostgresEngine, reported: Received
) -> None:
    with transaction.atomic():
        entity = engine.sync_records(**NAME, records=[record("1")]).entity
        with transaction.atomic():
            engine.upsert_records(entity_id=entity.id, records=[record("2"), record("3")])
            transaction.set_rollback(True)
        with transaction.atomic():
            engine.upsert_records(entity_id=entity.id, records=[record("4")])
    assert revs(reported) == [(0, 1), (1, 2)]


def test_a_write_that_fails_is_not_told(store: MastraEngine, reported: Received) -> None:
    def source() -> Iterator[Any]:
        yield record("1")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.sync_records(**NAME, records=source())
    assert reported == []
