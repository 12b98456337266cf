"""Bringing what one index holds of one entity up to date, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from math import inf
from typing import Any
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.record_search.progress import IndexProgress, IndexProgressStore
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
    embed_batches,
    embed_query,
    require_embedder,
)
from mastra_engine.types import Change, Changes, Entity, Record
from mastra_engine.validation.inputs import MAX_COUNT, text
from mastra_engine.validation.vectors import IndexDefinition, VectorRow, vector_rows
from mastra_engine.validation.vectors import vector as checked_vector

#: How many changes are read at a time, and about how many passages are stored at a time.
PAGE, BATCH = 256, 256

Watch = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a record on its way into an index."""

    id: str
    text: str
    metadata: dict[str, Any]


@dataclass(slots=True)
class Batch:
    """Changes that are stored together, up to `rev`."""

    rev: int = 0
    records: list[str] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)

    def add(self, change: Change, passages: list[Passage]) -> None:
        self.rev = change.rev
        self.records.append(str(change.record.id))
        self.passages += passages


class Indexer:
    """Follows the change feed of an entity from where the index's progress is.

    What it writes commits with the progress's move, which happens only from where it was read: an
    indexer that was overtaken by another writes nothing, and the latest state of a record, being
    further on in the feed, is written last. Nothing is locked while texts are embedded; a claim on
    the progress spares others the same work, and ends by itself.
    """

    def __init__(
        self,
        declared: IndexDeclaration,
        entity: Entity,
        *,
        vectors: Vectors,
        index_progress: IndexProgressStore,
        read: Callable[..., Changes],
        lease: float,
    ) -> None:
        self.declared = declared
        self.entity = entity
        self.vectors = vectors
        self.index_progress = index_progress
        # What was purged before it was read is made up for here.
        self.read = partial(read, entity_id=entity.id, limit=PAGE, purged=MAX_COUNT)
        self.lease = lease
        #: Up to which `rev` it was.
        self.purged = 0

    def work(self, *, limit: float = inf, watch: Watch | None = None) -> int:
        """Deal with changes until there are none, `limit` is reached or another indexer is at it.

        Return how many it were. Raises EntityNotFound or IndexNotFound when either is deleted.
        """
        done = 0
        while done < limit:
            mark = self._mark()
            changes = self._changes(mark)
            if changes is None:
                continue
            if not changes.items:
                break
            for batch in self._batches(changes):
                # Whoever has it looks for changes again, after releasing it, before it ends.
                if not self.index_progress.claim(mark, self.lease):
                    return done
                failpoints.hit("progress_claimed")
                last = not changes.more and batch.rev == changes.items[-1].rev
                rev = changes.next if last else batch.rev
                moved = self._store(batch, mark, rev=rev, last=last)
                if moved is None:
                    break
                failpoints.hit("progress_moved")
                mark = moved
                done += len(batch.records)
                if watch is not None:
                    watch(len(batch.records))
        return done

    def restart(self) -> None:
        """Have everything read anew; meanwhile what is there serves."""
        while True:
            mark = self._mark()
            if self._changes(mark) is None:
                continue
            if self.index_progress.move(mark, rev=0, complete=mark.complete, write=_nothing):
                return

    # Reading

    def _mark(self) -> IndexProgress:
        return self.index_progress.open(self.entity.id, needed_index(self.vectors, self.declared))

    def _changes(self, mark: IndexProgress) -> Changes | None:
        """Read what comes after a progress; None when there was something to be deleted first."""
        changes = self.read(after=mark.rev)
        if changes.purged > max(mark.rev, self.purged):
            scope = scope_of(mark.index, self.entity)
            forget = partial(self.vectors.store.delete_orphaned_chunks, scope, self.entity.id)
            if self.index_progress.move(mark, rev=mark.rev, complete=mark.complete, write=forget):
                self.purged = changes.purged
            return None
        if not changes.items and mark.rev < self.entity.rev:  # purged before it was read
            self.index_progress.move(mark, rev=self.entity.rev, complete=True, write=_nothing)
        return changes

    def _batches(self, changes: Changes) -> Iterator[Batch]:
        batch = Batch()
        for change in changes:
            batch.add(change, self._passages(change))
            if len(batch.passages) >= BATCH:
                yield batch
                batch = Batch()
        if batch.records:
            yield batch

    def _passages(self, change: Change) -> list[Passage]:
        if change.action == "deleted":
            return []
        try:
            return list(self._made_of(change.record))
        except Exception as error:
            id, entity, index = change.record.external_id, self.entity.name, self.declared.index
            error.add_note(f"The record {id!r} of {entity!r} was to be put into {index!r}.")
            raise

    def _made_of(self, record: Record) -> Iterator[Passage]:
        declared = self.declared
        whole = declared.text(record.data)
        if whole is None:
            return
        text(whole, "/text")
        about = {} if declared.metadata is None else dict(declared.metadata(record.data))
        about |= {ENTITY: str(record.entity_id), RECORD: record.external_id}
        pieces = [whole] if declared.chunk is None else declared.chunk(whole)
        for number, piece in enumerate(pieces):
            content = text(getattr(piece, "text", piece), f"/chunk/{number}")[:EXCERPT]
            if content.strip():
                place = {CHUNK: number, **_offsets(piece)}
                yield Passage(f"{record.id}/{number}", content, about | place)

    # Writing

    def _store(
        self, batch: Batch, mark: IndexProgress, *, rev: int, last: bool
    ) -> IndexProgress | None:
        """Embed a batch and store it; None, nothing being stored, where another was faster."""
        try:
            rows = self._embedded(batch.passages, mark.index)
            failpoints.hit("chunks_embedded")
            namespace = self.entity.connection_id

            def write() -> None:
                self.vectors.store.delete_chunks(mark.index, namespace, batch.records)
                failpoints.hit("chunks_deleted")
                self.vectors.store.put(mark.index, namespace, rows, generated=True)
                failpoints.hit("chunks_stored")

            complete = mark.complete or last
            return self.index_progress.move(mark, rev=rev, complete=complete, write=write)
        except BaseException:
            with suppress(EngineError):
                self.index_progress.release(mark)
            raise

    def _embedded(self, passages: list[Passage], index: IndexDefinition) -> list[VectorRow]:
        """Return passages as rows.

        Some embedders give zeros for a text they know nothing of; there is no finding that one.
        """
        texts = [passage.text for passage in passages]
        embedder = needed_embedder(self.vectors, self.declared)
        batches = embed_batches(embedder, texts, dimension=index.dimension)
        pairs = zip(passages, chain.from_iterable(batches), strict=True)
        known = [
            (passage, checked_vector(vector, index, "/vectors"))
            for passage, vector in pairs
            if any(vector)
        ]
        return vector_rows(
            [vector for _, vector in known],
            ids=[passage.id for passage, _ in known],
            metadata=[passage.metadata for passage, _ in known],
            documents=[passage.text for passage, _ in known],
        )


