"""The engine over the project's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core import checks
from django.db import connections

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.postgres.aliases import database_at
from mastra_engine.backends.postgres.erasure import PostgresErasure
from mastra_engine.backends.postgres.following import PostgresFollowing
from mastra_engine.backends.postgres.memory import PostgresMemoryStore
from mastra_engine.backends.postgres.record_search import (
    PostgresIndexing,
    PostgresIndexProgressStore,
)
from mastra_engine.backends.postgres.session import Session
from mastra_engine.backends.postgres.sync_runs import PostgresRunStore
from mastra_engine.backends.postgres.syncs import PostgresSyncs
from mastra_engine.backends.postgres.vectors import PostgresVectorStore
from mastra_engine.conversations.tokens import estimate
from mastra_engine.protocols import Embedder, Reranks, Tokenizer

__all__ = ["PostgresEngine"]


class PostgresEngine(
    PostgresSyncs, PostgresIndexing, PostgresFollowing, PostgresErasure, MastraEngine
):
    """Keeps everything in PostgreSQL through Django's connection `database`.

    What it does joins the caller's `transaction.atomic()`. With `url`, a PostgreSQL URL, it works
    there instead: through the project's own connection if that is one of its databases. Seconds
    are the units of `lock_timeout`, where 0 leaves the server's, and of `sync_lease` and
    `index_lease`, after which a silent worker is taken for dead. Of a sync and connection
    `sync_history` runs are kept.
    """

    def __init__(  # noqa: PLR0913 - each is a setting
        self,
        *,
        alias: str = "default",
        database: str = "default",
        url: str | None = None,
        lock_timeout: float = 5.0,
        prepared_statements: bool = True,
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
        self.alias = alias
        self.owns_connection = False
        if url is not None:
            database, self.owns_connection = database_at(url)
        self.database = database
        self.session = Session(
            database, lock_timeout=lock_timeout, prepared_statements=prepared_statements
        )
        self.run_store = PostgresRunStore(self.session)
        self.sync_lease = sync_lease
        self.sync_history = sync_history
        self.index_lease = index_lease
        self.vectors = Vectors(
            PostgresVectorStore(self.session),
            embedder=embedder,
            reranker=reranker,
            declared=indexes,
        )
        self.index_progress = PostgresIndexProgressStore(self.session)
        self.memory = Memory(
            PostgresMemoryStore(self.session),
            self.vectors,
            tokenizer=tokenizer,
            working_memory_schema=working_memory_schema,
            retention_days=retention_days,
        )

    def close(self) -> None:
        if self.owns_connection:
            self.session.connection.close()

    def check(self) -> list[Any]:
        alias = self.session.alias
        if alias not in connections.settings:
            return [
                checks.Error(
                    f"The engine {self.alias!r} names the database {alias!r}, "
                    "which is not in DATABASES.",
                    id="mastra_engine.E002",
                )
            ]
        if connections[alias].vendor != "postgresql":
            return [
                checks.Error(
                    f"The engine {self.alias!r} needs PostgreSQL; the database {alias!r} is "
                    f"{connections[alias].vendor}.",
                    hint="DATABASES = {'default': mastra_engine.conf.database(BASE_DIR)} takes it "
                    "from DB_URL, which manage.py engine_add sets for a development database.",
                    id="mastra_engine.E003",
                )
            ]
        return []
