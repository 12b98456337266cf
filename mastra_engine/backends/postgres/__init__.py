"""The engine over the project's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core import checks
from django.db import connections

from mastra_engine.backends.base import MastraEngine, Stores
from mastra_engine.backends.base.memory.service import Memory
from mastra_engine.backends.base.state.service import State
from mastra_engine.backends.base.vectors.service import Vectors
from mastra_engine.backends.postgres.aliases import database_at
from mastra_engine.backends.postgres.erasure import PostgresErasureStore
from mastra_engine.backends.postgres.facts import PostgresFactStore
from mastra_engine.backends.postgres.idempotency import PostgresIdempotencyStore
from mastra_engine.backends.postgres.memory import PostgresMemoryStore
from mastra_engine.backends.postgres.record_search import PostgresIndexProgressStore
from mastra_engine.backends.postgres.records import PostgresRecordStore
from mastra_engine.backends.postgres.session import Session
from mastra_engine.backends.postgres.state import PostgresStateStore
from mastra_engine.backends.postgres.sync_runs import PostgresRunStore
from mastra_engine.backends.postgres.vectors import PostgresVectorStore
from mastra_engine.conf import INVALID_URL
from mastra_engine.conversations.tokens import estimate
from mastra_engine.protocols import Embedder, FactExtractor, Reranks, Tokenizer

__all__ = ["PostgresEngine"]


class PostgresEngine(MastraEngine):
    """Stores everything in PostgreSQL through Django's connection `database`.

    Its work joins the caller's `transaction.atomic()`. With `url`, a PostgreSQL URL, it works in
    that database instead: through the project's own connection if it is one of its databases.
    `lock_timeout` is in seconds, 0 leaves the server's. `sync_lease` and `index_lease` are the
    seconds after which the work of a silent worker may be taken over. `sync_history` runs are
    kept of each sync and connection.
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
        fact_extractor: FactExtractor | None = None,
        indexes: Mapping[str, Mapping[str, Any]] | None = None,
        tokenizer: Tokenizer = estimate,
        working_memory_schema: Mapping[str, Any] | None = None,
        retention_days: float | None = None,
    ) -> None:
        database, self.owns_connection = (database, False) if url is None else database_at(url)
        self.database = database
        self.session = session = Session(
            database, lock_timeout=lock_timeout, prepared_statements=prepared_statements
        )
        vectors = Vectors(
            PostgresVectorStore(session), embedder=embedder, reranker=reranker, declared=indexes
        )
        memory = Memory(
            PostgresMemoryStore(session),
            vectors,
            tokenizer=tokenizer,
            working_memory_schema=working_memory_schema,
            retention_days=retention_days,
        )
        super().__init__(
            _stores(session),
            alias=alias,
            vectors=vectors,
            memory=memory,
            state=State(PostgresStateStore(session), vectors),
            sync_lease=sync_lease,
            sync_history=sync_history,
            index_lease=index_lease,
            fact_extractor=fact_extractor,
        )

    def _location(self) -> list[str]:
        # The settings of a connection may hold a password; only its name is shown.
        name = connections[self.session.alias].settings_dict.get("NAME")
        return [f"database={self.session.alias!r}", f"name={str(name)!r}"]

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
        if connections.settings[alias]["ENGINE"] == INVALID_URL:
            problem = connections.settings[alias]["OPTIONS"]["problem"]
            return [checks.Error(f"DB_URL is not valid. {problem}.", id="mastra_engine.E003")]
        vendor = connections[alias].vendor
        if vendor != "postgresql":
            kind = "not configured" if vendor == "unknown" else vendor  # "unknown": the dummy
            return [
                checks.Error(
                    f"The engine {self.alias!r} needs PostgreSQL; the database {alias!r} is "
                    f"{kind}.",
                    hint="DATABASES = {'default': mastra_engine.conf.database(BASE_DIR)} takes it "
                    "from DB_URL, which manage.py engine_add sets for a development database.",
                    id="mastra_engine.E003",
                )
            ]
        return []


def _stores(session: Session) -> Stores:
    return Stores(
        records=PostgresRecordStore(session),
        sync_runs=PostgresRunStore(session),
        index_progress=PostgresIndexProgressStore(session),
        facts=PostgresFactStore(session),
        idempotency=PostgresIdempotencyStore(session),
        erasure=PostgresErasureStore(session),
    )