def needed_embedder(vectors: Vectors, declared: IndexDeclaration) -> Embedder:
    """Return what embeds for an index; raises InvalidInput when there is nothing."""
    return declared.embedder or require_embedder(vectors.embedder, "/embedder")


def needed_index(vectors: Vectors, declared: IndexDeclaration) -> IndexDefinition:
    """Return a declared index, made as the settings say or as long as the embedder's vectors."""
    name = declared.index
    index = vectors.indexes.find(name)
    if index is not None:
        return index
    definition = vectors.declared.get(name)
    if definition is None:
        definition = {"dimension": len(embed_query(needed_embedder(vectors, declared), name))}
    vectors.create_index(index_name=name, **definition)
    return vectors.indexes.require(name)


def delete_passages(vectors: Vectors, index: IndexDefinition, entity: Entity) -> None:
    """Delete all passages of an entity."""
    vectors.store.delete(scope_of(index, entity), None)


def scope_of(index: IndexDefinition, entity: Entity) -> VectorScope:
    """Return what an index has of an entity."""
    spaces = frozenset([entity.connection_id])
    return VectorScope(index=index, where=of_entity(entity.id), namespaces=spaces)


def of_entity(entity_id: UUID) -> Node:
    """Return the filter of an entity's passages."""
    return Equals(Field(path=(ENTITY,)), (str(entity_id),))


def _offsets(piece: Any) -> dict[str, int]:
    """Return where in its text a piece is, if it says so as a `Chunk` does."""
    start, end = getattr(piece, "start", None), getattr(piece, "end", None)
    return {START: start, END: end} if isinstance(start, int) and isinstance(end, int) else {}


def _nothing() -> None:
    return None
