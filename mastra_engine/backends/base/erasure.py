"""Erasing all that is kept of somebody."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.records.service import RecordsContract
from mastra_engine.exceptions import InvalidInput, Unavailable
from mastra_engine.types import Erasure
from mastra_engine.validation.inputs import name


class ErasureContract(RecordsContract, ABC):
    """Erasing a resource's memory or a connection's records."""

    memory: Memory

    def erase(
        self,
        *,
        resource_id: str | None = None,
        connection_id: str | None = None,
        dry_run: bool = False,
    ) -> Erasure:
        """Delete what is kept of a resource or of a connection, and return how much it was.

        Of a resource: threads, messages, their vectors and working memory. Of a connection:
        entities, records, their vectors and sync runs. All or nothing; afterwards it is counted,
        and Unavailable is raised when something was written meanwhile: erase again. The bytes stay
        in the tables until vacuum().
        """
        census, erase = self._subject(resource_id, connection_id)
        found = census()
        if dry_run:
            return found
        erase()
        if census() != Erasure():
            raise Unavailable("It is being written to at the same time; erase it again")
        return found

    @abstractmethod
    def vacuum(self, *, full: bool = False) -> None:
        """Let the database overwrite what was deleted. Not within a transaction.

        Bytes stay in a page until something else needs the room, and words in the index for
        hybrid search. `full` writes tables and indexes anew, without them; meanwhile nobody else
        can use them. The write-ahead log and backups keep bytes for as long as they are kept.
        """

    aerase = derive_async(erase)
    avacuum = derive_async(vacuum)

    # What a backend implements

    @abstractmethod
    def _resource_census(self, resource_id: str) -> Erasure: ...

    @abstractmethod
    def _erase_resource(self, resource_id: str) -> None: ...

    @abstractmethod
    def _connection_census(self, connection_id: str) -> Erasure: ...

    @abstractmethod
    def _erase_connection(self, connection_id: str) -> None: ...

    # Shared steps

    def _subject(
        self, resource_id: str | None, connection_id: str | None
    ) -> tuple[Callable[[], Erasure], Callable[[], None]]:
        """Return how to count and how to delete what is kept of it."""
        if (resource_id is None) == (connection_id is None):
            raise InvalidInput("give a resource_id or a connection_id", path="/resource_id")
        if resource_id is not None:
            id = self.memory.scope.require_resource(resource_id)
            return partial(self._resource_census, id), partial(self._erase_resource, id)
        id = self._own_connection(name(connection_id, "/connection_id"))
        return partial(self._connection_census, id), partial(self._erase_connection, id)
