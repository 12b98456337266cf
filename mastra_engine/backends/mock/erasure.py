"""Erasing in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from mastra_engine.backends.base.erasure.store import ErasureStore
from mastra_engine.backends.base.vectors.search import ENTITY, SOURCE_KEYS
from mastra_engine.backends.mock.rows import EntityRow, FactRow, IndexRows, ItemRow, ThreadRow
from mastra_engine.backends.mock.store import Store
from mastra_engine.types import Erasure, Fact
from mastra_engine.validation.jsonb import loads


class MockErasureStore(ErasureStore):
    """Counts and deletes rows of the store that engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def run(self, operation: Callable[[], None]) -> None:
        with self.store.lock:
            operation()

    def count_resource(self, resource_id: str, *, indexes: Sequence[str]) -> Erasure:
        with self.store.lock:
            threads = self._threads(resource_id)
            return Erasure(
                threads=len(threads),
                messages=sum(len(thread.messages) for thread in threads),
                working_memory=sum(
                    holder.resource_id == resource_id for holder in self.store.working_memory
                ),
                state_items=sum(row.value is not None for row in self._items(resource_id)),
                facts=len(self._facts(resource_id)),
                vectors=sum(self._vectors_of(resource_id, index) for index in indexes),
            )

    def delete_resource(self, resource_id: str) -> None:
        with self.store.lock:
            for thread in self._threads(resource_id):
                del self.store.threads[thread.id]
                self.store.delete_messages(thread, list(thread.messages))
            rows = self.store.working_memory
            for holder in [key for key in rows if key.resource_id == resource_id]:
                del rows[holder]
            for item in self._items(resource_id):
                del self.store.items[item.place]
            self.store.delete_facts([fact.id for fact in self._facts(resource_id)])

    def count_connection(self, connection_id: str) -> Erasure:
        with self.store.lock:
            rows = self.store.entities.values()
            entities = [row for row in rows if row.connection_id == connection_id]
            records = sum(len(entity.records) for entity in entities)
            vectors = sum(self._record_vectors(entity.id) for entity in entities)
            runs = sum(row.run.connection_id == connection_id for row in self.store.runs.values())
            facts = self._facts_of_records(entities)
            return Erasure(
                facts=len(facts),
                entities=len(entities),
                records=records,
                sync_runs=runs,
                vectors=vectors + sum(row.is_indexed for row in facts),
            )

    def delete_evaluation_cases(self, connection_id: str) -> None:
        """Do nothing: evaluation cases are saved in PostgreSQL only."""

    def count_namespace(self, namespace: str) -> Erasure:
        with self.store.lock:
            return Erasure(vectors=sum(len(keys) for _, keys in self._own_vectors(namespace)))

    def delete_namespace(self, namespace: str) -> None:
        with self.store.lock:
            for index, keys in self._own_vectors(namespace):
                for key in keys:
                    del index.rows[key]

    def vacuum(self, *, full: bool) -> None:
        """Do nothing: deleted rows are gone at once."""

    def _vectors_of(self, resource_id: str, index_name: str) -> int:
        index = self.store.indexes.get(index_name)
        namespaces = [] if index is None else [namespace for namespace, _ in index.rows]
        return namespaces.count(resource_id)

    def _own_vectors(self, namespace: str) -> list[tuple[IndexRows, list[tuple[str, str]]]]:
        """Return the keys of a namespace's vectors that the engine has not made, by index."""
        return [
            (
                index,
                [
                    key
                    for key, row in index.rows.items()
                    if key[0] == namespace and not loads(row.metadata).keys() & SOURCE_KEYS
                ],
            )
            for index in self.store.indexes.values()
        ]

    def _record_vectors(self, entity_id: UUID) -> int:
        rows = [row for index in self.store.indexes.values() for row in index.rows.values()]
        return sum(loads(row.metadata).get(ENTITY) == str(entity_id) for row in rows)

    def _items(self, resource_id: str) -> list[ItemRow]:
        return [row for row in self.store.items.values() if row.namespace[0] == resource_id]

    def _facts(self, resource_id: str) -> list[Fact]:
        rows = self.store.facts.values()
        return [row.fact for row in rows if row.fact.resource_id == resource_id]

    def _facts_of_records(self, entities: Sequence[EntityRow]) -> list[FactRow]:
        """Return the facts that rest on records of entities alone."""
        records = {record.id for entity in entities for record in entity.live()}
        rows = self.store.facts.values()
        return [
            row for row in rows if {s.record_id for s in row.sources} <= records and row.sources
        ]

    def _threads(self, resource_id: str) -> list[ThreadRow]:
        rows = self.store.threads.values()
        return [row for row in rows if row.resource_id == resource_id]
