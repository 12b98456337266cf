"""Calls that take effect once, however often they are repeated."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from mastra_engine.backends.base.idempotency.store import IdempotencyStore, StoredResponse
from mastra_engine.exceptions import Conflict, IdempotencyConflict
from mastra_engine.validation.inputs import name, seconds
from mastra_engine.validation.jsonb import canonical, content_hash

DAY = 24 * 60 * 60.0


class Idempotency:
    """Calls under an idempotency key, reached as `engine.idempotency`."""

    def __init__(self, store: IdempotencyStore) -> None:
        self.store = store

    def run_idempotent(
        self, *, owner: str, key: str, body: bytes, act: Callable[[], bytes], keep: float = DAY
    ) -> bytes:
        """Call `act`, or return the stored response of an earlier call with the same arguments.

        `act` runs in one transaction, in which its response is stored for `keep` seconds: a crash
        leaves both or neither. An exception of `act` is raised and not stored, so the call can be
        repeated; if its transaction conflicts with another one, `act` is called again at once.
        `body` identifies the request. Keys of different owners are independent.

        Raises IdempotencyConflict for another body under the same key, InFlight at once while a
        call with the key is running, Conflict if its response was erased, and InvalidInput.
        """
        id = _id(name(owner, "/owner"), name(key, "/key"))
        body_hash, lifetime = content_hash(body), seconds(keep, "/keep")

        def call() -> bytes:
            stored = self.store.find(id)
            if stored is None:
                response = act()
                self.store.save(id, StoredResponse(body_hash, response), seconds=lifetime)
                return response
            if stored.body_hash != body_hash:
                raise IdempotencyConflict(key=key)
            if stored.response is None:
                raise Conflict("This call succeeded before; its stored response has been erased")
            return stored.response

        return self.store.run_exclusively(id, call)

    def expire_idempotency_records(self) -> int:
        """Delete expired idempotency records, and return how many there were.

        Each call of run_idempotent() deletes some of them, so that they do not accumulate.
        """
        return self.store.delete_expired()


def _id(owner: str, key: str) -> UUID:
    return UUID(bytes=content_hash(canonical([owner, key])))
