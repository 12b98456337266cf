"""The common parts of all engines: services with public methods, and ports for their stores."""

from __future__ import annotations

from mastra_engine.backends.base.engine import MastraEngine, Stores

__all__ = ["MastraEngine", "Stores"]
