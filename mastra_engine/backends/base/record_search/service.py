"""The contract of indexing: records as vectors, kept up to date, and found by meaning."""

from __future__ import annotations

import logging
from abc import ABC
from collections.abc import Iterator
from math import inf
from typing import Any
from uuid import UUID

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.record_search.indexer import Indexer, Watch, needed_index
from mastra_engine.backends.base.record_search.progress import IndexProgressStore
from mastra_engine.backends.base.record_search.search import (
    Place,
    RecordSearch,
    record_match,
    serving,
)
from mastra_engine.backends.base.records.following import FollowingContract
from mastra_engine.backends.base.vectors.search import resolve_reranker, vector_query
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.exceptions import EntityNotFound, IndexNotFound, Unavailable
from mastra_engine.filters.ast import RECORD_COLUMNS, Equals, Field, Query
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import Reranks, RunQueue
from mastra_engine.registry import IndexDeclaration, registry
from mastra_engine.types import Entity, Indexing, Match, RecordMatch, VectorIndex
from mastra_engine.validation.inputs import name, narrowed, text

logger = logging.getLogger("mastra_engine.indexing")

#: How many changes of an entity a search indexes itself, where nobody is at it.
CATCH_UP = 1_024
ENTITIES_PAGE = 100


class IndexingContract(FollowingContract, ABC):
    """Records in the vector indexes that the project declares with `@index_records`.

    The vectors of a connection's records are in the namespace of its name.
    """

    vectors: Vectors
    index_progress: IndexProgressStore
    queue: RunQueue | None
    #: Whether records are indexed when they are written, or wait for index_pending().
    indexes_at_once: bool = True
    #: Seconds after which the work of a silent indexer may be done by another.
    index_lease: float = 60.0

    def search_records(
        self,
        *,
        query: str,
        connection_id: str,
        entity_name: str | None = None,
        top_k: int = 10,
        filter: Any = None,
        hybrid: bool = True,
        reranker: Reranks | bool | None = None,
    ) -> list[RecordMatch]:
        """Return the `top_k` records of a connection closest to `query`, the closest first.

        Each comes once, with its best passage; ties go by `external_id`. `filter` is about the
        records' data and never costs results. `hybrid` adds full-text search and fuses both
        rankings, `reranker` reorders, the engine's own when True; the score is then theirs, else
        the passage's similarity.
        Changes that nobody is indexing are indexed first, up to 1,024 of each entity.

        Raises IndexNotFound when no index is declared for the entity, EntityNotFound for a
        connection beyond reach, InvalidFilter, and InvalidInput when there is no embedder.
        """
        connection = self._own_connection(name(connection_id, "/connection_id"))
        asked = vector_query(
            query_vector=None,
            query_text=text(query, "/query"),
            top_k=top_k,
            filter=None,
            namespace=None,
            min_score=None,
            include_vector=False,
            ef_search=None,
            hybrid=hybrid,
            reranker=resolve_reranker(reranker, self.vectors.reranker),
            mmr=None,
        )
        where = parse_optional_filter(filter, columns=RECORD_COLUMNS)
        places = self._places(self._declared(entity_name, None), connection)
        found = RecordSearch(self.vectors, connection, asked, where).run(places)
        return self._with_records(found, places)

    def index_pending(
        self,
        *,
        entity_name: str | None = None,
        connection_id: str | None = None,
        index_name: str | None = None,
        rebuild: bool = False,
        watch: Watch | None = None,
    ) -> int:
        """Bring declared indexes up to date; return how many changes were dealt with.

        It may be called by several processes at once and be killed anywhere; what another one is
        at is left to it. `rebuild` reads everything anew, old vectors serving until replaced.
        `watch` is called with the number of changes each time some are done. Where an entity
        fails, the others are indexed, then its error is raised.

        Raises IndexNotFound when no such index is declared.
        """
        connections = self._connections(connection_id)
        done, failed = 0, None
        for declared in self._declared(entity_name, index_name):
            for entity in self._to_index(declared, connections, rebuild=rebuild):
                try:
                    done += self._index(declared, entity, watch=watch)
                except Unavailable:
                    raise
                except Exception as error:
                    logger.exception("%s waits for the index %r", _named(entity), declared.index)
                    failed = failed or error
        if failed is not None:
            raise failed
        return done

    def list_indexings(self, *, connection_id: str | None = None) -> list[Indexing]:
        """Return how far each declared index is, with all connections unless one is named."""
        connections = self._connections(connection_id)
        return [
            self.index_progress.count(declared.entity, declared.index, connections)
            for declared in registry.indexes.values()
        ]

    def prepare_indexes(self) -> list[VectorIndex]:
        """Make the indexes that are declared and can be made; those without an embedder cannot.

        `engine_migrate` does it, so that a server's role needs no right to create tables.
        """
        made = {}
        for declared in registry.indexes.values():
            if declared.embedder is not None or self.vectors.embedder is not None:
                needed_index(self.vectors, declared)
                made[declared.index] = self.vectors.describe_index(index_name=declared.index)
        return list(made.values())

    asearch_records = derive_async(search_records)
    aindex_pending = derive_async(index_pending)
    alist_indexings = derive_async(list_indexings)
    aprepare_indexes = derive_async(prepare_indexes)

    # Steps

    def _changed(self, entity: Entity, after: int) -> None:
        super()._changed(entity, after)
        wanted = self.indexes_at_once and registry.indexes_of(entity.name)
        if wanted and any(self._can_embed(declared) for declared in wanted):
            self._index_soon(entity)

    def _index_soon(self, entity: Entity) -> None:
        """Index an entity where tasks are run, or here; a failure leaves its changes waiting."""
        try:
            if self.queue is not None:
                self.queue.index(entity.id)
            else:
                self.index_pending(entity_name=entity.name, connection_id=entity.connection_id)
        except Exception:  # the records are written, and whoever wrote them must not do it again
            logger.exception("%s waits for being indexed", _named(entity))

    def _can_embed(self, declared: IndexDeclaration) -> bool:
        return (declared.embedder or self.vectors.embedder) is not None

    def _declared(self, entity_name: str | None, index_name: str | None) -> list[IndexDeclaration]:
        entity = None if entity_name is None else name(entity_name, "/entity_name")
        index = None if index_name is None else name(index_name, "/index_name")
        found = [
            declared
            for declared in registry.indexes.values()
            if entity in (None, declared.entity) and index in (None, declared.index)
        ]
        if not found and (entity, index) != (None, None):
            raise IndexNotFound("No such index of records is declared")
        return found

    def _connections(self, connection_id: str | None) -> frozenset[str] | None:
        """Return the connections that one stands for; None stands for all within reach."""
        if connection_id is None:
            return self.connection_ids
        return narrowed(self.connection_ids, [name(connection_id, "/connection_id")])

    def _to_index(
        self, declared: IndexDeclaration, connections: frozenset[str] | None, *, rebuild: bool
    ) -> Iterator[Entity]:
        """Yield the entities that an index is behind with, or all of them to be read anew."""
        after: UUID | None = None
        while True:
            page = self.index_progress.entities(
                declared.entity,
                declared.index,
                connections,
                behind=not rebuild,
                after=after,
                limit=ENTITIES_PAGE,
            )
            for entity in page:
                if rebuild and entity.rev:
                    self._indexer(declared, entity).restart()
                yield entity
            if len(page) < ENTITIES_PAGE:
                return
            after = page[-1].id

    def _indexer(self, declared: IndexDeclaration, entity: Entity) -> Indexer:
        return Indexer(
            declared,
            entity,
            vectors=self.vectors,
            index_progress=self.index_progress,
            read=self.get_changes,
            lease=self.index_lease,
        )

    def _index(
        self,
        declared: IndexDeclaration,
        entity: Entity,
        *,
        limit: float = inf,
        watch: Watch | None = None,
    ) -> int:
        try:
            return self._indexer(declared, entity).work(limit=limit, watch=watch)
        except (EntityNotFound, IndexNotFound):  # deleted since, and with it what was to be done
            return 0

    # Searching

    def _places(self, declared: list[IndexDeclaration], connection_id: str) -> list[Place]:
        """Return where a connection's records are searched, what nobody is indexing indexed."""
        names = dict.fromkeys(each.entity for each in declared)
        entities = [
            entity
            for entity_name in names
            for entity in self._list_entities(entity_name, connection_id, after=None, limit=1)
        ]
        marks = self.index_progress.read([entity.id for entity in entities])
        places = []
        for entity in entities:
            read = {index: mark for (id, index), mark in marks.items() if id == entity.id}
            complete = {index for index, mark in read.items() if mark.complete}
            for each in serving(registry.indexes_of(entity.name), complete):
                if each.index not in read or read[each.index].rev < entity.rev:
                    self._catch_up(each, entity)
                places.append(Place(each, entity))
        return places

    def _catch_up(self, declared: IndexDeclaration, entity: Entity) -> None:
        try:
            self._index(declared, entity, limit=CATCH_UP)
        except Unavailable:
            raise
        except Exception:  # a record that cannot be indexed must not keep the others from view
            logger.exception("%s waits for the index %r", _named(entity), declared.index)

    def _with_records(self, found: list[Match], places: list[Place]) -> list[RecordMatch]:
        """Return matches as what they are about; without records that are deleted by now."""
        wanted: dict[UUID, list[str]] = {}
        for match in found:
            wanted.setdefault(UUID(match.namespace), []).append(match.id)
        entities = {place.entity.id: place.entity for place in places}
        records = {
            (str(record.entity_id), record.external_id): record
            for id, external_ids in wanted.items()
            for record in self._select_records(entities[id], _by_id(external_ids))
        }
        return [
            record_match(match, records[match.namespace, match.id])
            for match in found
            if (match.namespace, match.id) in records
        ]


def _by_id(external_ids: list[str]) -> Query:
    return Query(where=Equals(Field(column="external_id"), tuple(external_ids)))


def _named(entity: Entity) -> str:
    return f"{entity.name!r} of {entity.connection_id!r}"
