"""The rows of a mock engine.

JSON values are stored as text, so that no caller can change a stored value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.facts.claims import Claim
from mastra_engine.backends.base.memory.store import NewThread
from mastra_engine.backends.base.state.store import ItemKey, Namespace, WrittenItem
from mastra_engine.backends.base.vectors.candidates import Candidate
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.types import (
    Entity,
    Fact,
    FactSource,
    Match,
    Message,
    Record,
    Role,
    StateItem,
    StoredVector,
    SyncLogLine,
    SyncMode,
    SyncPage,
    SyncRun,
    Thread,
    WorkingMemory,
)
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import IndexDefinition


def now() -> datetime:
    """Return the current time in UTC, aware like the database's."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RecordRow:
    """A record."""

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

    def restore(self, copy: EntityRow) -> None:
        """Set all fields to those of a copy; writers that hold this row continue with them."""
        for column in fields(self):
            setattr(self, column.name, getattr(copy, column.name))

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


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A message."""

    id: str
    thread_id: str
    position: int
    role: Role
    content: bytes
    text: str
    tool_call_id: str | None
    tokens: int
    metadata: bytes
    created_at: datetime
    embedded: bool = False

    def to_value(self) -> Message:
        return Message(
            id=self.id,
            thread_id=self.thread_id,
            position=self.position,
            role=self.role,
            content=loads(self.content),
            tool_call_id=self.tool_call_id,
            tokens=self.tokens,
            metadata=loads(self.metadata),
            created_at=self.created_at,
        )


@dataclass(frozen=True, slots=True)
class AppendRow:
    """The positions of the messages that were appended with an idempotency key."""

    body_hash: bytes
    positions: range


@dataclass(slots=True, kw_only=True)
class ThreadRow:
    """A thread with its messages by id, in the order of their positions."""

    id: str
    resource_id: str
    title: str
    metadata: bytes
    created_at: datetime
    updated_at: datetime
    version: int = 1
    last_position: int = 0
    #: The position up to which the messages were read for facts, and the claim on the next ones.
    read_position: int = 0
    read_until: datetime | None = None
    messages: dict[str, MessageRow] = field(default_factory=dict)
    appends: dict[str, AppendRow] = field(default_factory=dict)

    @classmethod
    def of(cls, new: NewThread) -> ThreadRow:
        moment = now()
        return cls(
            id=new.id,
            resource_id=new.resource_id,
            title=new.title,
            metadata=new.metadata,
            created_at=moment,
            updated_at=moment,
        )

    def copy(self) -> ThreadRow:
        return replace(self, messages=dict(self.messages), appends=dict(self.appends))

    def append(self, messages: Sequence[NewMessage]) -> range:
        """Append messages with new ids, and return their positions."""
        moment = self.updated_at = max(self.updated_at, now())
        first = self.last_position + 1
        for position, new in enumerate(messages, start=first):
            self.messages[new.id] = MessageRow(
                id=new.id,
                thread_id=self.id,
                position=position,
                role=new.role,
                content=new.content,
                text=new.text,
                tool_call_id=new.tool_call_id,
                tokens=new.tokens,
                metadata=new.metadata,
                created_at=new.created_at or moment,
            )
        self.last_position += len(messages)
        return range(first, self.last_position + 1)

    def copy_from(self, source: ThreadRow, *, up_to: int | None) -> None:
        """Copy another thread's messages up to a position into this empty one."""
        for row in source.messages.values():
            if up_to is None or row.position <= up_to:
                self.last_position += 1
                id = str(uuid7())
                self.messages[id] = replace(
                    row, id=id, thread_id=self.id, position=self.last_position, embedded=False
                )

    def at(self, positions: range) -> list[MessageRow]:
        """Return the messages at positions, without deleted ones."""
        return [row for row in self.messages.values() if row.position in positions]

    def to_value(self) -> Thread:
        return Thread(
            id=self.id,
            resource_id=self.resource_id,
            title=self.title,
            metadata=loads(self.metadata),
            version=self.version,
            message_count=len(self.messages),
            created_at=self.created_at,
            updated_at=self.updated_at,
        )


