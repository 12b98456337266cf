"""Values of entities, records and the change feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mastra_engine.types.common import UNSET, Items, Unset

Action = Literal["added", "updated", "deleted"]
WriteMode = Literal["replace", "merge"]
SyncMode = Literal["incremental", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A named set of records of one connection, such as the "Contacts" of one user's CRM.

    `rev` is the entity's latest revision. `last_sync_id` is the cursor that the latest
    `sync_records` call stored, or None.
    """

    id: UUID
    name: str
    connection_id: str
    last_sync_id: str | None
    rev: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One document of an entity, as the source system last sent it.

    `external_id` is its id there, unique within the entity. `rev` is the revision of its latest
    change. `deleted_at` is set on tombstones, which only the change feed returns.
    """

    id: UUID
    entity_id: UUID
    entity_type: str
    external_id: str
    data: dict[str, Any]
    rev: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecordInput:
    """A record to store. A dict with the same keys is accepted too."""

    external_id: str
    data: dict[str, Any]
    entity_type: str | None = None


@dataclass(frozen=True, slots=True)
class UpsertResult:
    """The number of records that a write created, updated and left unchanged."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: UpsertResult) -> UpsertResult:
        return UpsertResult(
            created=self.created + other.created,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """The counts of a sync, and the entity after it.

    `run_id` is the run that the sync was part of, or None for a call of `sync_records`.
    """

    entity: Entity
    created: int
    updated: int
    unchanged: int
    deleted: int
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The latest state of a record that changed, at revision `rev`.

    `action` is `added` for a record created after the reader's `after`, `deleted` for a tombstone
    and `updated` otherwise. Several changes of one record are reported as one.
    """

    action: Action
    record: Record
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes(Items[Change]):
    """A part of the change feed, ordered by revision.

    Continue with `after=changes.next` while `more` is true. Tombstones up to revision `purged` may
    have been removed, so deletions up to there may be missing.
    """

    items: list[Change]
    next: int
    more: bool
    purged: int = 0


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition of a filter in list form: `Filter("price", "gte", 10)`."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key: `Sort("price", "desc")`."""

    field: str
    direction: str = "asc"


Filters = Sequence[Filter | Mapping[str, Any]] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The filter, the order and the page of a query, and the fields to return.

    `filters` is a list of `Filter`, all of which must hold, or a Mongo-style mapping.
    `limit=None` returns all records; by default a page has at most 100, and iteration no limit.
    `cursor` continues after a page and excludes `offset`. `fields` are dotted paths into `data`:
    only these are returned; None returns whole documents.
    """

    filters: Filters = ()
    sort: Sequence[Sort | Mapping[str, Any]] = ()
    limit: int | Unset | None = UNSET
    offset: int = 0
    cursor: str | None = None
    fields: Sequence[str] | None = None


RecordLike = RecordInput | Mapping[str, Any]
