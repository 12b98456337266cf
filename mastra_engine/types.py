"""The values that go in and come out of every engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar
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
#: A piece of a message: an object with a `type`, such as `{"type": "text", "text": "Hello"}`.
Part = dict[str, Any]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
#: Of these a sync and connection have one run at most.
ACTIVE: tuple[RunStatus, ...] = ("queued", "running")

#: Counting what waits stops here: a larger number says no more.
COUNTED = 10_000


class Unset(Enum):
    """The type of UNSET: an argument that was not given, where None means something."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return self.name


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What somebody may touch; None is everything. `engine.within()` takes the same."""

    resource_ids: frozenset[str] | None = None
    connection_ids: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None


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


@dataclass(frozen=True, slots=True)
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
class Progress:
    """How far a sync says it is; `total` is None while it does not know."""

    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncError:
    """Why a run failed: the exception's type, its message without secrets, and the place.

    `place` is the innermost "module:function:line" in the sync's own module, or None.
    """

    type: str
    message: str
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One run of a declared sync on a connection.

    The counts are of what its pages committed. `start_rev` is the entity's `rev` when it began,
    from where the change feed tells what it changed.
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
class SyncPage:
    """A page that a run committed: what it did, in which attempt, and the checkpoint after it.

    The counts of a run's pages add up to the run's own.
    """

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
    """The latest state of a record that changed; `added` means made after the reader's `after`.

    One made before, and changed before the reader came to it, is told of as `updated` alone.
    """

    action: Action
    record: Record
    rev: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A stretch of the change feed, by `rev`; read on with `after=changes.next`.

    Of the deletions up to `purged` some are not told any more.
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

    filters: Sequence[Filter | Mapping[str, Any]] | Mapping[str, Any] = ()
    sort: Sequence[Sort | Mapping[str, Any]] = ()
    limit: int | None = None
    offset: int = 0
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """A set of vectors of one length, searched by one metric.

    `status` is that of its search structure: while it is not `ready`, search is exact and slower.
    `progress`, 0 to 1, is there while it is being built.
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
    """What a search found; larger scores are closer. `vector` is there when it was asked for."""

    id: str
    score: float
    document: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: list[float] | None = None
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVector:
    """A vector as it is kept, with what belongs to it."""

    id: str
    vector: list[float]
    document: str | None
    metadata: dict[str, Any]
    namespace: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMatch:
    """A record that a search found, and its passage that matched best.

    `index` holds the passage, `chunk` counts a record's passages from 0, and `metadata` is what
    the declaration of the index made of the record. `start` and `end` say where in the record's
    text the passage is, in characters, if what cut it said so.
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
    """How far a declared index is with the records of an entity.

    `connections` have the entity; of so many the index has been `complete`. `pending` records,
    counted up to 10,000 of each, have changed since, the first of them at `waiting_since`.
    """

    entity: str
    index: str
    connections: int
    complete: int
    pending: int
    waiting_since: datetime | None


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of a reranked score counts; together 1."""

    semantic: float = 0.4
    vector: float = 0.4
    position: float = 0.2


@dataclass(frozen=True, slots=True)
class RerankedMatch:
    """A match with its new score and the parts that make it up, each before its weight."""

    match: Match
    score: float
    semantic: float
    vector: float
    position: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation of a resource, which is whoever or whatever the memory belongs to.

    `version` counts the changes of its title and metadata; messages do not change it.
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
    """A message. Positions in a thread are 1, 2, 3 … in the order of commits."""

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
    """A message on its way in; a dict with the same keys does as well.

    `created_at` is for what was said before, elsewhere; otherwise it is the time of saving.
    """

    role: str
    content: str | Sequence[Mapping[str, Any]]
    id: str | None = None
    tool_call_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    created_at: datetime | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalledMessage(Message):
    """A message that a recall brought up; `score` is None for a neighbour of a hit."""

    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingMemory:
    """What an agent keeps in mind of a resource or in a thread; version 0 is nothing yet."""

    content: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """How much of a subject there was, and is no more; or would be, in a dry run."""

    threads: int = 0
    messages: int = 0
    working_memory: int = 0
    vectors: int = 0
    entities: int = 0
    records: int = 0
    sync_runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryView:
    """A thread's latest messages, oldest first, and what else an agent would want beside them."""

    thread: Thread
    messages: list[Message]
    recalled: list[RecalledMessage]
    working_memory: WorkingMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextWindow:
    """The newest messages that fit, oldest first, in the format asked for.

    `system` is apart from the messages in Anthropic's format only. `truncated` says that older
    messages were left out.
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