@dataclass(frozen=True, slots=True)
class WorkingMemoryRow:
    """The working memory of a resource or thread."""

    content: str = ""
    data: bytes = b"{}"
    version: int = 0

    def to_value(self) -> WorkingMemory:
        return WorkingMemory(content=self.content, data=loads(self.data), version=self.version)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item of agent state, or without a value the tombstone of a deleted one."""

    namespace: Namespace
    key: str
    created_at: datetime
    id: UUID = field(default_factory=uuid7)
    value: bytes | None = None
    version: int = 0
    fields: tuple[str, ...] | None = ()
    is_pending: bool = False
    is_indexed: bool = False
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    lifetime: float | None = None

    @property
    def place(self) -> ItemKey:
        """The namespace and the key."""
        return self.namespace, self.key

    def exists(self, moment: datetime) -> bool:
        """Return whether the item was neither deleted nor had expired at a moment."""
        return self.value is not None and (self.expires_at is None or self.expires_at > moment)

    def deleted(self) -> ItemRow:
        """Return the tombstone of the item."""
        return replace(
            self, value=None, fields=(), is_pending=False, expires_at=None, lifetime=None
        )

    def to_value(self) -> StateItem:
        return StateItem(
            namespace=self.namespace,
            key=self.key,
            value=loads(self.value or b"{}"),
            version=self.version,
            created_at=self.created_at,
            updated_at=self.updated_at or self.created_at,
            expires_at=self.expires_at,
        )

    def to_written(self) -> WrittenItem:
        return WrittenItem(
            id=self.id,
            resource_id=self.namespace[0],
            item=None if self.value is None else self.to_value(),
            is_indexed=self.is_indexed,
            is_pending=self.is_pending,
        )


#: An end of validity later than all others.
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FactRow:
    """A version of a claim with its sources, and its ends with the times they became known."""

    fact: Fact
    claim: Claim
    alias_keys: tuple[UUID, ...] = ()
    ends: tuple[tuple[datetime, datetime], ...] = ()
    sources: tuple[FactSource, ...] = ()
    is_indexed: bool = False

    @property
    def is_current(self) -> bool:
        return self.fact.superseded_at is None and self.fact.retracted_at is None

    @property
    def end(self) -> datetime:
        return self.end_known_at(None)

    def end_known_at(self, known_at: datetime | None) -> datetime:
        """Return the end of the validity as it was known at a time; None is now."""
        ends = (end for end, since in self.ends if known_at is None or since <= known_at)
        return min(ends, default=NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRow:
    """A declared sync of one connection; its checkpoints are pairs of parameters and value."""

    sync: str
    connection_id: str
    entity_id: UUID
    mode: SyncMode
    created_at: datetime
    updated_at: datetime
    checkpoints: tuple[tuple[dict[str, Any], Any], ...] = ()
    last_run_id: UUID | None = None
    last_succeeded_at: datetime | None = None
    paused_at: datetime | None = None

    def with_checkpoint(self, params: dict[str, Any], checkpoint: Any, **changes: Any) -> SyncRow:
        """Return the row with the checkpoint of the last run."""
        others = tuple(entry for entry in self.checkpoints if entry[0] != params)
        checkpoints = (*others, (params, checkpoint))
        return replace(self, checkpoints=checkpoints, updated_at=now(), **changes)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A sync run with the fencing token of its worker, its pages and their unchanged revisions."""

    run: SyncRun
    lease_token: UUID | None = None
    pages: tuple[SyncPage, ...] = ()
    unchanged_revs: tuple[bytes, ...] = ()
    log: list[SyncLogLine] = field(default_factory=list)


@dataclass(slots=True)
class IndexProgressRow:
    """The progress of an index in the change feed of an entity."""

    rev: int = 0
    complete: bool = False
    claimed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """A vector with its document and metadata; the metadata is JSON text."""

    id: str
    namespace: str
    vector: tuple[float, ...]
    metadata: bytes
    document: str | None
    created_at: datetime
    updated_at: datetime

    def to_value(self) -> StoredVector:
        return StoredVector(
            id=self.id,
            vector=list(self.vector),
            document=self.document,
            metadata=loads(self.metadata),
            namespace=self.namespace,
            created_at=self.created_at,
            updated_at=self.updated_at,
        )

    def to_match(self, score: float, *, with_vector: bool = False) -> Match:
        return Match(
            id=self.id,
            score=score,
            document=self.document,
            metadata=loads(self.metadata),
            vector=list(self.vector) if with_vector else None,
            namespace=self.namespace,
        )

    def to_candidate(
        self, similarity: float | None, words: dict[str, float], *, with_vector: bool
    ) -> Candidate:
        return Candidate(
            id=self.id,
            namespace=self.namespace,
            document=self.document,
            metadata=loads(self.metadata),
            vector=list(self.vector) if with_vector else None,
            similarity=similarity,
            words=words,
        )


@dataclass(slots=True)
class IndexRows:
    """An index and its vectors by namespace and id."""

    definition: IndexDefinition
    rows: dict[tuple[str, str], EmbeddingRow] = field(default_factory=dict)
    #: The progress of the index in the change feeds of entities.
    index_progress: dict[UUID, IndexProgressRow] = field(default_factory=dict)
