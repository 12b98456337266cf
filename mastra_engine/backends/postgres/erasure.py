"""Erasing in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db.models import Count, F, Q, QuerySet
from psycopg import Connection
from psycopg.errors import Diagnostic

from mastra_engine.backends.base.erasure.store import ErasureStore
from mastra_engine.backends.base.record_search.indexer import of_entity
from mastra_engine.backends.base.vectors.search import SOURCE_KEYS
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import EngineError
from mastra_engine.models import (
    Embedding,
    Entity,
    EvaluationCase,
    Fact,
    IndexProgress,
    Message,
    Record,
    StateItem,
    SyncRun,
    Thread,
    VectorIndex,
    WorkingMemory,
)
from mastra_engine.postgres.expressions import matching_document
from mastra_engine.signals import resource_erased
from mastra_engine.types import Erasure

# By default the server may skip the cleanup of an index with few dead rows. ANALYZE is needed
# because the planner's statistics contain values of columns.
_VACUUM = "VACUUM (INDEX_CLEANUP ON, ANALYZE)"
# Plain VACUUM frees the space of rows without overwriting it, and does not remove words from GIN.
_REWRITE = "VACUUM (FULL, ANALYZE)"


class PostgresErasureStore(ErasureStore):
    """Counts and deletes rows; foreign keys delete the rows that refer to them."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, operation: Callable[[], None]) -> None:
        self.session.run(operation)

    def count_resource(self, resource_id: str, *, indexes: Sequence[str]) -> Erasure:
        alias = self.session.alias
        messages = Message.objects.using(alias).filter(thread__resource_id=resource_id)
        memory = WorkingMemory.objects.using(alias).filter(resource_id=resource_id)
        with self.session.translated():
            return Erasure(
                threads=Thread.objects.using(alias).filter(resource_id=resource_id).count(),
                messages=messages.count(),
                working_memory=memory.count(),
                state_items=self._items(resource_id).filter(value__isnull=False).count(),
                facts=self._facts(resource_id).count(),
                vectors=sum(self._vectors_of(resource_id, index) for index in indexes),
                evaluation_cases=self._cases(resource_id, "recall").count(),
            )

    def delete_resource(self, resource_id: str) -> None:
        alias = self.session.alias
        threads = Thread.objects.using(alias).filter(resource_id=resource_id)
        resource_erased.send(
            type(self),
            database=alias,
            resource_id=resource_id,
            thread_ids=[*threads.values_list("pk", flat=True)],
        )
        threads.delete()
        WorkingMemory.objects.using(alias).filter(resource_id=resource_id).delete()
        self._items(resource_id).delete()
        self._facts(resource_id).delete()
        self._cases(resource_id, "recall").delete()

    def count_connection(self, connection_id: str) -> Erasure:
        alias = self.session.alias
        entities = Entity.objects.using(alias).filter(connection_id=connection_id)
        with self.session.translated():
            facts, fact_vectors = self._facts_of_records(entities)
            return Erasure(
                facts=facts,
                entities=entities.count(),
                records=Record.objects.using(alias).filter(entity__in=entities).count(),
                sync_runs=SyncRun.objects.using(alias).filter(entity__in=entities).count(),
                vectors=self._record_vectors(entities) + fact_vectors,
                evaluation_cases=self._cases(connection_id, "records:").count(),
            )

    def delete_evaluation_cases(self, connection_id: str) -> None:
        self._cases(connection_id, "records:").delete()

    def count_namespace(self, namespace: str) -> Erasure:
        with self.session.translated():
            vectors = sum(rows.count() for rows in self._own_vectors(namespace))
            cases = self._cases(namespace, "vectors:").count()
            return Erasure(vectors=vectors, evaluation_cases=cases)

    def delete_namespace(self, namespace: str) -> None:
        for rows in self._own_vectors(namespace):
            rows.delete()
        self._cases(namespace, "vectors:").delete()

    def vacuum(self, *, full: bool) -> None:
        connection = self.session.connection
        with self.session.translated():
            if not connection.get_autocommit():
                raise EngineError(
                    "VACUUM cannot run within a transaction; call vacuum() outside of atomic()"
                )
            with connection.cursor() as cursor, _warnings(cursor.connection) as warnings:
                tables = _tables(connection.introspection.table_names(cursor))
                cursor.execute(f"{_REWRITE if full else _VACUUM} {', '.join(tables)}")
        # The server only warns of a table that it skips because another role owns it.
        if warnings:
            raise EngineError(f"The server did not vacuum every table: {warnings[0]}")

    def _items(self, resource_id: str) -> QuerySet[StateItem]:
        return StateItem.objects.using(self.session.alias).under(resource_id)

    def _facts(self, resource_id: str) -> QuerySet[Fact]:
        return Fact.objects.using(self.session.alias).filter(resource_id=resource_id)

    def _facts_of_records(self, entities: QuerySet[Entity]) -> tuple[int, int]:
        """Count the facts that rest on records of entities alone, and those of them with vectors.

        A fact has one source for each of its `source_count`, so it needs no search for others.
        """
        alias = self.session.alias
        own_sources = Count("sources", filter=Q(sources__record__entity__in=entities))
        facts = Fact.objects.using(alias)
        facts = facts.filter(sources__record__entity__in=entities).annotate(own=own_sources)
        counts = facts.filter(own=F("source_count")).aggregate(
            facts=Count("pk"), vectors=Count("pk", filter=Q(is_indexed=True))
        )
        return counts["facts"], counts["vectors"]

    def _cases(self, owner: str, target: str) -> QuerySet[EvaluationCase]:
        """Return the evaluation cases of an owner: of a target, or of vectors in a namespace."""
        cases = EvaluationCase.objects.using(self.session.alias).filter(owner=owner)
        return cases.filter(Q(target__startswith=target) | Q(target__startswith="vectors:"))

    def _vectors_of(self, resource_id: str, index_name: str) -> int:
        alias = self.session.alias
        index = VectorIndex.objects.using(alias).filter(name=index_name).first()
        if index is None:
            return 0
        vectors = Embedding.objects.using(alias).filter(vector_index_id=index.id)
        return vectors.filter(namespace=resource_id).count()

    def _own_vectors(self, namespace: str) -> list[QuerySet[Embedding]]:
        """Return a namespace's vectors that were not made of messages, records or state, by index.

        One statement for all indexes would lock all partitions at once, and the server's table of
        locks has a fixed size.
        """
        alias = self.session.alias
        indexes = VectorIndex.objects.using(alias).values_list("pk", flat=True)
        vectors = Embedding.objects.using(alias).filter(namespace=namespace)
        vectors = vectors.exclude(metadata__has_any_keys=sorted(SOURCE_KEYS))
        return [vectors.filter(vector_index=index) for index in indexes.order_by("pk")]

    def _record_vectors(self, entities: QuerySet[Entity]) -> int:
        """Count the chunks of entities, which are in the namespace of their connection."""
        progress = IndexProgress.objects.using(self.session.alias).filter(entity__in=entities)
        columns = progress.values_list("vector_index", "entity", "entity__connection_id")
        vectors = Embedding.objects.using(self.session.alias)
        return sum(
            vectors.filter(
                matching_document(of_entity(entity), "metadata"),
                vector_index=index,
                namespace=connection,
            ).count()
            for index, entity, connection in columns
        )


@contextmanager
def _warnings(driver: Connection[Any]) -> Iterator[list[str]]:
    """Collect the server's warnings while inside."""
    warnings: list[str] = []

    def note(diagnostic: Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            warnings.append(str(diagnostic.message_primary))

    driver.add_notice_handler(note)
    try:
        yield warnings
    finally:
        driver.remove_notice_handler(note)


def _tables(existing: Sequence[str]) -> list[str]:
    """Return the names of all tables of the engine and of its adapters in this database."""
    models = (model for app in apps.get_app_configs() for model in app.get_models())
    return [
        model._meta.db_table
        for model in models
        if model.__module__.startswith("mastra_engine.") and model._meta.db_table in existing
    ]
