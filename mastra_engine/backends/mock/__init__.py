"""An engine without a database, which keeps the whole contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.mock.erasure import MockErasure
from mastra_engine.backends.mock.following import MockFollowing
from mastra_engine.backends.mock.memory import MockMemoryStore
from mastra_engine.backends.mock.record_search import MockIndexing, MockIndexProgressStore
from mastra_engine.backends.mock.store import open_store
from mastra_engine.backends.mock.sync_runs import MockRunStore
from mastra_engine.backends.mock.syncs import MockSyncs
from mastra_engine.backends.mock.vectors import MockVectorStore
from mastra_engine.conversations.tokens import estimate
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.protocols import Embedder, Reranks, Tokenizer

__all__ = ["MockMastraEngine"]


class MockMastraEngine(MockSyncs, MockIndexing, MockFollowing, MockErasure, MastraEngine):
    """Behaves like PostgresEngine, in memory.

    Engines of one URL share their data, across threads, for as long as one of them is referenced.
    """

    def __init__(
        self,
        url: str = "mock://localhost",
        *,
        alias: str = "default",
        sync_lease: float = 60.0,
        sync_history: int = 1_000,
        index_lease: float = 60.0,
        embedder: Embedder | None = None,
        reranker: Reranks | None = None,
        indexes: Mapping[str, Mapping[str, Any]] | None = None,
        tokenizer: Tokenizer = estimate,
        working_memory_schema: Mapping[str, Any] | None = None,
        retention_days: float | None = None,
    ) -> None:
        if not url.startswith("mock://"):
            raise EngineConfigError(f"A mock engine's URL starts with mock://, unlike {url!r}")
        self.alias = alias
        self.store = open_store(url)
        self.run_store = MockRunStore(self.store)
        self.sync_lease = sync_lease
        self.sync_history = sync_history
        self.index_lease = index_lease
        self.vectors = Vectors(
            MockVectorStore(self.store), embedder=embedder, reranker=reranker, declared=indexes
        )
        self.index_progress = MockIndexProgressStore(self.store)
        self.memory = Memory(
            MockMemoryStore(self.store),
            self.vectors,
            tokenizer=tokenizer,
            working_memory_schema=working_memory_schema,
            retention_days=retention_days,
        )

    def reset(self) -> None:
        """Forget everything that is behind this URL."""
        self.store.clear()

    def close(self) -> None:
        return None
