"""Vectors in PostgreSQL, by pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.db import connections
from django.db.models import QuerySet
from pgvector import Vector

from mastra_engine.backends.base.vectors import Scope, VectorsContract
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import EngineConfigError, IndexNotFound
from mastra_engine.jsonb import loads
from mastra_engine.models import Embedding as EmbeddingRow
from mastra_engine.models import VectorIndex as IndexRow
from mastra_engine.postgres import bulkvectors
from mastra_engine.postgres.errors import MISSING_TABLE, sqlstate
from mastra_engine.postgres.partitions import Partition, find_definition
from mastra_engine.postgres.search import Search, condition, full_text
from mastra_engine.protocols import Embedder
from mastra_engine.types import Match, Metric, StoredVector, VectorIndex
from mastra_engine.vectorinputs import IndexDefinition, VectorRow


class PostgresVectors(VectorsContract):
    """One partition for each index; searches go to it directly."""

    def __init__(self, session: Session, embedder: Embedder | None) -> None:
        self.session = session
        self.embedder = embedder

    # Indexes

    def _get_or_create_index(self, wanted: IndexDefinition) -> IndexDefinition:
        def create() -> IndexDefinition:
            values = {name: getattr(wanted, name) for name in wanted.__slots__ if name != "id"}
            row, created = self._indexes().get_or_create(name=values.pop("name"), defaults=values)
            index = row.to_definition()
            if created:
                self._partition(index).create()
            return index

        return self.session.run(create)

    def _find_index(self, name: str) -> IndexDefinition | None:
        with self.session.translated():
            return find_definition(connections[self.session.alias], name)

    def _list_indexes(self) -> list[VectorIndex]:
        with self.session.translated():
            rows = list(self._indexes().order_by("name"))
        found = []
        for row in rows:
            with suppress(IndexNotFound):  # deleted since
                found.append(self._describe(row.to_definition()))
        return found

    def _describe(self, index: IndexDefinition) -> VectorIndex:
        with self._while_it_is_there(index):
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
            with self._while_it_is_there(index):
                self._partition(index).build()

    def _drop_structure(self, index: IndexDefinition) -> None:
        self.session.run(self._partition(index).drop_structure)

    def _delete_index(self, index: IndexDefinition) -> None:
        def delete() -> None:
            self._indexes().filter(id=index.id).delete()
            self._partition(index).drop()

        self.session.run(delete)

    def _truncate(self, index: IndexDefinition) -> None:
        with self._while_it_is_there(index):
            self.session.run(self._partition(index).truncate)

    # Rows

    def _put(
        self, index: IndexDefinition, namespace: str, rows: list[VectorRow], *, generated: bool
    ) -> None:
        partition = self._partition(index)
        with self._while_it_is_there(index):
            self.session.run(lambda: bulkvectors.put(partition, namespace, rows, fresh=generated))

    def _change(
        self, index: IndexDefinition, namespace: str, id: str, changes: dict[str, Any]
    ) -> bool:
        assignments: dict[str, list[Any]] = {"updated_at = statement_timestamp()": []}
        if "vector" in changes:
            assignments["embedding = %s::vector"] = [changes["vector"].to_text()]
        if "metadata" in changes:
            assignments["metadata = %s::jsonb"] = [changes["metadata"].decode()]
        if "document" in changes:
            assignments["document = %s"] = [changes["document"]]
        params = [value for values in assignments.values() for value in values]
        table = self._partition(index).table
        sql = f"UPDATE {table} SET {', '.join(assignments)} WHERE namespace = %s AND id = %s"  # noqa: S608
        return self._execute(index, sql, [*params, namespace, id]) == 1

    def _delete(self, scope: Scope, ids: list[str] | None) -> int:
        sql, params = condition(scope.where, scope.namespace)
        if ids is not None:
            sql, params = f"{sql} AND id = ANY(%s)", [*params, ids]
        table = self._partition(scope.index).table
        return self._execute(scope.index, f"DELETE FROM {table} WHERE {sql}", params)  # noqa: S608

    def _get(self, index: IndexDefinition, namespace: str, ids: list[str]) -> list[StoredVector]:
        rows = EmbeddingRow.objects.using(self.session.alias).filter(
            vector_index_id=index.id, namespace=namespace, vector_id__in=ids
        )
        with self.session.translated():
            found = {row.vector_id: row.to_value() for row in rows}
        return [found[id] for id in ids if id in found]

    # Search

    def _nearest(
        self, scope: Scope, target: Vector, *, limit: int, ef_search: int, with_vector: bool
    ) -> list[Match]:
        search = Search(
            partition=self._partition(scope.index),
            target=target,
            condition=condition(scope.where, scope.namespace),
            limit=limit,
            ef_search=ef_search,
            with_vector=with_vector,
        )
        with self._while_it_is_there(scope.index):
            rows = search.run()
        return [_match(row, scope.index.metric) for row in rows]

    def _full_text(self, scope: Scope, query: str, limit: int) -> list[Match]:
        within = condition(scope.where, scope.namespace)
        with self._while_it_is_there(scope.index):
            rows = full_text(self._partition(scope.index), query, within, limit)
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
            raise IndexNotFound(f"There is no index {index.name!r} any more") from error

    def _partition(self, index: IndexDefinition) -> Partition:
        return Partition(connections[self.session.alias], index)

    def _indexes(self) -> QuerySet[IndexRow]:
        return IndexRow.objects.using(self.session.alias)

    def _execute(self, index: IndexDefinition, sql: str, params: list[Any]) -> int:
        def execute() -> int:
            with connections[self.session.alias].cursor() as cursor:
                cursor.execute(sql, params)
                return int(cursor.rowcount)

        with self._while_it_is_there(index):
            return self.session.run(execute)


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
