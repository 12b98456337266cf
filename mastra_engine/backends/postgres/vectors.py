"""Vectors in PostgreSQL, by pgvector."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from django.db import connections, transaction
from django.db.models import QuerySet
from psycopg.pq import TransactionStatus

from mastra_engine.backends.base.vectors.candidates import Candidate
from mastra_engine.backends.base.vectors.search import (
    ENTITY,
    FACT,
    ITEM,
    RECORD,
    VERSION,
    FactScope,
    ItemScope,
    MessageScope,
    RecordScope,
    VectorQuery,
    VectorScope,
)
from mastra_engine.backends.base.vectors.store import VectorStore
from mastra_engine.backends.postgres.facts import at_instant
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import EngineConfigError, IndexNotFound
from mastra_engine.models import IndexProgress as IndexProgressRow
from mastra_engine.models import VectorIndex as IndexRow
from mastra_engine.postgres import vector_rows
from mastra_engine.postgres.bit_search import BitSearch
from mastra_engine.postgres.compile import TRUE, Sql, both, on_metadata
from mastra_engine.postgres.definitions import add_definition, find_definition
from mastra_engine.postgres.errors import MISSING_TABLE, sqlstate
from mastra_engine.postgres.facts import of_resources, on_document, vectors_of_facts
from mastra_engine.postgres.lexical import LexicalResult, LexicalSearch
from mastra_engine.postgres.locks import lock_index_name
from mastra_engine.postgres.memory_reads import vectors_at
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.search import Search, at_least, chunks_of, compare, within
from mastra_engine.postgres.state_reads import vectors_of_items
from mastra_engine.postgres.structures import count_vectors, read_structures
from mastra_engine.postgres.word_statistics import StatisticsCache
from mastra_engine.types import Match, Metric, StoredVector, VectorIndex
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import AnyVector, IndexDefinition, VectorRow

P = ParamSpec("P")
R = TypeVar("R")

#: Definitions that are cached at most, since a project may create any number of indexes.
_CACHED_DEFINITIONS = 1_000


class PostgresVectorStore(VectorStore):
    """Stores each index in a partition of its own, which searches read directly."""

    def __init__(self, session: Session) -> None:
        self.session = session
        #: The definition that was found last for a name. The index may have been deleted since, or
        #: its creation may have been rolled back. Only searches use it, since they check it.
        self._cache: dict[str, IndexDefinition] = {}
        self._statistics = StatisticsCache()

    # Indexes

    def get_or_create_index(self, definition: IndexDefinition) -> IndexDefinition:
        def create() -> IndexDefinition:
            connection = self.session.connection
            # The lock comes before the second look: of two processes that create the same index,
            # the one that waits for the lock then finds the index of the other.
            lock_index_name(connection, definition.name)
            if (existing := find_definition(connection, definition.name)) is not None:
                return existing
            added = add_definition(connection, definition)
            self._partition(added).create()
            return added

        return self.find_index(definition.name) or self.session.run(create)

    def find_index(self, name: str) -> IndexDefinition | None:
        with self.session.translated():
            index = find_definition(self.session.connection, name)
        if index is None:
            self._cache.pop(name, None)
        else:
            if len(self._cache) >= _CACHED_DEFINITIONS:
                self._cache.clear()
            self._cache[name] = index
        return index

    def cached_index(self, name: str) -> IndexDefinition | None:
        return self._cache.get(name)

    @contextmanager
    def lock_index_name(self, name: str) -> Iterator[None]:
        with self.session.translated(), self.session.transaction():
            lock_index_name(self.session.connection, name)
            yield

    def list_indexes(self) -> list[VectorIndex]:
        connection = self.session.connection
        with self.session.translated():
            definitions = {row.name: row.to_definition() for row in self._indexes()}
            structures = read_structures(connection)
            counts = count_vectors(connection, [index.id for index in definitions.values()])
        return [
            definitions[structure.name].described(
                count=counts.get(definitions[structure.name].id, 0),
                size_bytes=structure.bytes,
                status=structure.status,
                progress=structure.progress,
            )
            for structure in structures
            # An index may be created or deleted between these statements; then it is left out.
            if structure.name in definitions
        ]

    def describe_index(self, index: IndexDefinition) -> VectorIndex:
        with self._reading(index):
            partition = self._partition(index)
            number, size = partition.size()
            status, progress = partition.state()
        return index.described(count=number, size_bytes=size, status=status, progress=progress)

    def build_index(self, index: IndexDefinition) -> None:
        if index.index_type != "flat":
            with self._reading(index):
                self._partition(index).build(patience=self.session.lock_timeout)

    def drop_structure(self, index: IndexDefinition) -> None:
        self.session.run(self._partition(index).drop_structure)

    def delete_index(self, index: IndexDefinition) -> None:
        def delete() -> None:
            lock_index_name(self.session.connection, index.name)
            deleted, _ = self._indexes().filter(id=index.id).delete()
            if not deleted:
                raise _deleted(index)
            self._partition(index).drop()

        self._cache.pop(index.name, None)
        self.session.run(delete)

    def truncate_index(self, index: IndexDefinition, *, namespaces: Collection[str] | None) -> None:
        progress = IndexProgressRow.objects.using(self.session.alias).filter(vector_index=index.id)

        def truncate() -> None:
            if namespaces is None:
                progress.delete()
                self._partition(index).truncate()
            else:
                progress.filter(entity__connection_id__in=namespaces).delete()
                vector_rows.delete(self._partition(index), within(index, namespaces), None)

        with self._index_not_found(index):
            self.session.run(truncate)

    def is_rolling_back(self) -> bool:
        connection = self.session.connection
        return not connection.get_autocommit() and (
            connection.needs_rollback
            or connection.connection.info.transaction_status == TransactionStatus.INERROR
        )

    # Rows

    def put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        with self._index_not_found(index):
            self.session.run(
                lambda: vector_rows.put(self._partition(index), namespace, rows, fresh=generated),
                single=len(rows) <= vector_rows.FEW,
            )

    def change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> StoredVector | None:
        return self._write(index, vector_rows.change, namespace, id, changes)

    def delete(self, scope: VectorScope, ids: list[str] | None) -> int:
        return self._write(scope.index, vector_rows.delete, _condition(scope), ids)

    def delete_chunks(self, index: IndexDefinition, namespace: str, source_ids: list[str]) -> None:
        self._write(index, vector_rows.delete_chunks, namespace, source_ids)

    def delete_orphaned_chunks(self, scope: VectorScope, entity_id: UUID) -> None:
        self._write(scope.index, vector_rows.delete_orphaned_chunks, _condition(scope), entity_id)

    def get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        with self._reading(index):
            return vector_rows.get(self._partition(index), namespace, ids)

    def list_vectors(
        self, scope: VectorScope, *, after: tuple[str, str], limit: int
    ) -> list[StoredVector]:
        with self._reading(scope.index):
            partition = self._partition(scope.index)
            return vector_rows.list_rows(partition, _condition(scope), after=after, limit=limit)

    def count_vectors(self, scope: VectorScope) -> int:
        with self._reading(scope.index):
            return vector_rows.count_rows(self._partition(scope.index), _condition(scope))

    def _write(
        self,
        index: IndexDefinition,
        work: Callable[Concatenate[Partition, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Call `work` with the index's partition in a transaction."""
        with self._index_not_found(index):
            return self.session.run(lambda: work(self._partition(index), *args, **kwargs))

    # Search

    def nearest(
        self,
        scope: VectorScope,
        target: AnyVector,
        *,
        limit: int,
        ef_search: int,
        with_vector: bool,
    ) -> list[Match]:
        rows = self._nearest(
            scope, target, limit=limit, ef_search=ef_search, with_vector=with_vector
        )
        partition = self._partition(scope.index)
        return [_match(row, partition) for row in rows]

    def hybrid(
        self, scope: VectorScope, query: VectorQuery, target: AnyVector | None, *, limit: int
    ) -> list[Candidate]:
        """Read all documents of interest at once.

        A small collection is searched by words and vectors in one statement. In a large one, the
        nearest vectors are found before, by their keys only.
        """
        partition, condition = self._partition(scope.index), _filter(scope)
        if target is not None and query.min_score is not None:
            condition = both(condition, at_least(partition, target, query.min_score))
        with self._reading(scope.index):
            search = LexicalSearch(
                partition=partition,
                statistics=self._statistics.of(partition),
                words=query.words,
                within=_collection(scope),
                condition=condition,
                limit=limit,
                enough=query.limit,
                target=None if target is None else target.to_text(),
                with_vector=query.with_vector,
            )
            parsed = search.parse()
            if parsed.words:
                keys = []
                if target is not None and not parsed.is_of_all:
                    keys = self._nearest_keys(scope, target, query, limit)
                result = search.run(parsed, keys)
                if not result.rows:
                    self._require_current(scope.index)
                return [_candidate(row, result, partition) for row in result.rows]
        by_vectors = replace(query, hybrid=None)  # the query has only stop words
        return self.find(scope, by_vectors, target, limit=limit)

    def _nearest_keys(
        self, scope: VectorScope, target: AnyVector, query: VectorQuery, limit: int
    ) -> list[tuple[str, str]]:
        """Return the namespaces and ids of the nearest vectors."""
        ef_search = query.effective_ef_search
        rows = self._nearest(scope, target, limit=limit, ef_search=ef_search, only_keys=True)
        return [(namespace, id) for id, namespace, *_ in rows]

    def _nearest(self, scope: VectorScope, target: AnyVector, **options: Any) -> list[Any]:
        """Return the nearest rows; raises IndexNotFound if the index has been deleted."""
        partition = self._partition(scope.index)
        search = (BitSearch if partition.by_bits else Search)(
            partition=partition,
            target=target,
            condition=_condition(scope),
            **options,
        )
        with self._index_not_found(scope.index):
            rows = search.run()
        if not rows:
            self._require_current(scope.index)
        return rows

    def _require_current(self, index: IndexDefinition) -> None:
        """Raise IndexNotFound if the index has been deleted or replaced since it was found."""
        if self.find_index(index.name) != index:
            raise _deleted(index)

    def compare(self, scope: VectorScope, target: AnyVector) -> list[Match]:
        with self._reading(scope.index):
            partition = self._partition(scope.index)
            rows = compare(partition, target, _condition(scope))
        return [_match(row, partition) for row in rows]

    @contextmanager
    def _index_not_found(self, index: IndexDefinition) -> Iterator[None]:
        """Raise IndexNotFound if the partition is missing: another process deleted the index."""
        try:
            with self.session.translated():
                yield
        except EngineConfigError as error:
            if sqlstate(error) != MISSING_TABLE:
                raise
            raise _deleted(index) from error

    @contextmanager
    def _reading(self, index: IndexDefinition) -> Iterator[None]:
        """Do the same, and keep the caller's transaction usable by a savepoint."""
        alias = self.session.alias
        with self._index_not_found(index):
            alone = connections[alias].get_autocommit()
            with nullcontext() if alone else transaction.atomic(using=alias):
                yield

    def _partition(self, index: IndexDefinition) -> Partition:
        return Partition(self.session.connection, index)

    def _indexes(self) -> QuerySet[IndexRow]:
        return IndexRow.objects.using(self.session.alias)


