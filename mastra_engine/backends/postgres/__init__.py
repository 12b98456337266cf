"""The engine over the project's own PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from django.core import checks
from django.db import connections

from mastra_engine.backends.base import MastraEngine
from mastra_engine.backends.postgres.erasure import PostgresErasure
from mastra_engine.backends.postgres.following import PostgresFollowing
from mastra_engine.backends.postgres.indexing import PostgresBookmarks, PostgresIndexing
from mastra_engine.backends.postgres.memory import PostgresMemory
from mastra_engine.backends.postgres.runs import PostgresLedger
from mastra_engine.backends.postgres.session import Session
from mastra_engine.backends.postgres.syncs import PostgresSyncs
from mastra_engine.backends.postgres.vectors import PostgresVectors
from mastra_engine.conf import database_from_url
from mastra_engine.protocols import Embedder, Reranks, Tokenizer
from mastra_engine.tokens import estimate

__all__ = ["PostgresEngine"]


class PostgresEngine(
    PostgresSyncs, PostgresIndexing, PostgresFollowing, PostgresErasure, MastraEngine
):
    """Keeps everything in PostgreSQL through Django's connection `database`.

    What it does joins the caller's `transaction.atomic()`. With `url`, a PostgreSQL URL, it
    connects there instead. `lock_timeout` is in seconds; 0 leaves the server's. So is
    `sync_lease`, after which a sync's silent worker is taken for dead.
    """

    def __init__(
        self,
        *,
        alias: str = "default",
        database: str = "default",
        url: str | None = None,
        lock_timeout: float = 5.0,
        sync_lease: float = 60.0,
        embedder: Embedder | None = None,
        reranker: Reranks | None = None,
        indexes: Mapping[str, Mapping[str, Any]] | None = None,
        tokenizer: Tokenizer = estimate,
        working_memory_schema: Mapping[str, Any] | None = None,
        retention_days: float | None = None,
    ) -> None:
        self.alias = alias
        self.owns_connection = url is not None
        if url is not None:
            database = add_database(url)
        self.database = database
        self.session = Session(database, lock_timeout=lock_timeout)
        self.ledger = PostgresLedger(self.session)
        self.sync_lease = sync_lease
        self.vectors = PostgresVectors(self.session, embedder)
        self.bookmarks = PostgresBookmarks(self.session)
        self.vectors.declared = indexes or {}
        if reranker is not None:
            self.vectors.reranker = reranker
        self.memory = PostgresMemory(self.session, self.vectors, tokenizer, working_memory_schema)
        self.memory.retention_days = retention_days

    def close(self) -> None:
        if self.owns_connection:
            connections[self.session.alias].close()

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
                    hint="Set DB_URL, or let manage.py engine_add set up a development database.",
                    id="mastra_engine.E003",
                )
            ]
        return []


def add_database(url: str) -> str:
    """Make a database that is not in DATABASES known to Django and return its alias."""
    # Aliases show up in messages, so this one does not hold the password.
    alias = f"mastra_engine_{blake2b(url.encode(), digest_size=8).hexdigest()}"
    if alias not in connections.settings:
        configured = connections.configure_settings({"default": {}, alias: database_from_url(url)})
        connections.settings[alias] = configured[alias]
    return alias
