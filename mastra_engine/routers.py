"""Where the engine's tables are, in projects with several databases."""

from __future__ import annotations

from typing import Any

from mastra_engine.handler import engines


class EngineRouter:
    """For `DATABASE_ROUTERS`: has the engine's tables made in its engines' databases only.

    Of other apps it knows nothing; what an engine reads and writes needs no router.
    """

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Say whether a database gets the tables; raises EngineConfigError."""
        if app_label != "mastra_engine":
            return None
        return db in {engine.database for engine in engines.all()}
