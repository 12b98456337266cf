"""Facts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.facts.arguments import NewFact
from mastra_engine.backends.base.facts.claims import Claim, Subject
from mastra_engine.backends.base.facts.store import (
    FactSelection,
    FactStore,
    FactWrite,
)
from mastra_engine.backends.base.vectors.search import Instant
from mastra_engine.backends.postgres.session import SessionStore
from mastra_engine.postgres import facts
from mastra_engine.postgres.compile import Sql, both
from mastra_engine.types import Fact, FactAction, FactSource


class PostgresFactStore(SessionStore, FactStore):
    """Stores facts in tables of the engine; triggers delete a fact with its last source."""

    # Locks

    def lock_resource(self, resource_id: str) -> datetime:
        # One lock for a resource, not for each claim: an alias may change the claim of a fact. It
        # also excludes the deadlocks of calls with claims in different orders.
        return facts.lock_resource(self.session.connection, resource_id)

    def lock_messages(self, message_ids: Sequence[str], resource_id: str) -> Collection[str]:
        return facts.lock_messages(self.session.connection, message_ids, resource_id)

    def lock_records(
        self, record_ids: Sequence[UUID], *, connection_ids: Collection[str] | None
    ) -> Collection[UUID]:
        return facts.lock_records(self.session.connection, record_ids, connection_ids)

    def lock_versions(
        self, resource_id: str, claims: Collection[Claim], *, valid_after: datetime
    ) -> Sequence[tuple[Claim, Fact]]:
        rows = facts.lock_versions(self.session.connection, claims, valid_after=valid_after)
        return [(Claim(*keys), fact) for keys, fact in rows]

    def lock_version(self, id: UUID) -> tuple[Claim, Fact] | None:
        row = facts.lock_version(self.session.connection, id)
        return None if row is None else (Claim(*row[0]), row[1])

    # Writes

    def remember_alone(
        self,
        resource_id: str,
        new: NewFact,
        claim: Claim,
        *,
        connection_ids: Collection[str] | None,
    ) -> tuple[FactAction, Fact] | None:
        fact = {
            "id": uuid7(),
            "resource_id": resource_id,
            "subject": new.subject,
            "predicate": new.predicate,
            "object": new.object,
            **claim._asdict(),
            "valid_from": new.valid_from,
            "valid_to": new.valid_to,
            "confidence": new.confidence,
            "pinned": new.pinned,
            "many": new.many,
        }

        def remember() -> tuple[FactAction, Fact] | None:
            return facts.remember(
                self.session.connection,
                fact,
                _sources(fact["id"], new.sources),
                connection_ids=connection_ids,
                lock_wait=self.session.lock_wait(),
            )

        return self.transact(remember, single=True)

    def write(self, writes: Sequence[FactWrite]) -> None:
        if writes:
            facts.write(
                self.session.connection,
                [_parameters(change) for change in writes],
                [row for change in writes for row in _sources(change.fact.id, change.sources)],
            )

    def delete_versions(self, ids: Sequence[UUID]) -> int:
        return facts.delete_facts(self.session.connection, ids)

    # Reads

    def resolve(self, resource_id: str, keys: Collection[UUID]) -> Mapping[UUID, Subject]:
        with self.session.translated():
            rows = facts.resolve(self.session.connection, keys)
        return {key: Subject(subject_key, name) for key, subject_key, name in rows}

    def find(
        self, ids: Sequence[UUID], *, resource_ids: Collection[str] | None
    ) -> dict[UUID, Fact]:
        with self.session.translated():
            rows = facts.find(self.session.connection, ids, resource_ids)
        return {fact.id: fact for fact in rows}

    def list_facts(
        self, selection: FactSelection, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[Fact], bool]:
        condition = both(
            facts.of_resources(selection.resource_ids),
            facts.of_claims(selection.subject_keys, selection.predicate_key),
            at_instant(selection.instant),
            facts.on_document(selection.where),
        )
        with self.session.translated():
            return facts.list_facts(self.session.connection, condition, after=after, limit=limit)

    def list_versions(self, id: UUID) -> list[Fact]:
        with self.session.translated():
            return facts.list_versions(self.session.connection, id)

    def list_sources(self, id: UUID) -> list[FactSource]:
        with self.session.translated():
            return facts.list_sources(self.session.connection, id)

    # Which facts are indexed

    def list_unindexed(self, resource_ids: Collection[str] | None, *, limit: int) -> list[Fact]:
        with self.session.translated():
            return facts.list_unindexed(self.session.connection, resource_ids, limit=limit)

    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> Collection[UUID]:
        return facts.mark_indexed(self.session.connection, versions)

    def mark_all_unindexed(self) -> None:
        facts.mark_all_unindexed(self.session.connection)


def at_instant(instant: Instant) -> Sql:
    """Return the condition that facts match a time of validity and a time of knowledge."""
    if instant.all_versions:
        return facts.remembered_by(instant.known_at)
    return facts.true_at(instant.valid_at, instant.known_at)


def _parameters(change: FactWrite) -> dict[str, Any]:
    fact, claim = change.fact, change.claim
    return {
        "id": fact.id,
        "resource_id": fact.resource_id,
        "subject": fact.subject,
        "predicate": fact.predicate,
        "object": fact.object,
        **(claim._asdict() if claim else {}),
        "aliases": fact.aliases,
        "alias_keys": change.alias_keys,
        "valid_from": fact.valid_from,
        "valid_to": fact.valid_to,
        "ends": change.ends,
        "known_at": change.known_at,
        "created_at": fact.created_at,
        "superseded_at": fact.superseded_at,
        "retracted_at": fact.retracted_at,
        "reason": fact.reason,
        "confidence": fact.confidence,
        "pinned": fact.pinned,
        "many": fact.many,
    }


def _sources(fact_id: UUID, sources: Sequence[FactSource]) -> list[dict[str, Any]]:
    return [
        {
            "id": uuid7(),
            "fact_id": fact_id,
            "message_id": source.message_id,
            "record_id": source.record_id,
            "quote": source.quote,
        }
        for source in sources
    ]
