"""Acting once, in memory."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from mastra_engine.backends.base.once import Answered, OnceContract
from mastra_engine.backends.mock.store import Store, now
from mastra_engine.exceptions import InFlight
from mastra_engine.pausing import reached


class MockOnce(OnceContract):
    """Answers in a store that engines of one URL share."""

    store: Store

    def expire_answers(self) -> int:
        with self.store.lock:
            kept, moment = self.store.answers, now()
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

    def _answered(self, id: UUID) -> Answered | None:
        with self.store.lock:
            self.expire_answers()
            found = self.store.answers.get(id)
        return None if found is None else found[0]

    def _keep(self, id: UUID, answered: Answered, *, seconds: float) -> None:
        reached("acted")
        with self.store.lock:
            self.store.answers[id] = answered, now() + timedelta(seconds=seconds)
        reached("answer_kept")

    def _empty_answers(self) -> None:
        """Erase what answers say; that something was done stays known."""
        for id, (answered, expires_at) in self.store.answers.items():
            self.store.answers[id] = Answered(answered.body_hash, None), expires_at
