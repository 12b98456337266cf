"""Erasing in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.apps import apps
from django.db.models import QuerySet
from psycopg import Connection
from psycopg.errors import Diagnostic

from mastra_engine.backends.base.erasure import ErasureContract
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.record_search.indexer import of_entity
from mastra_engine.backends.postgres.idempotency import PostgresIdempotency
from mastra_engine.backends.postgres.records import PostgresRecords
from mastra_engine.exceptions import EngineError, EntityNotFound
from mastra_engine.models import (
    Embedding,
    Entity,
    IndexProgress,
    Message,
    Record,
    SyncRun,
    Thread,
    WorkingMemory,
)
from mastra_engine.postgres.expressions import matching_document
from mastra_engine.types import Erasure

# The server may otherwise leave few dead rows in an index for another time. The planner's
# statistics quote values, so they are taken anew.
_VACUUM = "VACUUM (INDEX_CLEANUP ON, ANALYZE)"
# Plain VACUUM frees the room of rows without wiping it, and GIN never forgets a word.
_REWRITE = "VACUUM (FULL, ANALYZE)"


class PostgresErasure(PostgresRecords, PostgresIdempotency, ErasureContract):
    """Erasing rows; the database deletes what hangs on them."""

    memory: Memory

    def vacuum(self, *, full: bool = False) -> None:
        connection = self.session.connection
        with self.session.translated():
            if not connection.get_autocommit():
                raise EngineError("A transaction is under way, in which nothing can be vacuumed")
            with connection.cursor() as cursor, _warnings(cursor.connection) as warnings:
                cursor.execute(f"{_REWRITE if full else _VACUUM} {', '.join(_tables())}")
        if warnings:  # a table of another role is passed over, which is no error to the server
            raise EngineError(f"The server did not vacuum everything: {warnings[0]}")

    def _resource_census(self, resource_id: str) -> Erasure:
        alias = self.session.alias
        messages = Message.objects.using(alias).filter(thread__resource_id=resource_id)
        memory = WorkingMemory.objects.using(alias).filter(resource_id=resource_id)
        with self.session.translated():
            return Erasure(
                threads=Thread.objects.using(alias).filter(resource_id=resource_id).count(),
                messages=messages.count(),
                working_memory=memory.count(),
                vectors=self._message_vectors(resource_id),
            )

    def _message_vectors(self, resource_id: str) -> int:
        index = self.memory.vectors.indexes.find(self.memory.index_name)
        if index is None:
            return 0
        vectors = Embedding.objects.using(self.session.alias).filter(vector_index_id=index.id)
        return vectors.filter(namespace=resource_id).count()

    def _erase_resource(self, resource_id: str) -> None:
        def erase() -> None:
            alias = self.session.alias
            Thread.objects.using(alias).filter(resource_id=resource_id).delete()
            WorkingMemory.objects.using(alias).filter(resource_id=resource_id).delete()
            self.memory.message_index.delete_resource(resource_id)
            self._erase_responses()

        self.session.run(erase)

    def _connection_census(self, connection_id: str) -> Erasure:
        alias = self.session.alias
        entities = self._entities().filter(connection_id=connection_id)
        with self.session.translated():
            return Erasure(
                entities=entities.count(),
                records=Record.objects.using(alias).filter(entity__in=entities).count(),
                sync_runs=SyncRun.objects.using(alias).filter(entity__in=entities).count(),
                vectors=self._record_vectors(entities),
            )

    def _record_vectors(self, entities: QuerySet[Entity]) -> int:
        """Count the passages of entities, which are in their connection's namespace."""
        marks = IndexProgress.objects.using(self.session.alias).filter(entity__in=entities)
        of = marks.values_list("vector_index", "entity", "entity__connection_id")
        vectors = Embedding.objects.using(self.session.alias)
        return sum(
            vectors.filter(
                matching_document(of_entity(entity), "metadata"),
                vector_index=index,
                namespace=connection,
            ).count()
            for index, entity, connection in of
        )

    def _erase_connection(self, connection_id: str) -> None:
        def erase() -> None:
            entities = self._entities().filter(connection_id=connection_id).order_by("id")
            for id in entities.values_list("id", flat=True):
                with suppress(EntityNotFound):  # deleted since
                    self._delete_entity(id)
            self._erase_responses()

        self.session.run(erase)


@contextmanager
def _warnings(driver: Connection[Any]) -> Iterator[list[str]]:
    """Collect what the server warns of meanwhile."""
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(str(diagnostic.message_primary))

    driver.add_notice_handler(note)
    try:
        yield warnings
    finally:
        driver.remove_notice_handler(note)


def _tables() -> list[str]:
    """Return the names of all tables of the engine."""
    return [model._meta.db_table for model in apps.get_app_config("mastra_engine").get_models()]
