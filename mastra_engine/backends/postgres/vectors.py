"""Vectors in PostgreSQL, by pgvector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from django.db import connections, transaction
from django.db.models import QuerySet
from pgvector import Vector
from psycopg.pq import TransactionStatus

from mastra_engine.backends.base.vectors.search import ENTITY, RECORD, VectorScope
from mastra_engine.backends.base.vectors.service import VectorsContract
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import EngineConfigError, IndexNotFound
from mastra_engine.models import IndexProgress as IndexProgressRow
from mastra_engine.models import VectorIndex as IndexRow
from mastra_engine.postgres import vector_rows as vectorrows
from mastra_engine.postgres.compile import Sql, on_metadata
from mastra_engine.postgres.definitions import add_definition, find_definition
from mastra_engine.postgres.errors import MISSING_TABLE, sqlstate
from mastra_engine.postgres.locks import lock_index_name
from mastra_engine.postgres.partitions import Partition
from mastra_engine.postgres.search import Search, full_text, passages_of, within
from mastra_engine.postgres.structures import count_vectors, read_structures
from mastra_engine.protocols import Embedder
from mastra_engine.types import Match, Metric, StoredVector, VectorIndex
from mastra_engine.validation.jsonb import loads
from mastra_engine.validation.vectors import IndexDefinition, VectorRow

P = ParamSpec("P")
R = TypeVar("R")

#: How many definitions are kept at most: projects may make indexes all the time.
_REMEMBERED = 1_000


class PostgresVectors(VectorsContract):
    """One partition for each index; searches go to it directly."""

    def __init__(self, session: Session, embedder: Embedder | None) -> None:
        self.session = session
        self.embedder = embedder
        #: What was found last, by name. It may have been deleted since, or never committed: only
        #: searches, which check it as they go, begin with it.
        self._found: dict[str, IndexDefinition] = {}

    # Indexes

    def _get_or_create_index(self, wanted: IndexDefinition) -> IndexDefinition:
        def create() -> IndexDefinition:
            connection = self.session.connection
            lock_index_name(connection, wanted.name)
            if (found := find_definition(connection, wanted.name)) is not None:
                return found
            added = add_definition(connection, wanted)
            self._partition(added).create()
            return added

        return self._find_index(wanted.name) or self.session.run(create)

    def _find_index(self, name: str) -> IndexDefinition | None:
        with self.session.translated():
            found = find_definition(self.session.connection, name)
        if found is None:
            self._found.pop(name, None)
        else:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[name] = found
        return found

    def _remembered_index(self, name: str) -> IndexDefinition | None:
        return self._found.get(name)

    def _list_indexes(self) -> list[VectorIndex]:
        connection = self.session.connection
        with self.session.translated():
            found = {row.name: row.to_definition() for row in self._indexes()}
            structures = read_structures(connection)
            counts = count_vectors(connection, [index.id for index in found.values()])
        return [
            found[each.name].described(
                count=counts.get(found[each.name].id, 0),
                size_bytes=each.bytes,
                status=each.status,
                progress=each.progress,
            )
            for each in structures
            if each.name in found  # or it was made since; those deleted since have no structure
        ]

    def _describe(self, index: IndexDefinition) -> VectorIndex:
        with self._reading(index):
            partition = self._partition(index)
            number, size = partition.size()
            status, progress = partition.state()
        return index.described(
            count=number,
            size_bytes=size,
            status=status,
            progress=progress,
        )

    def _build(self, index: IndexDefinition) -> None:
        if index.index_type != "flat":
            with self._reading(index):
                self._partition(index).build(patience=self.session.lock_timeout)

    @contextmanager
    def _kept(self, name: str) -> Iterator[None]:
        with self.session.translated(), self.session.transaction():
            lock_index_name(self.session.connection, name)
            yield

    def _is_rolling_back(self) -> bool:
        connection = self.session.connection
        return not connection.get_autocommit() and (
            connection.needs_rollback
            or connection.connection.info.transaction_status == TransactionStatus.INERROR
        )

    def _drop_structure(self, index: IndexDefinition) -> None:
        self.session.run(self._partition(index).drop_structure)

    def _delete_index(self, index: IndexDefinition) -> None:
        def delete() -> None:
            lock_index_name(self.session.connection, index.name)
            deleted, _ = self._indexes().filter(id=index.id).delete()
            if not deleted:
                raise _gone(index)
            self._partition(index).drop()

        self.session.run(delete)

    def _truncate(self, index: IndexDefinition) -> None:
        def truncate() -> None:
            IndexProgressRow.objects.using(self.session.alias).filter(
                vector_index=index.id
            ).delete()
            self._partition(index).truncate()

        with self._while_it_is_there(index):
            self.session.run(truncate)

    # Rows

    def _put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        self._write(index, vectorrows.put, namespace, rows, fresh=generated)

    def _change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> StoredVector | None:
        return self._write(index, vectorrows.change, namespace, id, changes)

    def _delete(self, scope: VectorScope, ids: list[str] | None) -> int:
        return self._write(scope.index, vectorrows.delete, _condition(scope), ids)

    def _delete_parts(self, index: IndexDefinition, namespace: str, wholes: list[str]) -> None:
        self._write(index, vectorrows.delete_parts, namespace, wholes)

    def _delete_gone(self, scope: VectorScope, entity_id: UUID) -> None:
        self._write(scope.index, vectorrows.delete_gone, _condition(scope), entity_id)

    def _get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        with self._reading(index):
            return vectorrows.get(self._partition(index), namespace, ids)

    def _write(
        self,
        index: IndexDefinition,
        work: Callable[Concatenate[Partition, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Do some work on an index's partition in a transaction."""
        with self._while_it_is_there(index):
            return self.session.run(lambda: work(self._partition(index), *args, **kwargs))

    # Search

    def _nearest(
        self, scope: VectorScope, target: Vector, *, limit: int, ef_search: int, with_vector: bool
    ) -> list[Match]:
        search = Search(
            partition=self._partition(scope.index),
            target=target,
            condition=_condition(scope),
            limit=limit,
            ef_search=ef_search,
            with_vector=with_vector,
        )
        with self._while_it_is_there(scope.index):
            rows = search.run()
        if not rows and self._find_index(scope.index.name) != scope.index:
            raise _gone(scope.index)
        return [_match(row, scope.index.metric) for row in rows]

    def _full_text(self, scope: VectorScope, query: str, limit: int) -> list[Match]:
        with self._reading(scope.index):
            rows = full_text(self._partition(scope.index), query, _condition(scope), limit)
        return [
            Match(id=id, namespace=space, document=document, metadata=loads(metadata), score=rank)
            for id, space, document, metadata, rank in rows
        ]

    @contextmanager
    def _while_it_is_there(self, index: IndexDefinition) -> Iterator[None]:
        """Raise IndexNotFound where another process has deleted the index since it was found."""
        try:
            with self.session.translated():
                yield
        except EngineConfigError as error:
            if sqlstate(error) != MISSING_TABLE:
                raise
            raise _gone(index) from error

    @contextmanager
    def _reading(self, index: IndexDefinition) -> Iterator[None]:
        """Likewise, and leave the caller's transaction usable, if there is one."""
        alias = self.session.alias
        with self._while_it_is_there(index):
            alone = connections[alias].get_autocommit()
            with nullcontext() if alone else transaction.atomic(using=alias):
                yield

    def _partition(self, index: IndexDefinition) -> Partition:
        return Partition(self.session.connection, index)

    def _indexes(self) -> QuerySet[IndexRow]:
        return IndexRow.objects.using(self.session.alias)


def _condition(scope: VectorScope) -> Sql:
    others = [] if scope.namespaces is None else [within(scope.index, scope.namespaces)]
    if (of := scope.records) is not None:
        others.append(passages_of(of.entity_ids, of.where, keys=(ENTITY, RECORD)))
    return on_metadata(scope.where, *others)


def _gone(index: IndexDefinition) -> IndexNotFound:
    return IndexNotFound(f"There is no index {index.name!r} any more")


def _match(row: tuple[Any, ...], metric: Metric) -> Match:
    id, namespace, document, metadata, distance, *vector = row
    return Match(
        id=id,
        namespace=namespace,
        document=document,
        metadata=loads(metadata),
        score=_score(metric, distance),
        vector=Vector.from_binary(vector[0]).to_list() if vector else None,
    )


def _score(metric: Metric, distance: float) -> float:
    if metric == "cosine":
        return 1 - distance
    return 1 / (1 + distance) if metric == "euclidean" else -distance
