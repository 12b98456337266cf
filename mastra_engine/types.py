"""The values that engines accept and return."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar, cast
from uuid import UUID

T = TypeVar("T")

Metric = Literal["cosine", "euclidean", "dotproduct"]
IndexType = Literal["hnsw", "ivfflat", "flat"]
Storage = Literal["vector", "halfvec"]
IndexStatus = Literal["ready", "building", "invalid", "missing"]
Action = Literal["added", "updated", "deleted"]
WriteMode = Literal["replace", "merge"]
SyncMode = Literal["incremental", "full"]
Role = Literal["system", "user", "assistant", "tool"]
Order = Literal["asc", "desc"]
RecallScope = Literal["thread", "resource"]
ToolFormat = Literal["openai", "anthropic"]
WindowFormat = Literal["raw", "openai", "anthropic"]
#: One part of a message's content, such as `{"type": "text", "text": "Hello"}`.
Part = dict[str, Any]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
SyncStatus = Literal["idle", "queued", "running", "paused", "failed"]
#: A sync has at most one run with one of these statuses per connection.
ACTIVE: tuple[RunStatus, ...] = ("queued", "running")

#: Pending work is counted up to this number, because counting all of it could take long.
COUNTED = 10_000


class Unset(Enum):
    """The type of UNSET, the default of arguments for which None is a value of its own."""

    UNSET = 0  # not text, because enum members with text are accepted as text

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The owners that an engine is restricted to, as `engine.within()` takes them.

    None does not restrict; an empty set allows nothing.
    """

    resource_ids: frozenset[str] | None = None
    connection_ids: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None


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
class Progress:
    """The progress that a sync reports; `total` is None while it is unknown."""

    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncError:
    """The exception that made a run fail: its type, its redacted message and its place.

    `place` is the innermost "module:function:line" in the sync's own module, or None.
    """

    type: str
    message: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of a declared sync on a connection.

    The counts are the sums over its committed pages. `start_rev` is the entity's revision when the
    run started, so `get_changes(after=run.start_rev)` returns the run's changes. The lease expires
    at `lease_expires_at` unless the worker renews it.
    """

    id: UUID
    sync: str
    connection_id: str
    entity_id: UUID
    entity: str
    mode: SyncMode
    status: RunStatus
    params: dict[str, Any]
    checkpoint: Any
    progress: Progress | None
    pages: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    attempts: int
    error: SyncError | None
    start_rev: int | None
    lease_expires_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """A declared sync of one connection, which its runs belong to.

    `checkpoint` is the state that the next incremental run with the parameters of the last run
    resumes from. `status` is `paused`, that of the active run, `failed` if the last run failed,
    and otherwise `idle`.
    """

    sync: str
    connection_id: str
    entity_id: UUID
    entity: str
    mode: SyncMode
    status: SyncStatus
    checkpoint: Any
    last_run_id: UUID | None
    last_succeeded_at: datetime | None
    paused_at: datetime | None
    created_at: datetime
    updated_at: datetime


def sync_status(*, paused: bool, last_status: str | None) -> SyncStatus:
    """Return the status of a sync, given that of its last run."""
    if paused:
        return "paused"
    if last_status in ("queued", "running", "failed"):
        return cast(SyncStatus, last_status)
    return "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPage:
    """One committed page of a run: its counts, its attempt and the checkpoint after it."""

    number: int
    attempt: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    checkpoint: Any
    committed_at: datetime


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
class Changes:
    """A part of the change feed, ordered by revision.

    Continue with `after=changes.next` while `more` is true. Tombstones up to revision `purged` may
    have been removed, so deletions up to there may be missing.
    """

    items: list[Change]
    next: int
    more: bool
    purged: int = 0

    def __iter__(self) -> Iterator[Change]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The items of one page, and the cursor of the next page; None on the last page."""

    items: list[T]
    next_cursor: str | None = None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


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


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """The filter, the order and the page of a query.

    `filters` is a list of `Filter`, all of which must hold, or a Mongo-style mapping.
    `limit=None` returns all records. `cursor` continues after a page and excludes `offset`.
    """

    filters: Sequence[Filter | Mapping[str, Any]] | Mapping[str, Any] = ()
    sort: Sequence[Sort | Mapping[str, Any]] = ()
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """A set of vectors of one dimension, searched by one metric.

    `status` is the state of the search structure: unless it is `ready`, searches are exact and
    slower. `progress` is the fraction from 0 to 1 that a running build has done, otherwise None.
    """

    name: str
    dimension: int
    metric: Metric
    index_type: IndexType
    storage: Storage
    language: str
    count: int
    size_bytes: int
    status: IndexStatus
    progress: float | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A search result; larger scores are closer. `vector` is set only with `include_vector`."""

    id: str
    score: float
    document: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: list[float] | None = None
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVector:
    """A stored vector with its document and metadata."""

    id: str
    vector: list[float]
    document: str | None
    metadata: dict[str, Any]
    namespace: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatch:
    """A record that matches a search, with the text of its best matching chunk as `passage`.

    `chunk` is the chunk's position in the record, from 0, and `index` the vector index that holds
    it. `metadata` is computed by the `metadata` function of the index's declaration. `start` and
    `end` delimit the chunk in the record's text, in characters, if the chunker reports offsets.
    """

    record: Record
    score: float
    passage: str
    index: str
    chunk: int
    start: int | None = None
    end: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    """The progress of a declared index over the records of an entity.

    `connections` is the number of connections that have the entity; for `complete` of them the
    index has covered all records at least once. `pending` records have changed since, counted up
    to 10,000 per connection; the oldest of these changes is from `waiting_since`.
    """

    entity: str
    index: str
    connections: int
    complete: int
    pending: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each part of a reranked score; the weights add up to 1."""

    semantic: float = 0.4
    vector: float = 0.4
    position: float = 0.2


