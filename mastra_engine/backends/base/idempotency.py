"""The contract of acting once, however often one is asked to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.exceptions import Conflict, IdempotencyConflict
from mastra_engine.validation.inputs import name, seconds
from mastra_engine.validation.jsonb import canonical, content_hash

DAY = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What came of a call; None once that was erased."""

    body_hash: bytes
    response: bytes | None


class Idempotency(ABC):
    """Calls under an idempotency key."""

    def run_idempotent(
        self, *, owner: str, key: str, body: bytes, act: Callable[[], bytes], keep: float = DAY
    ) -> bytes:
        """Act, or return what came of it when the same was asked for before.

        `act` runs in one transaction, in which its answer is kept for `keep` seconds: a crash
        leaves both or neither. What it raises comes through and is not kept, so that it can be
        asked for again; where it lost to another transaction it is called again at once. `body`
        stands for what is asked for. Keys of two owners never meet.

        Raises IdempotencyConflict for another body under that key, InFlight at once while a call
        with it is under way, Conflict when its answer was erased since, and InvalidInput.
        """
        id = _id(name(owner, "/owner"), name(key, "/key"))
        asked, kept_for = content_hash(body), seconds(keep, "/keep")

        def answer() -> bytes:
            before = self._find_response(id)
            if before is None:
                made = act()
                self._keep(id, StoredResponse(asked, made), seconds=kept_for)
                return made
            if before.body_hash != asked:
                raise IdempotencyConflict
            if before.response is None:
                raise Conflict("That was done; its answer has been erased since")
            return before.response

        return self._alone(id, answer)

    @abstractmethod
    def expire_idempotency_records(self) -> int:
        """Delete answers whose time is over, and return how many there were.

        Each call of once() deletes some of them already, so that they do not pile up.
        """

    arun_idempotent = derive_async(run_idempotent)
    aexpire_idempotency_records = derive_async(expire_idempotency_records)

    # What a backend implements

    @abstractmethod
    def _alone(self, id: UUID, answer: Callable[[], bytes]) -> bytes:
        """Call it in a transaction; raise InFlight at once where another one has this id."""

    @abstractmethod
    def _find_response(self, id: UUID) -> StoredResponse | None: ...

    @abstractmethod
    def _keep(self, id: UUID, answered: StoredResponse, *, seconds: float) -> None: ...


def _id(owner: str, key: str) -> UUID:
    return UUID(bytes=content_hash(canonical([owner, key])))
