"""Settings of a project whose syncs are declared in this package, and which embeds messages."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as OF_ENGINE

INSTALLED_APPS = [*OF_ENGINE, "tests.distributed"]
MASTRA_ENGINE = {
    "default": {
        "BACKEND": "mastra_engine.PostgresEngine",
        "SYNC_LEASE": 2.0,
        "EMBEDDER": "mastra_engine.testing.contract.recall.BagOfWords",
    }
}
