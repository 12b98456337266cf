"""The data layer of AI agents in your own PostgreSQL, as a Django app."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mastra_engine.backends.base import MastraEngine
    from mastra_engine.backends.base.sync_runs.worker import SyncContext
    from mastra_engine.backends.mock import MockMastraEngine
    from mastra_engine.backends.postgres import PostgresEngine
    from mastra_engine.handler import PgMemory, PgVector, engine, engines
    from mastra_engine.registry import index_records, sync
    from mastra_engine.retrieval.rerankers import Reranker

__all__ = [
    "MastraEngine",
    "MockMastraEngine",
    "PgMemory",
    "PgVector",
    "PostgresEngine",
    "Reranker",
    "SyncContext",
    "engine",
    "engines",
    "index_records",
    "sync",
]

__version__ = "0.1.0"

# Names are imported on first use, so that importing the package needs no settings and no models.
_MODULES = {
    "MastraEngine": "mastra_engine.backends.base",
    "SyncContext": "mastra_engine.backends.base.sync_runs.worker",
    "MockMastraEngine": "mastra_engine.backends.mock",
    "PostgresEngine": "mastra_engine.backends.postgres",
    "PgMemory": "mastra_engine.handler",
    "PgVector": "mastra_engine.handler",
    "Reranker": "mastra_engine.retrieval.rerankers",
    "engine": "mastra_engine.handler",
    "engines": "mastra_engine.handler",
    "index_records": "mastra_engine.registry",
    "sync": "mastra_engine.registry",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
