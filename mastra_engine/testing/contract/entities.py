"""The contract of entities."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from mastra_engine.backends.base import MastraEngine
from mastra_engine.exceptions import (
    AmbiguousEntity,
    EntityExists,
    EntityNotFound,
    InvalidInput,
)
from mastra_engine.testing.contract.records import WithContacts, by_name, inputs, stored
from mastra_engine.testing.hostile import (
    TEXTS,
    UNFIT_COUNTS,
    UNFIT_CURSORS,
    UNFIT_NAMES,
    Kept,
    Refused,
)
from mastra_engine.types import Entity


class TestEntities(WithContacts):
    def test_a_new_entity_is_empty_and_never_synced(self, engine: MastraEngine) -> None:
        before = datetime.now(UTC) - timedelta(minutes=1)
        entity = engine.create_entity(name="Contacts", connection_id="user_123")
        assert (entity.name, entity.connection_id) == ("Contacts", "user_123")
        assert (entity.rev, entity.last_sync_id) == (0, None)
        assert entity.created_at == entity.updated_at > before
        assert engine.get_records_by_entity_id(entity_id=entity.id) == []

    def test_values_are_frozen(self, contacts: Entity) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            contacts.name = "Others"  # type: ignore[misc]

    def test_arguments_are_keyword_only(self, engine: MastraEngine) -> None:
        with pytest.raises(TypeError):
            engine.create_entity("Contacts", "user_123")  # type: ignore[call-arg]

    def test_names_are_unique_per_connection(self, engine: MastraEngine, contacts: Entity) -> None:
        with pytest.raises(EntityExists):
            engine.create_entity(name="Contacts", connection_id="user_123")
        other = engine.create_entity(name="Contacts", connection_id="user_456")
        assert other.id != contacts.id

    def test_get_or_create_says_which_it_was(self, engine: MastraEngine) -> None:
        entity, created = engine.get_or_create_entity(name="Deals", connection_id="user_123")
        entity_again, again = engine.get_or_create_entity(name="Deals", connection_id="user_123")
        assert (created, again) == (True, False)
        assert entity_again == entity

    def test_get_by_id(self, engine: MastraEngine, contacts: Entity) -> None:
        assert engine.get_entity_by_id(id=contacts.id) == contacts
        assert engine.get_entity_by_id(id=str(contacts.id)) == contacts
        with pytest.raises(EntityNotFound):
            engine.get_entity_by_id(id=uuid4())

    @pytest.mark.parametrize("id", ["", "nonexistent", 7, None, b"x", "0" * 31])
    def test_an_id_is_a_uuid(self, engine: MastraEngine, id: Any) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.get_entity_by_id(id=id)
        assert caught.value.path == "/id"

    def test_get_by_name_or_connection(self, engine: MastraEngine, contacts: Entity) -> None:
        full = engine.get_entity(name="Contacts", connection_id="user_123")
        assert full == contacts
        assert engine.get_entity(name="Contacts") == contacts
        assert engine.get_entity(connection_id="user_123") == contacts
        assert engine.get_entity(name="Deals", connection_id="user_123") is None

    def test_get_never_picks_one_of_several(self, engine: MastraEngine, contacts: Entity) -> None:
        engine.create_entity(name="Contacts", connection_id="user_456")
        engine.create_entity(name="Deals", connection_id="user_123")
        with pytest.raises(AmbiguousEntity):
            engine.get_entity(name="Contacts")
        with pytest.raises(AmbiguousEntity):
            engine.get_entity(connection_id="user_123")
        with pytest.raises(InvalidInput):
            engine.get_entity()

    def test_list_pages_through_a_connection(self, engine: MastraEngine) -> None:
        created = [engine.create_entity(name=f"E{i}", connection_id="one") for i in range(5)]
        engine.create_entity(name="E0", connection_id="two")
        first = engine.list_entities(connection_id="one", limit=3)
        rest = engine.list_entities(connection_id="one", limit=3, cursor=first.next_cursor)
        assert [*first, *rest] == created
        assert rest.next_cursor is None
        assert len(engine.list_entities()) == 6
        assert len(engine.list_entities(limit=0)) == 0

    def test_a_cursor_is_bound_to_its_list(self, engine: MastraEngine) -> None:
        for i in range(3):
            engine.create_entity(name=f"E{i}", connection_id="one")
        cursor = engine.list_entities(connection_id="one", limit=1).next_cursor
        with pytest.raises(InvalidInput):
            engine.list_entities(connection_id="two", cursor=cursor)

    def test_delete_takes_the_records_along(self, engine: MastraEngine, contacts: Entity) -> None:
        engine.upsert_records(entity_id=contacts.id, records=inputs({"c1": {}}))
        engine.delete_records(entity_id=contacts.id, external_ids=["c1"])
        engine.upsert_records(entity_id=contacts.id, records=inputs({"c2": {}}))
        assert engine.delete_entity_by_id(id=contacts.id).id == contacts.id
        for call in (engine.get_entity_by_id, engine.delete_entity_by_id):
            with pytest.raises(EntityNotFound):
                call(id=contacts.id)
        with pytest.raises(EntityNotFound):
            engine.get_records_by_entity_id(entity_id=contacts.id)
        anew = engine.create_entity(name="Contacts", connection_id="user_123")
        assert stored(engine, anew) == {}

    @by_name(UNFIT_NAMES)
    @pytest.mark.parametrize("field", ["name", "connection_id"])
    def test_invalid_names_are_refused(
        self, engine: MastraEngine, hostile: Refused, field: str
    ) -> None:
        arguments = {"name": "Contacts", "connection_id": "user_123", field: hostile.value}
        for call in (engine.create_entity, engine.get_or_create_entity):
            with pytest.raises(InvalidInput) as caught:
                call(**arguments)
            assert caught.value.path == f"/{field}"
        assert len(engine.list_entities()) == 0

    @by_name(TEXTS)
    def test_keeps_any_other_name(self, engine: MastraEngine, hostile: Kept) -> None:
        engine.create_entity(name="Contacts", connection_id="someone else")
        entity = engine.create_entity(name=hostile.value, connection_id=hostile.value)
        assert engine.get_entity(name=hostile.value) == entity
        assert engine.get_entity(connection_id=hostile.value) == entity
        assert engine.list_entities(connection_id=hostile.value).items == [entity]
        with pytest.raises(EntityNotFound):
            engine.get_records(entity_name="Contacts", connection_id=hostile.value)

    @by_name(UNFIT_COUNTS)
    def test_invalid_limits_are_refused(self, engine: MastraEngine, hostile: Refused) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.list_entities(limit=hostile.value)
        assert caught.value.path == "/limit"

    @by_name(UNFIT_CURSORS)
    def test_invalid_cursors_are_refused(self, engine: MastraEngine, hostile: Refused) -> None:
        with pytest.raises(InvalidInput) as caught:
            engine.list_entities(cursor=hostile.value)
        assert caught.value.path == "/cursor"

    def test_async_variants(self, engine: MastraEngine) -> None:
        entity = async_to_sync(engine.acreate_entity)(name="Deals", connection_id="user_123")
        assert async_to_sync(engine.aget_entity_by_id)(id=entity.id) == entity
        with pytest.raises(EntityExists):
            async_to_sync(engine.acreate_entity)(name="Deals", connection_id="user_123")

    def test_its_configuration_is_checked(self, engine: MastraEngine) -> None:
        assert engine.check() == []
