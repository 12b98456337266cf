"""Facts in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from mastra_engine.backends.base.facts.claims import Claim, Subject
from mastra_engine.backends.base.facts.store import (
    MAX_CURRENT,
    FactSelection,
    FactStore,
    FactWrite,
    Reading,
)
from mastra_engine.backends.base.vectors.search import Instant
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.rows import FactRow, ThreadRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.types import Fact, FactSource
from mastra_engine.validation.sizes import fitting, page_bytes

R = TypeVar("R")


class MockFactStore(FactStore):
    """Stores facts in a `Store`, which engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def transact(self, operation: Callable[[], R]) -> R:
        with self._store.transaction(), self._store.restoring():
            return operation()

    def after_commit(self, action: Callable[[], None]) -> None:
        self._store.after_commit(action)

    # Locks: a transaction holds the lock of the whole store.

    def lock_resource(self, resource_id: str) -> datetime:
        return now()

    def lock_messages(self, message_ids: Sequence[str], resource_id: str) -> Collection[str]:
        return {
            id
            for thread in self._store.threads.values()
            if thread.resource_id == resource_id
            for id in thread.messages.keys() & set(message_ids)
        }

    def lock_records(
        self, record_ids: Sequence[UUID], *, connection_ids: Collection[str] | None
    ) -> Collection[UUID]:
        return {
            row.id
            for entity in self._store.entities.values()
            if connection_ids is None or entity.connection_id in connection_ids
            for row in entity.live()
            if row.id in record_ids
        }

    def lock_versions(
        self, resource_id: str, claims: Collection[Claim], *, valid_after: datetime
    ) -> Sequence[tuple[Claim, Fact]]:
        return [
            (row.claim, row.fact)
            for row in self._rows([resource_id])
            if row.claim in claims and (row.is_current or row.end > valid_after)
        ]

    def lock_current(
        self, resource_id: str, claims: Collection[tuple[UUID, UUID]]
    ) -> Sequence[tuple[Claim, Fact]]:
        return [
            (row.claim, row.fact)
            for row in self._rows([resource_id])
            if row.is_current and (row.claim.subject_key, row.claim.predicate_key) in claims
        ]

    def lock_version(self, id: UUID) -> tuple[Claim, Fact] | None:
        row = self._store.facts.get(id)
        return None if row is None else (row.claim, row.fact)

    # Writes

    def write(self, writes: Sequence[FactWrite]) -> None:
        for change in writes:
            row = self._store.facts.get(change.fact.id)
            if row is None:
                assert change.claim is not None
                row = FactRow(change.fact, change.claim)
            self._store.facts[change.fact.id] = replace(
                row,
                fact=change.fact,
                is_indexed=row.is_indexed and row.fact.aliases == change.fact.aliases,
                alias_keys=(*row.alias_keys, *change.alias_keys),
                ends=(*row.ends, *((end, change.known_at) for end in change.ends)),
                sources=tuple(dict.fromkeys((*row.sources, *change.sources))),
            )

    def delete_versions(self, ids: Sequence[UUID]) -> int:
        return self._store.delete_facts(ids)

    # Reads

    def resolve(self, resource_id: str, keys: Collection[UUID]) -> Mapping[UUID, Subject]:
        with self._store.lock:
            by_alias: dict[UUID, Subject] = {}
            for row in self._rows([resource_id]):
                for key in row.alias_keys:
                    by_alias.setdefault(key, Subject(row.claim.subject_key, row.fact.subject))
        return {key: _last(by_alias, by_alias[key]) for key in keys if key in by_alias}

    def find(
        self, ids: Sequence[UUID], *, resource_ids: Collection[str] | None
    ) -> dict[UUID, Fact]:
        with self._store.lock:
            rows = [self._store.facts[id] for id in ids if id in self._store.facts]
        return {
            row.fact.id: row.fact
            for row in rows
            if resource_ids is None or row.fact.resource_id in resource_ids
        }

    def list_facts(
        self, selection: FactSelection, *, after: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[list[Fact], bool]:
        keys = selection.subject_keys
        with self._store.lock:
            rows = self._rows(selection.resource_ids)
        selected = [
            row
            for row in rows
            if keys is None or row.claim.subject_key in keys
            if selection.predicate_key in (None, row.claim.predicate_key)
            if is_at(row, selection.instant)
            if matches(selection.where, document_of(row.fact))
            if after is None or _place(row) > after
        ]
        size = min(limit, fitting((_size(row.fact) for row in selected), page_bytes(limit)))
        return [row.fact for row in selected[:size]], size < len(selected)

    def list_current(self, resource_id: str, *, limit: int = MAX_CURRENT) -> list[Fact]:
        with self._store.lock:
            rows = self._rows([resource_id])
        facts = [row.fact for row in reversed(rows) if is_at(row, Instant())]
        facts.sort(key=lambda fact: not fact.pinned)
        return facts[: min(limit, fitting(map(_size, facts), page_bytes(limit)))]

    def list_versions(self, id: UUID) -> list[Fact]:
        with self._store.lock:
            row = self._store.facts.get(id)
            rows = [] if row is None else self._rows([row.fact.resource_id])
        return [other.fact for other in rows if row is not None and other.claim == row.claim]

    def list_sources(self, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[FactSource]]:
        with self._store.lock:
            rows = [self._store.facts[id] for id in ids if id in self._store.facts]
        return {row.fact.id: row.sources for row in rows if row.sources}

    # How far threads were read

    def open_reading(self, thread_id: str) -> Reading | None:
        with self._store.lock:
            row = self._store.threads.get(thread_id)
            return None if row is None else Reading(row.id, row.resource_id, row.read_position)

    def claim_reading(self, reading: Reading, seconds: float, *, takeover: bool) -> Reading | None:
        with self._store.lock:
            row, moment = self._thread_at(reading), now()
            if row is None or not (takeover or row.read_until is None or row.read_until <= moment):
                return None
            row.read_until = moment + timedelta(seconds=seconds)
            return replace(reading, claimed_until=row.read_until)

    def release_reading(self, reading: Reading) -> None:
        with self._store.lock:
            row = self._thread_at(reading)
            if row is not None and row.read_until == reading.claimed_until:
                row.read_until = None

    def move_reading(self, reading: Reading, position: int) -> bool:
        row = self._thread_at(reading)
        if row is None:
            return False
        row.read_position, row.read_until = position, None
        return True

    def list_unread(
        self, resource_ids: Collection[str] | None, *, after: str, limit: int
    ) -> list[str]:
        with self._store.lock:
            ids = [
                row.id
                for row in self._store.threads.values()
                if resource_ids is None or row.resource_id in resource_ids
                if row.id > after and row.last_position > row.read_position
            ]
        return sorted(ids)[:limit]

    def _thread_at(self, reading: Reading) -> ThreadRow | None:
        """Return the thread, unless its reading has moved."""
        row = self._store.threads.get(reading.thread_id)
        at = None if row is None else (row.resource_id, row.read_position)
        return row if at == (reading.resource_id, reading.position) else None

    # Which facts are indexed

    def list_unindexed(self, resource_ids: Collection[str] | None, *, limit: int) -> list[Fact]:
        with self._store.lock:
            rows = self._rows(resource_ids)
        return [row.fact for row in rows if not row.is_indexed][:limit]

    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> Collection[UUID]:
        facts = self._store.facts
        ids = [
            id for id, aliases in versions if id in facts and len(facts[id].fact.aliases) == aliases
        ]
        facts.update({id: replace(facts[id], is_indexed=True) for id in ids})
        return ids

    def mark_all_unindexed(self) -> None:
        for id, row in self._store.facts.items():
            self._store.facts[id] = replace(row, is_indexed=False)

    def _rows(self, resource_ids: Collection[str] | None) -> list[FactRow]:
        """Return the versions of resources by the time of remembering."""
        rows = self._store.facts.values()
        own = (r for r in rows if resource_ids is None or r.fact.resource_id in resource_ids)
        return sorted(own, key=_place)


def is_at(row: FactRow, instant: Instant) -> bool:
    """Return whether a version matches a time of validity and a time of knowledge."""
    known_at = instant.known_at
    if known_at is not None and row.fact.created_at > known_at:
        return False
    valid_at = instant.valid_at or now()
    return instant.all_versions or row.fact.valid_from <= valid_at < row.end_known_at(known_at)


def _last(by_alias: Mapping[UUID, Subject], subject: Subject) -> Subject:
    while subject.key in by_alias:
        subject = by_alias[subject.key]
    return subject


def _place(row: FactRow) -> tuple[datetime, UUID]:
    return row.fact.created_at, row.fact.id


def _size(fact: Fact) -> int:
    texts = (fact.subject, fact.predicate, fact.object, fact.reason, *fact.aliases)
    return sum(len(text.encode()) for text in texts)


def document_of(fact: Fact) -> dict[str, object]:
    """Return the document that filters apply to."""
    return {
        "subject": fact.subject,
        "predicate": fact.predicate,
        "object": fact.object,
        "confidence": fact.confidence,
        "aliases": list(fact.aliases),
        "pinned": fact.pinned,
        "many": fact.many,
        "reason": fact.reason,
    }
