"""The values that go in and come out of every engine, and what makes them valid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from mastra_engine.exceptions import InvalidInput
from mastra_engine.jsonb import canonical, pointer, text_fault

T = TypeVar("T")

MAX_NAME_BYTES = 512
MAX_COUNT = 2**62  # a bigint with room to add
CHUNK_RECORDS = 5_000
CHUNK_BYTES = 16 * 1024 * 1024

Action = Literal["added", "updated", "deleted"]
WriteMode = Literal["replace", "merge"]
SyncMode = Literal["incremental", "full"]


class Unset(Enum):
    """The type of UNSET: an argument that was not given, where None means something."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A kind of thing that a connection has, such as the "Contacts" of one user's CRM."""

    id: UUID
    name: str
    connection_id: str
    last_sync_id: str | None
    rev: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One thing of an entity, as the outside system last gave it."""

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
    """A record on its way in; a dict with the same keys does as well."""

    external_id: str
    data: dict[str, Any]
    entity_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertResult:
    """How many records a write made, changed and found as they were."""

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
    """What a sync did. `run_id` names the run of a declared sync that it was part of."""

    entity: Entity
    created: int
    updated: int
    unchanged: int
    deleted: int
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The latest state of a record that changed; `added` means new to this reader."""

    action: Action
    record: Record
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A stretch of the change feed, by `rev`; read on with `after=changes.next`."""

    items: list[Change]
    next: int
    more: bool

    def __iter__(self) -> Iterator[Change]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and the cursor of the next page, or None on the last one."""

    items: list[T]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition of a list-form filter: `Filter("price", "gte", 10)`."""

    field: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class Sort:
    """One sort key: `Sort("price", "desc")`."""

    field: str
    direction: str = "asc"


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What to select, in which order, and how much of it.

    `filters` is a list of `Filter` (all must hold) or a Mongo-style mapping. `limit=None` means
    all. `cursor` continues after a page and excludes `offset`.
    """

    filters: list[Filter | Mapping[str, Any]] | Mapping[str, Any] = field(default_factory=list)
    sort: list[Sort | Mapping[str, Any]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None


RecordLike = RecordInput | Mapping[str, Any]


def text(value: Any, path: str) -> str:
    """Return `value` if it is text that fits PostgreSQL."""
    if not isinstance(value, str):
        raise InvalidInput(f"must be text, not {type(value).__name__}", path=path)
    if (fault := text_fault(value)) is not None:
        raise InvalidInput(fault, path=path)
    return str(value)


def name(value: Any, path: str) -> str:
    """Return `value` if it can be an id or a name: text of 1 to 512 bytes."""
    named = text(value, path)
    if not named:
        raise InvalidInput("must not be empty", path=path)
    if len(named.encode()) > MAX_NAME_BYTES:
        raise InvalidInput(f"is longer than {MAX_NAME_BYTES} bytes", path=path)
    return named


def names(values: Any, path: str) -> list[str]:
    """Return the distinct names of an iterable of them, in its order."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidInput("must be a list of text", path=path)
    return list(dict.fromkeys(name(value, f"{path}/{i}") for i, value in enumerate(values)))


def count(
    value: Any, path: str, *, least: int = 0, error: type[InvalidInput] = InvalidInput
) -> int:
    """Return `value` if it is an integer from `least` to 2^62."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise error(f"must be an integer, not {type(value).__name__}", path=path)
    if not least <= value <= MAX_COUNT:
        raise error(f"must be from {least} to {MAX_COUNT}", path=path)
    return value


def choice(value: Any, path: str, *allowed: str) -> str:
    """Return `value` if it is one of `allowed`."""
    if value not in allowed:
        raise InvalidInput(f"must be one of {', '.join(allowed)}", path=path)
    return str(value)


def uuid(value: Any, path: str) -> UUID:
    """Return `value` as a UUID; its text form is accepted."""
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (TypeError, ValueError, AttributeError):
        raise InvalidInput("must be a UUID", path=path) from None


def record_chunks(records: Any, *, entity_type: str) -> Iterator[dict[str, bytes]]:
    """Read `records` once and yield it as chunks of {external_id: canonical JSON}.

    A chunk holds at most 5,000 records or about 16 MiB, so that a generator of any length passes
    through flat memory. Within a chunk the last of several records with one id wins.
    """
    if isinstance(records, str | bytes | Mapping) or not isinstance(records, Iterable):
        raise InvalidInput("must be an iterable of records", path="/records")
    chunk: dict[str, bytes] = {}
    weight = 0
    for position, record in enumerate(records):
        external_id, data = _parts(record, position, entity_type)
        raw = canonical(data, ("records", position, "data"))
        chunk[external_id] = raw
        weight += len(raw)
        if len(chunk) == CHUNK_RECORDS or weight > CHUNK_BYTES:
            yield chunk
            chunk, weight = {}, 0
    if chunk:
        yield chunk


_ALIASES: dict[Any, str] = {"externalId": "external_id", "entityType": "entity_type"}
_RECORD_KEYS = {"external_id", "data", "entity_type"}


def _parts(record: Any, position: int, entity_type: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(record, RecordInput):
        record = _record_input(record, position)
    if record.entity_type is not None and record.entity_type != entity_type:
        raise InvalidInput(
            f"is not the entity written to, {entity_type!r}",
            path=f"/records/{position}/entity_type",
        )
    if not isinstance(record.data, dict):
        raise InvalidInput("must be a JSON object", path=f"/records/{position}/data")
    return name(record.external_id, f"/records/{position}/external_id"), record.data


def _record_input(record: Any, position: int) -> RecordInput:
    if not isinstance(record, Mapping):
        raise InvalidInput("must be a record", path=f"/records/{position}")
    given: dict[str, Any] = {}
    for key, value in record.items():
        meant = _ALIASES.get(key, key)
        if meant not in _RECORD_KEYS or meant in given:
            raise InvalidInput("is not a key of a record", path=pointer(("records", position, key)))
        given[meant] = value
    for key in ("external_id", "data"):
        if key not in given:
            raise InvalidInput("is missing", path=f"/records/{position}/{key}")
    return RecordInput(**given)
