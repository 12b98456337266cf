"""Idempotency records in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.idempotency.store import IdempotencyStore, StoredResponse
from mastra_engine.backends.mock.rows import now
from mastra_engine.backends.mock.store import Store
from mastra_engine.exceptions import InFlight


class MockIdempotencyStore(IdempotencyStore):
    """Responses in the store that engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def run_exclusively(self, id: UUID, call: Callable[[], bytes]) -> bytes:
        with self.store.lock:
            if id in self.store.in_flight:
                raise InFlight
            self.store.in_flight.add(id)
        try:
            return call()
        finally:
            with self.store.lock:
                self.store.in_flight.remove(id)

    def find(self, id: UUID) -> StoredResponse | None:
        with self.store.lock:
            self.delete_expired()
            row = self.store.idempotency_records.get(id)
        return None if row is None else row[0]

    def save(self, id: UUID, response: StoredResponse, *, seconds: float) -> None:
        failpoints.hit("acted")
        with self.store.lock:
            self.store.idempotency_records[id] = response, now() + timedelta(seconds=seconds)
        failpoints.hit("response_stored")

    def delete_expired(self) -> int:
        with self.store.lock:
            rows, moment = self.store.idempotency_records, now()
            expired = [id for id, (_, expires_at) in rows.items() if expires_at <= moment]
            for id in expired:
                del rows[id]
        return len(expired)

    def erase_responses(self) -> None:
        with self.store.lock:
            rows = self.store.idempotency_records
            for id, (response, expires_at) in rows.items():
                rows[id] = StoredResponse(response.body_hash, None), expires_at
