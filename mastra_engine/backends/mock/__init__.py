"""An engine in memory that satisfies the same contract as the PostgreSQL engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mastra_engine.backends.base import MastraEngine, Stores
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.mock.erasure import MockErasureStore
from mastra_engine.backends.mock.facts import MockFactStore
from mastra_engine.backends.mock.idempotency import MockIdempotencyStore
from mastra_engine.backends.mock.memory import MockMemoryStore
from mastra_engine.backends.mock.record_search import MockIndexProgressStore
from mastra_engine.backends.mock.records import MockRecordStore
from mastra_engine.backends.mock.state import MockStateStore
from mastra_engine.backends.mock.store import open_store
from mastra_engine.backends.mock.sync_runs import MockRunStore
from mastra_engine.backends.mock.vectors import MockVectorStore
from mastra_engine.conversations.tokens import estimate
from mastra_engine.exceptions import EngineConfigError
from mastra_engine.protocols import Embedder, FactExtractor, Reranks, Tokenizer

__all__ = ["MockMastraEngine"]


class MockMastraEngine(MastraEngine):
    """Behaves like PostgresEngine, in memory.

    Engines with the same URL share their data, across threads, as long as one of them is
    referenced.
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
        fact_extractor: FactExtractor | None = None,
        indexes: Mapping[str, Mapping[str, Any]] | None = None,
        tokenizer: Tokenizer = estimate,
        working_memory_schema: Mapping[str, Any] | None = None,
        retention_days: float | None = None,
    ) -> None:
        if not url.startswith("mock://"):
            raise EngineConfigError(
                f'The URL of a mock engine must start with "mock://", got {url!r}'
            )
        self.url = url
        self.store = store = open_store(url)
        vectors = Vectors(
            MockVectorStore(store), embedder=embedder, reranker=reranker, declared=indexes
        )
        memory = Memory(
            MockMemoryStore(store),
            vectors,
            tokenizer=tokenizer,
            working_memory_schema=working_memory_schema,
            retention_days=retention_days,
        )
        super().__init__(
            Stores(
                records=MockRecordStore(store),
                sync_runs=MockRunStore(store),
                index_progress=MockIndexProgressStore(store),
                facts=MockFactStore(store),
                idempotency=MockIdempotencyStore(store),
                erasure=MockErasureStore(store),
            ),
            alias=alias,
            vectors=vectors,
            memory=memory,
            state=State(MockStateStore(store), vectors),
            sync_lease=sync_lease,
            sync_history=sync_history,
            index_lease=index_lease,
            fact_extractor=fact_extractor,
        )

    def reset(self) -> None:
        """Delete everything that is stored under this engine's URL."""
        self.store.clear()

    def _location(self) -> list[str]:
        return [f"url={self.url!r}"]

    def close(self) -> None:
        return None
