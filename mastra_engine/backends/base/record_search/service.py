"""Records in vector indexes: keeping the indexes up to date, and searching them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from copy import copy
from math import inf
from typing import Any, Self
from uuid import UUID

from mastra_engine.backends.base.record_search.indexer import (
    Indexer,
    Watch,
    delete_chunks,
    needed_index,
)
from mastra_engine.backends.base.record_search.search import (
    IndexedEntity,
    Search,
    record_match,
    serving,
)
from mastra_engine.backends.base.record_search.store import IndexProgressStore
from mastra_engine.backends.base.records.paging import query_by_ids
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.scope import UNRESTRICTED, Scope, connection_in, connections_in
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.backends.base.vectors.search import (
    resolve_reranker,
    validated_query_text,
    vector_query,
)
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import EntityNotFound, IndexNotFound, Unavailable, quoted
from mastra_engine.filters.ast import RECORD_COLUMNS, FieldTree
from mastra_engine.filters.parsing import parse_fields, parse_optional_filter
from mastra_engine.protocols import Reranks, RunQueue
from mastra_engine.registry import IndexDeclaration, registry
from mastra_engine.types import Entity, Indexing, Match, RecordMatch, VectorIndex
from mastra_engine.validation.inputs import name

logger = logging.getLogger("mastra_engine.indexing")

#: How many changes of an entity a search indexes itself, if no other process is indexing them.
CATCH_UP = 1_024
ENTITIES_PAGE = 100


class RecordSearch:
    """Records in the vector indexes that the project declares with `@index_records`.

    Available as `engine.record_search`. The chunks of a connection's records are in the namespace
    of the connection's id.
    """

    def __init__(
        self,
        store: IndexProgressStore,
        *,
        records: Records,
        vectors: Vectors,
        lease_seconds: float,
        queue: RunQueue | None = None,
    ) -> None:
        self.store = store
        self.records = records
        self.vectors = vectors
        #: Seconds after which another process may take over the work of a silent indexer.
        self.lease_seconds = lease_seconds
        #: Sends entities to the workers that index them. Without a queue they are indexed in this
        #: process after the commit.
        self.queue = queue
        #: Whether records are indexed when they are written, or only by index_pending().
        self.indexes_at_once = True
        self.scope = UNRESTRICTED

    def in_scope(self, scope: Scope) -> Self:
        """Return a copy of this service that is restricted to a scope's connections."""
        scoped = copy(self)
        scoped.scope = scope
        return scoped

    @in_steps
    def search_records(
        self,
        *,
        query: str,
        connection_id: str,
        entity_name: str | None = None,
        top_k: int = 10,
        filter: Any = None,
        hybrid: bool | float = True,
        reranker: Reranks | bool | None = None,
        min_score: float | None = None,
        fields: Sequence[str] | None = None,
        explain: bool = False,
    ) -> Steps[list[RecordMatch]]:
        """Return the `top_k` records of a connection that answer `query` best, the best first.

        Each record is returned once, with its best chunk; ties are ordered by `external_id`.
        `filter` applies to the records' data; `top_k` records are returned whenever so many
        satisfy it. `hybrid`, `reranker`, `min_score` and `explain` are those of `vectors.query()`.
        `fields` are dotted paths into the data: only these are returned, by default all.
        Changes that no process is indexing are indexed first, up to 1,024 per entity.

        Raises IndexNotFound if no index is declared for the entity, EntityNotFound for a
        connection outside the scope, InvalidFilter, and InvalidInput without an embedder.
        """
        connection = connection_in(self.scope, name(connection_id, "/connection_id"))
        request = vector_query(
            query_text=validated_query_text(query, "/query"),
            top_k=top_k,
            filter=None,
            min_score=min_score,
            hybrid=hybrid,
            reranker=resolve_reranker(reranker, self.vectors.reranker, hybrid=hybrid),
            explain=explain,
        )
        where = parse_optional_filter(filter, columns=RECORD_COLUMNS)
        returned = parse_fields(fields)
        indexed = yield from self._indexed_entities(self._declared(entity_name, None), connection)
        matches = yield from Search(self.vectors, connection, request, where).run(indexed)
        return self._with_records(matches, indexed, returned)

    @in_steps
    def index_pending(
        self,
        *,
        entity_name: str | None = None,
        connection_id: str | None = None,
        index_name: str | None = None,
        rebuild: bool = False,
        watch: Watch | None = None,
    ) -> Steps[int]:
        """Bring declared indexes up to date, and return how many changes were indexed.

        Several processes may call it at once, and each may be killed at any time; entities that
        another process is indexing are skipped. `rebuild` reads all records again, and searches
        use the old vectors until they are replaced. `watch` is called with the number of changes
        after each batch. If an entity fails, the others are indexed before its error is raised.

        Raises IndexNotFound if no such index is declared.
        """
        connections = self._connections(connection_id)
        failure: Exception | None = None
        changes_indexed = 0
        for declared in self._declared(entity_name, index_name):
            for entity in self._to_index(declared, connections, rebuild=rebuild):
                if rebuild and entity.rev:
                    yield from self._indexer(declared, entity).restart()
                try:
                    changes_indexed += yield from self._index(declared, entity, watch=watch)
                except Unavailable:
                    raise
                except Exception as error:
                    label = _label(entity)
                    logger.exception("%s is not up to date in the index %r", label, declared.index)
                    failure = failure or error
        if failure is not None:
            raise failure
        return changes_indexed

    def list_indexings(self, *, connection_id: str | None = None) -> list[Indexing]:
        """Return the progress of each declared index, for all connections or one of them."""
        connections = self._connections(connection_id)
        return [
            self.store.count(declared.entity, declared.index, connections)
            for declared in registry.indexes.values()
        ]

    @in_steps
    def prepare_indexes(self) -> Steps[list[VectorIndex]]:
        """Create the declared indexes, except those without an embedder, and return them.

        `engine_migrate` calls it, so that a server's role needs no right to create tables.
        """
        indexes = {}
        for declared in registry.indexes.values():
            if declared.embedder is not None or self.vectors.embedder is not None:
                yield from needed_index(self.vectors, declared)
                indexes[declared.index] = self.vectors.describe_index(index_name=declared.index)
        return list(indexes.values())

    # Called by the engine after a change, and before it deletes an entity

    def index_changes(self, entity: Entity, before: int) -> None:
        """Index an entity after its changes were committed, in a task or in this process.

        A failure is logged and leaves the changes pending: the records are stored, and their
        writer must not repeat the call.
        """
        if not self.indexes_at_once:
            return
        if any(self._can_embed(declared) for declared in registry.indexes_of(entity.name)):
            self._index_soon(entity)

    def delete_chunks(self, entity: Entity) -> None:
        """Delete the chunks of an entity in the transaction that deletes the entity."""
        for index in self.store.lock(entity.id):
            delete_chunks(self.vectors, index, entity)

    # Steps

    def _index_soon(self, entity: Entity) -> None:
        try:
            if self.queue is not None:
                self.queue.index(entity.id)
            else:
                self.index_pending(entity_name=entity.name, connection_id=entity.connection_id)
        except Exception:
            logger.exception("Indexing of %s is pending", _label(entity))

    def _can_embed(self, declared: IndexDeclaration) -> bool:
        return (declared.embedder or self.vectors.embedder) is not None

    def _declared(self, entity_name: str | None, index_name: str | None) -> list[IndexDeclaration]:
        entity = None if entity_name is None else name(entity_name, "/entity_name")
        index = None if index_name is None else name(index_name, "/index_name")
        declarations = [
            declared
            for declared in registry.indexes.values()
            if entity in (None, declared.entity) and index in (None, declared.index)
        ]
        requested = {"entity": entity, "index": index}
        conditions = [
            f"{kind} {quoted(value)}" for kind, value in requested.items() if value is not None
        ]
        if conditions and not declarations:
            raise IndexNotFound(
                f"No index of records is declared with index_records for {' and '.join(conditions)}"
            )
        return declarations

    def _connections(self, connection_id: str | None) -> frozenset[str] | None:
        """Return the connections to index: one, or all in scope; None if all are."""
        connection = None if connection_id is None else name(connection_id, "/connection_id")
        return connections_in(self.scope, connection)

    def _to_index(
        self, declared: IndexDeclaration, connections: frozenset[str] | None, *, rebuild: bool
    ) -> Iterator[Entity]:
        """Yield the entities with pending changes, or all of them in order to read them again."""
        after: UUID | None = None
        while True:
            page = self.store.entities(
                declared.entity,
                declared.index,
                connections,
                behind=not rebuild,
                after=after,
                limit=ENTITIES_PAGE,
            )
            yield from page
            if len(page) < ENTITIES_PAGE:
                return
            after = page[-1].id

    def _indexer(self, declared: IndexDeclaration, entity: Entity) -> Indexer:
        return Indexer(
            declared,
            entity,
            vectors=self.vectors,
            store=self.store,
            read=self.records.get_changes,
            lease=self.lease_seconds,
        )

    def _index(
        self,
        declared: IndexDeclaration,
        entity: Entity,
        *,
        limit: float = inf,
        watch: Watch | None = None,
    ) -> Steps[int]:
        try:
            return (yield from self._indexer(declared, entity).work(limit=limit, watch=watch))
        except (EntityNotFound, IndexNotFound):  # It was deleted; nothing is left to index.
            return 0

    # Searching

    def _indexed_entities(
        self, declared: list[IndexDeclaration], connection_id: str
    ) -> Steps[list[IndexedEntity]]:
        """Return the indexes to search for each entity, after indexing pending changes."""
        names = dict.fromkeys(declaration.entity for declaration in declared)
        entities = [
            entity
            for entity_name in names
            if (entity := self.records.get_entity(name=entity_name, connection_id=connection_id))
        ]
        progress = self.store.read([entity.id for entity in entities])
        indexed = []
        for entity in entities:
            read = {index: mark for (id, index), mark in progress.items() if id == entity.id}
            complete = {index for index, mark in read.items() if mark.complete}
            for declaration in serving(registry.indexes_of(entity.name), complete):
                mark = read.get(declaration.index)
                if mark is None or mark.rev < entity.rev:
                    yield from self._catch_up(declaration, entity)
                indexed.append(IndexedEntity(declaration, entity))
        return indexed

    def _catch_up(self, declared: IndexDeclaration, entity: Entity) -> Steps[None]:
        try:
            yield from self._index(declared, entity, limit=CATCH_UP)
        except Unavailable:
            raise
        except Exception:  # one record that cannot be indexed must not hide the others
            logger.exception("%s is not up to date in the index %r", _label(entity), declared.index)

    def _with_records(
        self, matches: list[Match], indexed: list[IndexedEntity], fields: FieldTree | None
    ) -> list[RecordMatch]:
        """Return matches with their records, without records that were deleted since."""
        ids: dict[UUID, list[str]] = {}
        for match in matches:
            ids.setdefault(UUID(match.namespace), []).append(match.id)
        entities = {place.entity.id: place.entity for place in indexed}
        records = {
            (str(record.entity_id), record.external_id): record
            for id, external_ids in ids.items()
            for record in self.records.select(entities[id], query_by_ids(external_ids, fields))
        }
        return [
            record_match(match, records[match.namespace, match.id])
            for match in matches
            if (match.namespace, match.id) in records
        ]


def _label(entity: Entity) -> str:
    return f"{entity.name!r} of {entity.connection_id!r}"
