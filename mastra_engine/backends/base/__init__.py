"""The contract that every engine keeps: arguments are checked here, storage is the backend's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from copy import copy
from typing import Any, Self

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.erasure import ErasureContract
from mastra_engine.backends.base.idempotency import Idempotency
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.record_search.service import IndexingContract
from mastra_engine.backends.base.sync_runs.service import RunsContract
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.validation.inputs import names, narrowed

__all__ = ["MastraEngine"]


class MastraEngine(RunsContract, IndexingContract, Idempotency, ErasureContract, ABC):
    """An engine: entities, records and syncs, flat, `memory` and `vectors`.

    Arguments are keyword-only, returned values are frozen dataclasses, and every method has an
    async variant. A subclass implements the underscored methods, whose arguments have been checked.
    """

    alias: str = "default"
    #: The Django database it keeps its tables in, if any.
    database: str | None = None
    vectors: Vectors
    memory: Memory

    def within(
        self,
        *,
        resource_ids: Iterable[str] | None = None,
        connection_ids: Iterable[str] | None = None,
        namespaces: Iterable[str] | None = None,
    ) -> Self:
        """Return this engine confined: what is beyond is not found, and cannot be made.

        Memory to resources, records, syncs and runs to connections, vectors to namespaces; None
        leaves that as it is. Confined once more, it is to those of both. Vector indexes are
        everybody's: who may make and delete them is not decided here.
        """
        confined = copy(self)
        if resource_ids is not None:
            confined.memory = self.memory.within(resource_ids=resource_ids)
        if connection_ids is not None:
            wanted = names(connection_ids, "/connection_ids")
            confined.connection_ids = narrowed(self.connection_ids, wanted)
        if namespaces is not None:
            confined.vectors = self.vectors.within(namespaces=namespaces)
        return confined

    @abstractmethod
    def close(self) -> None:
        """Give back what this engine holds open in this thread. It may be used again."""

    aclose = derive_async(close)

    def check(self) -> list[Any]:
        """Return Django system check messages about this engine's configuration."""
        return []
