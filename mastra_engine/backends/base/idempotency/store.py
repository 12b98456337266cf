"""The storage of responses by idempotency key, which a backend implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response of a call and the hash of its request; None after its erasure."""

    body_hash: bytes
    response: bytes | None


class IdempotencyStore(ABC):
    """Idempotency records of one backend."""

    @abstractmethod
    def run_exclusively(self, id: UUID, call: Callable[[], bytes]) -> bytes:
        """Run `call` in a transaction, in which `save` also takes effect.

        Raises InFlight at once while another call with this id is running.
        """

    @abstractmethod
    def find(self, id: UUID) -> StoredResponse | None:
        """Return the stored response of an id, unless it has expired."""

    @abstractmethod
    def save(self, id: UUID, response: StoredResponse, *, seconds: float) -> None:
        """Store a response for some seconds, replacing an expired one."""

    @abstractmethod
    def delete_expired(self) -> int:
        """Delete expired idempotency records, and return how many there were."""

    @abstractmethod
    def erase_responses(self) -> None:
        """Erase all stored responses; the calls still count as done."""
