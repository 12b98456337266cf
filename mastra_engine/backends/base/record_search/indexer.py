"""Bringing one index up to date with the records of one entity, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.record_search.store import IndexProgress, IndexProgressStore
from mastra_engine.backends.base.steps import Steps
from mastra_engine.backends.base.vectors.embedding import embed_batches
from mastra_engine.backends.base.vectors.engine_index import check_model
from mastra_engine.backends.base.vectors.search import (
    CHUNK,
    END,
    ENTITY,
    RECORD,
    START,
    VectorScope,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import EngineError
from mastra_engine.filters.ast import Equals, Field, Node
from mastra_engine.protocols import Embedder
from mastra_engine.registry import IndexDeclaration
from mastra_engine.retrieval.embedding import (
    EXCERPT,
    embed_query,
    model_name,
    require_embedder,
)
from mastra_engine.types import Change, Changes, Entity, Record
from mastra_engine.validation.inputs import MAX_COUNT, text
from mastra_engine.validation.vectors import (
    AnyVector,
    IndexDefinition,
    VectorRow,
    index_definition,
    vector_rows,
)
from mastra_engine.validation.vectors import vector as checked_vector

#: How many changes are read at a time, and about how many chunks are stored at a time.
PAGE, BATCH = 256, 256
REMEDY = "declare another index that replaces it, see @index_records(replaces=…)"

Watch = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """A chunk of a record that is to be stored in an index."""

    id: str
    text: str
    metadata: dict[str, Any]


@dataclass(slots=True)
class Batch:
    """Changes up to `rev` that are stored together."""

    rev: int = 0
    records: list[str] = field(default_factory=list)
    chunks: list[RecordChunk] = field(default_factory=list)

    def add(self, change: Change, chunks: list[RecordChunk]) -> None:
        """Add a change with the chunks of its record."""
        self.rev = change.rev
        self.records.append(str(change.record.id))
        self.chunks += chunks


class Indexer:
    """Reads the change feed of an entity from an index's progress, and stores the chunks.

    The chunks and the move of the progress are one transaction, which is committed only if the
    progress has not moved since it was read. So an indexer that was overtaken by another one writes
    nothing, and the latest state of a record, which comes last in the feed, is stored last.
    Nothing is locked while texts are embedded. A claim on the progress keeps other indexers from
    doing the same work; it expires by itself.
    """

    def __init__(
        self,
        declared: IndexDeclaration,
        entity: Entity,
        *,
        vectors: Vectors,
        store: IndexProgressStore,
        read: Callable[..., Changes],
        lease: float,
    ) -> None:
        self.declared = declared
        self.entity = entity
        self.vectors = vectors
        self.store = store
        # Purged tombstones need no CursorExpired: `_changes` deletes the chunks of such records.
        self.read = partial(read, entity_id=entity.id, limit=PAGE, purged=MAX_COUNT)
        self.lease = lease
        #: The `purged` of the feed for which such chunks were deleted already.
        self.purged = 0

    def work(self, *, limit: float = inf, watch: Watch | None = None) -> Steps[int]:
        """Index changes until all are indexed, `limit` is reached or another indexer claims them.

        Returns the number of changes. Raises EntityNotFound or IndexNotFound if either is deleted.
        """
        changes_indexed = 0
        while changes_indexed < limit:
            progress = yield from self._progress()
            changes = self._changes(progress)
            if changes is None:
                continue
            if not changes.items:
                break
            for batch in self._batches(changes):
                # The other indexer reads the feed again after it releases its claim, so it also
                # indexes the changes that are skipped here.
                if not self.store.claim(progress, self.lease):
                    return changes_indexed
                failpoints.hit("progress_claimed")
                last = not changes.more and batch.rev == changes.items[-1].rev
                rev = changes.next if last else batch.rev
                moved = yield from self._store(batch, progress, rev=rev, last=last)
                if moved is None:
                    break
                failpoints.hit("progress_moved")
                progress = moved
                changes_indexed += len(batch.records)
                if watch is not None:
                    watch(len(batch.records))
        return changes_indexed

    def restart(self) -> Steps[None]:
        """Start again at `rev` 0; searches use the stored chunks until they are replaced."""
        while True:
            progress = yield from self._progress()
            if self._changes(progress) is None:
                continue
            if self.store.move(progress, rev=0, complete=progress.complete, write=_nothing):
                return

    # Reading

    def _progress(self) -> Steps[IndexProgress]:
        index = yield from needed_index(self.vectors, self.declared)
        return self.store.open(self.entity.id, index)

    def _changes(self, progress: IndexProgress) -> Changes | None:
        """Read the next changes; None if chunks of purged records had to be deleted first."""
        changes = self.read(after=progress.rev)
        complete = progress.complete
        if changes.purged > max(progress.rev, self.purged):
            scope = scope_of(progress.index, self.entity)
            delete = partial(self.vectors.store.delete_orphaned_chunks, scope, self.entity.id)
            if self.store.move(progress, rev=progress.rev, complete=complete, write=delete):
                self.purged = changes.purged
            return None
        if (
            not changes.items and progress.rev < self.entity.rev
        ):  # The remaining changes were purged.
            self.store.move(progress, rev=self.entity.rev, complete=True, write=_nothing)
        return changes

    def _batches(self, changes: Changes) -> Iterator[Batch]:
        batch = Batch()
        for change in changes:
            batch.add(change, self._chunks(change))
            if len(batch.chunks) >= BATCH:
                yield batch
                batch = Batch()
        if batch.records:
            yield batch

    def _chunks(self, change: Change) -> list[RecordChunk]:
        if change.action == "deleted":
            return []
        try:
            return list(self._chunks_of(change.record))
        except Exception as error:
            id, entity, index = change.record.external_id, self.entity.name, self.declared.index
            error.add_note(f"While indexing the record {id!r} of {entity!r} in {index!r}.")
            raise

    def _chunks_of(self, record: Record) -> Iterator[RecordChunk]:
        declared = self.declared
        document = declared.text(record.data)
        if document is None:
            return
        document = text(document, "/text")
        metadata = {} if declared.metadata is None else dict(declared.metadata(record.data))
        metadata |= {ENTITY: str(record.entity_id), RECORD: record.external_id}
        parts = [document] if declared.chunk is None else declared.chunk(document)
        for number, part in enumerate(parts):
            content = text(getattr(part, "text", part), f"/chunk/{number}")[:EXCERPT]
            if content.strip():
                place = {CHUNK: number, **_offsets(part)}
                yield RecordChunk(f"{record.id}/{number}", content, metadata | place)

    # Writing

    def _store(
        self, batch: Batch, progress: IndexProgress, *, rev: int, last: bool
    ) -> Steps[IndexProgress | None]:
        """Embed and store a batch; returns None, storing nothing, if another indexer was faster."""
        try:
            rows = yield from self._embedded(batch.chunks, progress.index)
            failpoints.hit("chunks_embedded")
            namespace = self.entity.connection_id

            def write() -> None:
                self.vectors.store.delete_chunks(progress.index, namespace, batch.records)
                failpoints.hit("chunks_deleted")
                self.vectors.store.put(progress.index, namespace, rows, generated=True)
                failpoints.hit("chunks_stored")

            complete = progress.complete or last
            return self.store.move(progress, rev=rev, complete=complete, write=write)
        except BaseException:
            with suppress(EngineError):
                self.store.release(progress)
            raise

    def _embedded(
        self, chunks: list[RecordChunk], index: IndexDefinition
    ) -> Steps[list[VectorRow]]:
        """Return chunks as rows, without those that the embedder returns only zeros for.

        Some embedders return zeros for a text without known words; such a vector cannot be found.
        """

        def convert(batch: Any, _: int) -> list[AnyVector | None]:
            return [
                checked_vector(vector, index, "/vectors") if any(vector) else None
                for vector in batch
            ]

        texts = [chunk.text for chunk in chunks]
        embedder = needed_embedder(self.vectors, self.declared)
        vectors = yield from embed_batches(embedder, texts, convert, dimension=index.dimension)
        pairs = zip(chunks, vectors, strict=True)
        embedded = [(chunk, vector) for chunk, vector in pairs if vector is not None]
        return vector_rows(
            [vector for _, vector in embedded],
            ids=[chunk.id for chunk, _ in embedded],
            metadata=[chunk.metadata for chunk, _ in embedded],
            documents=[chunk.text for chunk, _ in embedded],
            reserved=True,
        )


def needed_embedder(vectors: Vectors, declared: IndexDeclaration) -> Embedder:
    """Return the embedder of an index; raises InvalidInput if neither it nor the engine has one."""
    return declared.embedder or require_embedder(vectors.embedder, "/embedder")


def needed_index(vectors: Vectors, declared: IndexDeclaration) -> Steps[IndexDefinition]:
    """Return a declared index, creating it if it does not exist.

    Its definition is in the settings; otherwise its dimension is that of the embedder's vectors.
    Raises OtherModel if it has vectors of another model.
    """
    name, embedder = declared.index, declared.embedder or vectors.embedder
    index = vectors.indexes.find(name)
    if index is None:
        definition = vectors.declared.get(name)
        if definition is None:
            vector = yield partial(embed_query, needed_embedder(vectors, declared), name)
            definition = {"dimension": len(vector)}
        new = index_definition(index_name=name, model=model_name(embedder), **definition)
        index = vectors.store.get_or_create_index(new)
    check_model(index, embedder, index.dimension, path="/embedder", remedy=REMEDY)
    return index


def delete_chunks(vectors: Vectors, index: IndexDefinition, entity: Entity) -> None:
    """Delete all chunks of an entity from an index."""
    vectors.store.delete(scope_of(index, entity), None)


def scope_of(index: IndexDefinition, entity: Entity) -> VectorScope:
    """Return the scope of an entity's chunks in an index."""
    spaces = frozenset([entity.connection_id])
    return VectorScope(index=index, where=of_entity(entity.id), namespaces=spaces)


def of_entity(entity_id: UUID) -> Node:
    """Return the filter of an entity's chunks."""
    return Equals(Field(path=(ENTITY,)), (str(entity_id),))


def _offsets(part: Any) -> dict[str, int]:
    """Return the offsets of a chunk in its text, if it has them as a `Chunk` does."""
    start, end = getattr(part, "start", None), getattr(part, "end", None)
    return {START: start, END: end} if isinstance(start, int) and isinstance(end, int) else {}


def _nothing() -> None:
    return None
