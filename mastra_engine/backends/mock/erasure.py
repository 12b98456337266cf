"""Erasing in memory."""

from __future__ import annotations

from uuid import UUID

from mastra_engine.backends.base.erasure import ErasureContract
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.search import ENTITY
from mastra_engine.backends.mock.idempotency import MockIdempotency
from mastra_engine.backends.mock.records import MockRecords
from mastra_engine.backends.mock.store import EntityRow, ThreadRow
from mastra_engine.types import Erasure
from mastra_engine.validation.jsonb import loads


class MockErasure(MockRecords, MockIdempotency, ErasureContract):
    """Erasing from a store; what is deleted is gone at once."""

    memory: Memory

    def vacuum(self, *, full: bool = False) -> None:
        return None

    def _resource_census(self, resource_id: str) -> Erasure:
        with self.store.lock:
            threads = self._threads_of(resource_id)
            return Erasure(
                threads=len(threads),
                messages=sum(len(thread.messages) for thread in threads),
                working_memory=sum(
                    holder.resource_id == resource_id for holder in self.store.working_memory
                ),
                vectors=self._message_vectors(resource_id),
            )

    def _message_vectors(self, resource_id: str) -> int:
        index = self.store.indexes.get(self.memory.index_name)
        namespaces = [] if index is None else [namespace for namespace, _ in index.rows]
        return namespaces.count(resource_id)

    def _erase_resource(self, resource_id: str) -> None:
        with self.store.lock:
            for thread in self._threads_of(resource_id):
                del self.store.threads[thread.id]
            held = self.store.working_memory
            for holder in [each for each in held if each.resource_id == resource_id]:
                del held[holder]
            self.memory.message_index.delete_resource(resource_id)
            self._erase_responses()

    def _connection_census(self, connection_id: str) -> Erasure:
        with self.store.lock:
            entities = self._entities_of(connection_id)
            records = sum(len(entity.records) for entity in entities)
            vectors = sum(self._record_vectors(entity.id) for entity in entities)
            runs = sum(row.run.connection_id == connection_id for row in self.store.runs.values())
            return Erasure(entities=len(entities), records=records, sync_runs=runs, vectors=vectors)

    def _record_vectors(self, entity_id: UUID) -> int:
        rows = [row for index in self.store.indexes.values() for row in index.rows.values()]
        return sum(loads(row.metadata).get(ENTITY) == str(entity_id) for row in rows)

    def _erase_connection(self, connection_id: str) -> None:
        with self.store.lock:
            for entity in self._entities_of(connection_id):
                self._delete_entity(entity.id)
            self._erase_responses()

    def _threads_of(self, resource_id: str) -> list[ThreadRow]:
        rows = self.store.threads.values()
        return [row for row in rows if row.resource_id == resource_id]

    def _entities_of(self, connection_id: str) -> list[EntityRow]:
        rows = self.store.entities.values()
        return [row for row in rows if row.connection_id == connection_id]
