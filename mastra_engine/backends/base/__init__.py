"""The contract that every engine keeps: arguments are checked here, storage is the backend's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from mastra_engine.backends.base.erasure import ErasureContract
from mastra_engine.backends.base.memory import MemoryContract
from mastra_engine.backends.base.runs import RunsContract
from mastra_engine.backends.base.syncs import SyncsContract
from mastra_engine.backends.base.twins import twin
from mastra_engine.backends.base.vectors import VectorsContract

__all__ = ["MastraEngine"]


class MastraEngine(RunsContract, SyncsContract, ErasureContract, ABC):
    """An engine: entities, records and syncs, flat, `memory` and `vectors`.

    Arguments are keyword-only, returned values are frozen dataclasses, and every method has an
    async twin. A subclass implements the underscored methods, whose arguments have been checked.
    """

    alias: str = "default"
    #: The Django database it keeps its tables in, if any.
    database: str | None = None
    vectors: VectorsContract
    memory: MemoryContract

    @abstractmethod
    def close(self) -> None:
        """Give back what this engine holds open in this thread. It may be used again."""

    aclose = twin(close)

    def check(self) -> list[Any]:
        """Return Django system check messages about this engine's configuration."""
        return []