@dataclass(frozen=True, slots=True)
class RerankedMatch:
    """A match with its new score, and the parts of that score before they were weighted."""

    match: Match
    score: float
    semantic: float
    vector: float
    position: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation. It belongs to a resource, for example a user or an organization.

    `version` is incremented by changes of the title and the metadata, not by messages.
    """

    id: str
    resource_id: str
    title: str
    metadata: dict[str, Any]
    version: int
    message_count: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A stored message. Positions in a thread are 1, 2, 3 … in the order of commits.

    A message keeps its position, so a deletion leaves a gap. `tokens` is the number of tokens
    that the engine's tokenizer counted. `tool_call_id` names the call that a tool message answers.
    """

    id: str
    thread_id: str
    position: int
    role: Role
    content: list[Part]
    tool_call_id: str | None
    tokens: int
    metadata: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MessageInput:
    """A message to store. A dict with the same keys is accepted too.

    `created_at` is for messages that were written earlier; the default is the time of saving.
    """

    role: str
    content: str | Sequence[Mapping[str, Any]]
    id: str | None = None
    tool_call_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    created_at: datetime | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledMessage(Message):
    """A message that matches a recall; `score` is None for a neighbour of a match."""

    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingMemory:
    """The working memory of a resource or a thread: a text and a JSON object.

    `version` counts its changes; it is 0 before the first one.
    """

    content: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """The number of objects that an erasure deleted, or would delete in a dry run."""

    threads: int = 0
    messages: int = 0
    working_memory: int = 0
    vectors: int = 0
    entities: int = 0
    records: int = 0
    sync_runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """The latest messages of a thread, oldest first, recalled messages and the working memory."""

    thread: Thread
    messages: list[Message]
    recalled: list[RecalledMessage]
    working_memory: WorkingMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextWindow:
    """The newest messages that fit the token budget, oldest first, in the requested format.

    `system` is set in Anthropic's format only, which keeps the system text apart from the
    messages. `truncated` is true if older messages were omitted. `tokens` includes the preamble.
    """

    messages: list[Any]
    tokens: int
    truncated: bool
    system: str | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)


RecordLike = RecordInput | Mapping[str, Any]
MessageLike = MessageInput | Mapping[str, Any]


# Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A query with the ids that a good search finds for it.

    `filter`, `connection_id` and `resource_id` are passed to the search if they are set.
    """

    query: str
    expected_ids: Sequence[str]
    filter: Any = None
    connection_id: str | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The rank of each expected id of a case, counted from 1; None if the id was not found."""

    case: Case
    ranks: dict[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over cases with the limits of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The metrics of a search over labelled cases, and the ranks in each case.

    `metrics` has `recall@k` and `ndcg@k` for each cut-off k, and `mrr`.
    """

    metrics: dict[str, Estimate]
    cases: list[CaseResult]
