"""What a mock engine keeps: plain rows, shared by all engines of one URL in the process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from uuid_utils.compat import uuid7

from mastra_engine.jsonb import loads
from mastra_engine.types import Entity, Record, SyncRun


def now() -> datetime:
    """Return the time with its zone, as the database would."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record; the document is JSON text, so that no caller can reach into the store."""

    id: UUID
    external_id: str
    raw: bytes
    rev: int
    created_rev: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    def to_value(self, entity: EntityRow) -> Record:
        return Record(
            id=self.id,
            entity_id=entity.id,
            entity_type=entity.name,
            external_id=self.external_id,
            data=loads(self.raw),
            rev=self.rev,
            created_at=self.created_at,
            updated_at=self.updated_at,
            deleted_at=self.deleted_at,
        )


@dataclass(slots=True)
class EntityRow:
    """An entity with its records by external id."""

    name: str
    connection_id: str
    created_at: datetime
    updated_at: datetime
    id: UUID = field(default_factory=uuid7)
    last_sync_id: str | None = None
    rev: int = 0
    purged_rev: int = 0
    records: dict[str, RecordRow] = field(default_factory=dict)

    def copy(self) -> EntityRow:
        return replace(self, records=dict(self.records))

    def live(self) -> list[RecordRow]:
        return [row for row in self.records.values() if row.deleted_at is None]

    def to_value(self) -> Entity:
        return Entity(
            id=self.id,
            name=self.name,
            connection_id=self.connection_id,
            last_sync_id=self.last_sync_id,
            rev=self.rev,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


@dataclass(frozen=True, slots=True)
class RunRow:
    """A sync run with the fencing token of its worker and what its pages found unchanged."""

    run: SyncRun
    lease_token: UUID | None = None
    found: tuple[bytes, ...] = ()


class Store:
    """The data behind one URL. Hold `lock` while reading or writing it."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.entities: dict[UUID, EntityRow] = {}
        self.indexes: dict[str, Any] = {}
        self.runs: dict[UUID, RunRow] = {}


_stores: WeakValueDictionary[str, Store] = WeakValueDictionary()
_opening = RLock()


def open_store(url: str) -> Store:
    """Return the store of a URL; it lives as long as an engine that uses it."""
    with _opening:
        store = _stores.get(url)
        if store is None:
            store = _stores[url] = Store()
        return store
