"""The sources of facts: a fact goes with the last message or record that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from mastra_engine import MastraEngine
from mastra_engine.exceptions import (
    FactNotFound,
    MessageNotFound,
    NotFound,
    RecordNotFound,
    SyncAborted,
)
from mastra_engine.types import Erasure, Fact, FactInput, FactSource, SourceLike


def save_messages(
    engine: MastraEngine, *texts: str, thread_id: str = "t", resource_id: str = "user"
) -> list[str]:
    """Save messages, and return their ids."""
    saved = engine.memory.save_memory(
        thread_id=thread_id,
        resource_id=resource_id,
        messages=[{"role": "user", "content": text} for text in texts],
    )
    return [message.id for message in saved]


def sync_contacts(engine: MastraEngine, *ids: str, mode: Any = "incremental") -> dict[str, UUID]:
    """Sync records of the connection "crm", and return their ids."""
    records = [{"external_id": id, "data": {"name": id}} for id in ids]
    entity = engine.sync_records(
        name="Contacts", connection_id="crm", records=records, mode=mode
    ).entity
    stored = engine.get_records_by_entity_id(entity_id=entity.id)
    return {record.external_id: record.id for record in stored}


def remember(
    engine: MastraEngine, *sources: SourceLike, object: str = "Berlin", resource_id: str = "user"
) -> Fact:
    """Remember where Anna lives, resting on sources."""
    fact = {"subject": "Anna", "predicate": "lives in", "object": object, "sources": sources}
    (remembered,) = engine.facts.remember(resource_id=resource_id, facts=[fact])
    return remembered


def versions(engine: MastraEngine) -> Sequence[str]:
    page = engine.facts.list_facts(resource_id="user", include_superseded=True)
    return [fact.object for fact in page]


class TestFactSources:
    def test_a_fact_has_its_sources_in_the_order_of_their_addition(
        self, engine: MastraEngine
    ) -> None:
        first, second = save_messages(engine, "I moved", "to Berlin")
        record = sync_contacts(engine, "anna")["anna"]
        fact = remember(
            engine, {"message_id": second, "quote": "Berlin"}, FactSource(record_id=record)
        )
        again = remember(engine, {"message_id": first}, {"message_id": second, "quote": "Berlin"})
        assert again == fact
        assert engine.facts.sources(id=fact.id) == [
            FactSource(message_id=second, quote="Berlin"),
            FactSource(record_id=record),
            FactSource(message_id=first),
        ]

    def test_facts_of_one_call_add_a_source_once(self, engine: MastraEngine) -> None:
        (message,) = save_messages(engine, "I moved to Berlin")
        fact = FactInput("Anna", "lives in", "Berlin", sources=[FactSource(message_id=message)])
        first, again = engine.facts.remember(resource_id="user", facts=[fact, fact])
        assert again == first
        assert engine.facts.sources(id=first.id) == [FactSource(message_id=message)]

    def test_a_source_of_another_resource_is_not_found(self, engine: MastraEngine) -> None:
        (own,) = save_messages(engine, "I moved")
        (other,) = save_messages(engine, "Me too", thread_id="u", resource_id="other")
        for message_id in (other, "unknown"):
            with pytest.raises(MessageNotFound) as caught:
                remember(engine, {"message_id": own}, {"message_id": message_id})
            assert caught.value.id == message_id
            assert str(caught.value) == f'Message "{message_id}" does not exist'
        assert versions(engine) == []

    def test_a_deleted_record_is_no_source(self, engine: MastraEngine) -> None:
        record = sync_contacts(engine, "anna", "bob")["anna"]
        sync_contacts(engine, "bob", mode="full")
        for record_id in (record, uuid4()):
            with pytest.raises(RecordNotFound) as caught:
                remember(engine, {"record_id": record_id})
            assert caught.value.id == record_id
        assert versions(engine) == []

    def test_a_record_outside_the_scope_is_no_source(self, engine: MastraEngine) -> None:
        record = sync_contacts(engine, "anna")["anna"]
        with pytest.raises(RecordNotFound):
            remember(engine.within(connection_ids=["shop"]), {"record_id": record})
        fact = remember(engine.within(connection_ids=["crm"]), {"record_id": record})
        assert engine.facts.sources(id=fact.id) == [FactSource(record_id=record)]

    def test_a_version_goes_with_its_last_message(self, engine: MastraEngine) -> None:
        first, second, third = save_messages(engine, "Hamburg", "Berlin", "Yes, Berlin")
        old = remember(engine, {"message_id": first}, object="Hamburg")
        new = remember(engine, {"message_id": second}, {"message_id": third})
        engine.memory.delete_messages(ids=[second])
        assert versions(engine) == ["Hamburg", "Berlin"]
        assert engine.facts.sources(id=new.id) == [FactSource(message_id=third)]
        engine.memory.delete_messages(ids=[third])
        assert versions(engine) == ["Hamburg"]
        with pytest.raises(FactNotFound):
            engine.facts.get_fact(id=new.id)
        # The superseding version was deleted, but this one stays superseded: the claim has no
        # current version.
        assert engine.facts.get_fact(id=old.id).superseded_at == new.created_at
        assert list(engine.facts.list_facts(resource_id="user")) == []
        rome = remember(engine, object="Rome")
        assert list(engine.facts.list_facts(resource_id="user")) == [rome]

    def test_several_sources_are_deleted_at_once(self, engine: MastraEngine) -> None:
        ids = save_messages(engine, "Berlin", "Yes, Berlin")
        remember(engine, *({"message_id": id} for id in ids))
        assert engine.memory.delete_messages(ids=ids) == 2
        assert versions(engine) == []

    def test_a_version_goes_with_its_thread(self, engine: MastraEngine) -> None:
        (own,) = save_messages(engine, "Hamburg")
        (other,) = save_messages(engine, "Berlin", thread_id="u")
        remember(engine, {"message_id": own}, object="Hamburg")
        remember(engine, {"message_id": other})
        engine.memory.delete_thread(thread_id="t")
        assert versions(engine) == ["Berlin"]

    def test_a_version_goes_with_an_expired_message(self, engine: MastraEngine) -> None:
        (saved,) = engine.memory.save_memory(
            thread_id="t",
            resource_id="user",
            messages=[{"role": "user", "content": "x", "created_at": "2020-01-01T00:00:00Z"}],
        )
        remember(engine, {"message_id": saved.id})
        engine.memory.expire_messages(before=datetime(2021, 1, 1, tzinfo=UTC))
        assert versions(engine) == []

    def test_a_tombstone_counts_as_a_deletion(self, engine: MastraEngine) -> None:
        records = sync_contacts(engine, "anna", "bob", "carl", "dora")
        entity = engine.get_entity(name="Contacts", connection_id="crm")
        assert entity is not None
        for name, record in records.items():
            engine.facts.remember(
                resource_id="user",
                facts=[
                    {
                        "subject": name,
                        "predicate": "is",
                        "object": name,
                        "sources": [{"record_id": record}],
                    }
                ],
            )
        engine.delete_records(entity_id=entity.id, external_ids=["anna"])
        assert versions(engine) == ["bob", "carl", "dora"]
        sync_contacts(engine, "carl", "dora", mode="full")
        assert versions(engine) == ["carl", "dora"]
        sync_contacts(engine, "bob", "carl")
        assert versions(engine) == ["carl", "dora"]
        engine.delete_entity_by_id(id=entity.id)
        assert versions(engine) == []

    def test_a_failed_sync_keeps_facts(self, engine: MastraEngine) -> None:
        record = sync_contacts(engine, "anna", "bob")["anna"]
        remember(engine, {"record_id": record})
        with pytest.raises(SyncAborted):
            engine.sync_records(
                name="Contacts",
                connection_id="crm",
                records=[{"external_id": "bob", "data": {}}],
                mode="full",
                max_delete_ratio=0.1,
            )
        assert versions(engine) == ["Berlin"]

    def test_a_version_stays_with_another_source(self, engine: MastraEngine) -> None:
        (message,) = save_messages(engine, "Berlin")
        record = sync_contacts(engine, "anna")["anna"]
        fact = remember(engine, {"message_id": message}, {"record_id": record})
        engine.memory.delete_thread(thread_id="t")
        assert engine.facts.sources(id=fact.id) == [FactSource(record_id=record)]

    def test_a_fact_without_sources_stays(self, engine: MastraEngine) -> None:
        (message,) = save_messages(engine, "Berlin")
        remember(engine)
        engine.memory.delete_messages(ids=[message])
        assert versions(engine) == ["Berlin"]

    def test_an_erasure_of_a_resource_erases_its_facts(self, engine: MastraEngine) -> None:
        record = sync_contacts(engine, "anna")["anna"]
        remember(engine, {"record_id": record}, object="Hamburg")
        remember(engine, object="Berlin")
        other = remember(engine, resource_id="other")
        assert engine.erase(resource_id="user", dry_run=True) == Erasure(facts=2)
        assert engine.erase(resource_id="user") == Erasure(facts=2)
        assert versions(engine) == []
        assert engine.erase(resource_id="user") == Erasure()
        assert engine.facts.get_fact(id=other.id) == other

    def test_an_erasure_of_a_connection_erases_facts_that_rest_on_it_alone(
        self, engine: MastraEngine
    ) -> None:
        (message,) = save_messages(engine, "Berlin")
        anna, bob = sync_contacts(engine, "anna", "bob").values()
        remember(engine, {"record_id": anna}, {"record_id": bob, "quote": "b"}, object="Hamburg")
        berlin = remember(engine, {"record_id": anna}, {"message_id": message}, object="Berlin")
        remember(engine, object="Rome")
        engine.facts.index_pending()
        expected = Erasure(facts=1, entities=1, records=2, vectors=1)
        assert engine.erase(connection_id="crm", dry_run=True) == expected
        assert engine.erase(connection_id="crm") == expected
        assert versions(engine) == ["Berlin", "Rome"]
        assert engine.facts.sources(id=berlin.id) == [FactSource(message_id=message)]
        assert engine.erase(connection_id="crm") == Erasure()


class TestScopedFacts:
    def test_facts_outside_the_scope_are_not_found(self, engine: MastraEngine) -> None:
        fact = remember(engine)
        scoped = engine.within(resource_ids=["other"])
        for method in ("get_fact", "history", "retract", "forget", "sources"):
            with pytest.raises(FactNotFound):
                getattr(scoped.facts, method)(id=fact.id)
        with pytest.raises(NotFound, match='Resource "user" does not exist'):
            scoped.facts.list_facts(resource_id="user")
        with pytest.raises(NotFound, match='Resource "user" does not exist'):
            scoped.facts.remember(resource_id="user", facts=[])
        assert engine.facts.history(id=fact.id) == [fact]

    def test_facts_in_the_scope_are_found(self, engine: MastraEngine) -> None:
        scoped = engine.within(resource_ids=["user"])
        fact = remember(scoped)
        assert scoped.facts.get_fact(id=fact.id) == fact
        assert list(scoped.facts.list_facts(resource_id="user")) == [fact]
        assert scoped.facts.forget(id=fact.id) == 1

    def test_a_scope_is_narrowed(self, engine: MastraEngine) -> None:
        fact = remember(engine)
        own = engine.facts.within(resource_ids=["user", "other"])
        assert own.get_fact(id=fact.id) == fact
        assert own.search(query="Berlin", resource_id="user")[0].fact == fact
        with pytest.raises(FactNotFound):
            own.within(resource_ids=["other", "third"]).get_fact(id=fact.id)
        with pytest.raises(NotFound):
            own.search(query="Berlin", resource_id="third")
        assert repr(own) == "<Facts resource_ids=['other', 'user']>"
