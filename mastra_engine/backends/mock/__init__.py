"""An engine without a database, which keeps the whole contract."""

from __future__ import annotations

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.mock.store import open_store
from mastra_engine.backends.mock.syncs import MockSyncs
from mastra_engine.exceptions import EngineConfigError

__all__ = ["MockMastraEngine"]


class MockMastraEngine(MockSyncs, MastraEngine):
    """Behaves like PostgresEngine, in memory.

    Engines of one URL share their data, across threads, for as long as one of them is referenced.
    """

    def __init__(self, url: str = "mock://localhost", *, alias: str = "default") -> None:
        if not url.startswith("mock://"):
            raise EngineConfigError(f"A mock engine's URL starts with mock://, unlike {url!r}")
        self.alias = alias
        self.store = open_store(url)

    def reset(self) -> None:
        """Forget everything that is behind this URL."""
        with self.store.lock:
            self.store.entities.clear()

    def close(self) -> None:
        return None
