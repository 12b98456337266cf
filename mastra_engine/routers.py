"""A database router for projects with several databases."""

from __future__ import annotations

from typing import Any

from mastra_engine.handler import engines


class EngineRouter:
    """Limits the engine's tables to the databases of the configured engines.

    Add it to `DATABASE_ROUTERS`. It makes no decision about other apps. Engines read and write
    their own database without a router.
    """

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """Return whether `migrate` may create the tables in a database; None for other apps."""
        if app_label != "mastra_engine":
            return None
        return db in {engine.database for engine in engines.all()}