def _condition(scope: VectorScope) -> Sql:
    return both(_collection(scope), _filter(scope))


def _collection(scope: VectorScope) -> Sql:
    """Return the condition of the namespaces."""
    return TRUE if scope.namespaces is None else within(scope.index, scope.namespaces)


def _filter(scope: VectorScope) -> Sql:
    """Return the condition of the filter, and that vectors are of the source in scope."""
    match scope.source:
        case None:
            return on_metadata(scope.where)
        case RecordScope(entity_ids, where):
            source = chunks_of(entity_ids, where, keys=(ENTITY, RECORD))
        case ItemScope(where):
            source = vectors_of_items(where, keys=(ITEM, VERSION))
        case MessageScope(places):
            source = vectors_at(places)
        case FactScope(instant, where):
            # The resource is that of the vector. It lets the planner read its facts once.
            own = of_resources(scope.namespaces)
            at = both(own, at_instant(instant), on_document(where))
            source = vectors_of_facts(at, key=FACT)
    return on_metadata(scope.where, source)


def _deleted(index: IndexDefinition) -> IndexNotFound:
    return IndexNotFound(name=index.name)


def _match(row: tuple[Any, ...], partition: Partition) -> Match:
    id, namespace, document, metadata, distance, *vector = row
    return Match(
        id=id,
        namespace=namespace,
        document=document,
        metadata=loads(metadata),
        score=_score(partition.index.metric, distance),
        vector=partition.decode(vector[0]).to_list() if vector else None,
    )


def _candidate(row: tuple[Any, ...], result: LexicalResult, partition: Partition) -> Candidate:
    id, namespace, document, metadata, occurrences, length, distance, vector = row
    # A vector without a document has no words, and their numbers are null.
    counted = {word: number or 0 for word, number in zip(result.query, occurrences, strict=True)}
    return Candidate(
        id=id,
        namespace=namespace,
        document=document,
        metadata=loads(metadata),
        vector=None if vector is None else partition.decode(vector).to_list(),
        similarity=None if distance is None else _score(partition.index.metric, distance),
        words=result.collection.contributions(result.query, counted, length or 0),
    )


def _score(metric: Metric, distance: float) -> float:
    if metric == "cosine":
        return 1 - distance
    return 1 / (1 + distance) if metric == "euclidean" else -distance
