"""Acting once, in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.idempotency import Idempotency, StoredResponse
from mastra_engine.backends.mock.store import Store, now
from mastra_engine.exceptions import InFlight


class MockIdempotency(Idempotency):
    """Answers in a store that engines of one URL share."""

    store: Store

    def expire_idempotency_records(self) -> int:
        with self.store.lock:
            kept, moment = self.store.idempotency_records, now()
            over = [id for id, (_, expires_at) in kept.items() if expires_at <= moment]
            for id in over:
                del kept[id]
        return len(over)

    def _alone(self, id: UUID, answer: Callable[[], bytes]) -> bytes:
        with self.store.lock:
            if id in self.store.in_flight:
                raise InFlight
            self.store.in_flight.add(id)
        try:
            return answer()
        finally:
            with self.store.lock:
                self.store.in_flight.remove(id)

    def _find_response(self, id: UUID) -> StoredResponse | None:
        with self.store.lock:
            self.expire_idempotency_records()
            found = self.store.idempotency_records.get(id)
        return None if found is None else found[0]

    def _keep(self, id: UUID, answered: StoredResponse, *, seconds: float) -> None:
        failpoints.hit("acted")
        with self.store.lock:
            self.store.idempotency_records[id] = answered, now() + timedelta(seconds=seconds)
        failpoints.hit("response_stored")

    def _erase_responses(self) -> None:
        """Erase what answers say; that something was done stays known."""
        for id, (answered, expires_at) in self.store.idempotency_records.items():
            self.store.idempotency_records[id] = (
                StoredResponse(answered.body_hash, None),
                expires_at,
            )
