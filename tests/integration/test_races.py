"""The unlucky moments, one by one."""

from __future__ import annotations

import pytest

from mastra_engine.backends.postgres import PostgresEngine
from mastra_engine.exceptions import CursorExpired, EntityNotFound
from mastra_engine.models import Entity, Record
from mastra_engine.types import Entity as EntityValue
from tests.integration.conftest import Elsewhere
from tests.integration.interleaving import just_before

pytestmark = pytest.mark.django_db(transaction=True)

NAME = {"name": "Contacts", "connection_id": "crm"}
ANNA = {"external_id": "1", "data": {"name": "Anna"}}


def make(engine: PostgresEngine) -> EntityValue:
    return engine.create_entity(**NAME)


def unmake(engine: PostgresEngine) -> EntityValue:
    entity = engine.get_entity(**NAME)
    assert entity is not None
    return engine.delete_entity_by_id(id=entity.id)


def test_an_entity_made_by_another_in_between_is_the_one_returned(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    with just_before('INSERT INTO "mastra_engine_entity"', lambda: make(other)):
        entity, created = engine.get_or_create_entity(**NAME)
    assert not created
    assert entity == other.get_entity(**NAME)


def test_an_entity_made_and_deleted_by_another_in_between_is_made_anew(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    with (
        just_before('INSERT INTO "mastra_engine_entity"', lambda: make(other)),
        just_before('FROM "mastra_engine_entity"', lambda: unmake(other)),
    ):
        entity, created = engine.get_or_create_entity(**NAME)
    assert created
    assert entity == other.get_entity(**NAME)


def test_a_sync_whose_entity_is_deleted_in_between_makes_it_anew(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    make(engine)
    with just_before("pg_advisory_xact_lock", lambda: unmake(other)):
        result = engine.sync_records(**NAME, records=[ANNA], last_sync_id="1")
    assert result.created == 1
    assert result.entity == other.get_entity(**NAME)


def test_an_upsert_whose_entity_is_deleted_in_between_says_so(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    entity = make(engine)
    with (
        just_before("pg_advisory_xact_lock", lambda: unmake(other)),
        pytest.raises(EntityNotFound),
    ):
        engine.upsert_records(entity_id=entity.id, records=[ANNA])
    assert not Record.objects.exists()


def test_a_deletion_purged_while_a_reader_reads_is_seen_or_reported(
    engine: PostgresEngine, other: PostgresEngine
) -> None:
    """Otherwise the reader keeps what is deleted for ever."""
    entity = make(engine)
    engine.upsert_records(entity_id=entity.id, records=[ANNA])
    existing = engine.get_changes(entity_id=entity.id).next
    engine.delete_records(entity_id=entity.id, external_ids=["1"])
    engine.upsert_records(entity_id=entity.id, records=[{"external_id": "2", "data": {}}])

    def purge() -> None:
        other.purge_deleted_records(entity_id=entity.id, up_to_rev=existing + 1)

    try:
        with just_before("FROM mastra_engine_record", purge):
            changes = engine.get_changes(entity_id=entity.id, after=existing)
        seen = [change.record.external_id for change in changes]
        engine.get_changes(entity_id=entity.id, after=changes.next)
    except CursorExpired:
        return
    assert "1" in seen


@pytest.mark.parametrize("isolation", ["repeatable\\ read", "serializable"])
def test_a_write_that_began_before_another_ended_begins_anew(
    engine: PostgresEngine, elsewhere: Elsewhere, isolation: str
) -> None:
    """A project may have chosen such an isolation level for all its transactions."""
    entity = make(engine)
    engine.upsert_records(entity_id=entity.id, records=[ANNA])
    isolated = elsewhere(default_transaction_isolation=isolation)

    def merge(by: PostgresEngine, key: str) -> None:
        records = [{"external_id": "1", "data": {key: True}}]
        by.upsert_records(entity_id=entity.id, records=records, mode="merge")

    with just_before("pg_advisory_xact_lock", lambda: merge(engine, "theirs"), on=isolated):
        merge(isolated, "mine")
    record = engine.get_record(entity_id=entity.id, external_id="1")
    assert record.data == {"name": "Anna", "theirs": True, "mine": True}
    assert record.rev == Entity.objects.get().rev == 3
