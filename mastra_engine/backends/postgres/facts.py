"""Facts in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce
from uuid_utils.compat import uuid7

from mastra_engine.backends.base.facts.arguments import NewFact
from mastra_engine.backends.base.facts.claims import Claim, Subject
from mastra_engine.backends.base.facts.store import (
    MAX_CURRENT,
    FactSelection,
    FactStore,
    FactWrite,
    Reading,
)
from mastra_engine.backends.base.vectors.search import Instant
from mastra_engine.backends.postgres.session import SessionStore
from mastra_engine.filters.ast import ALL
from mastra_engine.models import FactReading
from mastra_engine.models import Thread as ThreadRow
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

    def lock_current(
        self, resource_id: str, claims: Collection[tuple[UUID, UUID]]
    ) -> Sequence[tuple[Claim, Fact]]:
        rows = facts.lock_current(self.session.connection, claims)
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
    ) -> tuple[FactAction, Fact, Sequence[UUID]] | None:
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

        def remember() -> tuple[FactAction, Fact, Sequence[UUID]] | None:
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
            return facts.list_facts(
                self.session.connection,
                condition,
                after=after,
                limit=limit,
                one_plan=after is None and selection.where is ALL,
            )

    def list_current(self, resource_id: str, *, limit: int = MAX_CURRENT) -> list[Fact]:
        condition = both(facts.of_resources([resource_id]), facts.true_at(None, None))
        with self.session.translated():
            return facts.list_current(self.session.connection, condition, limit=limit)

    def list_versions(self, id: UUID) -> list[Fact]:
        with self.session.translated():
            return facts.list_versions(self.session.connection, id)

    def list_sources(self, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[FactSource]]:
        with self.session.translated():
            return facts.list_sources(self.session.connection, ids)

    # How far threads were read

    def open_reading(self, thread_id: str) -> Reading | None:
        thread = ThreadRow.objects.using(self.session.alias).filter(id=thread_id)
        with self.session.translated():
            row = thread.values_list("resource_id", "fact_reading__position").first()
        if row is None:
            return None
        resource_id, position = row
        if position is None and not self._add_reading(thread_id):
            return None
        return Reading(thread_id, resource_id, position or 0)

    def claim_reading(self, reading: Reading, seconds: float, *, takeover: bool) -> Reading | None:
        def claim() -> Reading | None:
            until = facts.claim_reading(
                self.session.connection,
                reading.thread_id,
                reading.position,
                seconds,
                takeover=takeover,
            )
            return None if until is None else replace(reading, claimed_until=until)

        return self.session.run(claim, single=True)

    def release_reading(self, reading: Reading) -> None:
        rows = self._at(reading).filter(claimed_until=reading.claimed_until)
        self.session.run(lambda: rows.update(claimed_until=None), single=True)

    def move_reading(self, reading: Reading, position: int) -> bool:
        # The update locks the row: of two transactions with the same messages, one moves it.
        return bool(self._at(reading).update(position=position, claimed_until=None))

    def list_unread(
        self, resource_ids: Collection[str] | None, *, after: str, limit: int
    ) -> list[str]:
        position = Coalesce("fact_reading__position", 0)
        threads = ThreadRow.objects.using(self.session.alias).annotate(read=position)
        threads = threads.filter(id__gt=after, last_position__gt=F("read"))
        if resource_ids is not None:
            threads = threads.filter(resource_id__in=resource_ids)
        with self.session.translated():
            return list(threads.order_by("id").values_list("id", flat=True)[:limit])

    def _add_reading(self, thread_id: str) -> bool:
        """Add the reading of a thread; return False if the thread was deleted."""
        new = FactReading(thread_id=thread_id)
        try:
            self.session.run(lambda: self._readings().bulk_create([new], ignore_conflicts=True))
        except IntegrityError:
            return False
        return True

    def _readings(self) -> QuerySet[FactReading]:
        return FactReading.objects.using(self.session.alias)

    def _at(self, reading: Reading) -> QuerySet[FactReading]:
        """Select the row, unless the reading has moved or the thread has another resource."""
        return self._readings().filter(thread=reading.thread_id, position=reading.position)

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
