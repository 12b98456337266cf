"""The vector indexes that an engine makes from its own tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mastra_engine.backends.base.engine import MastraEngine


def own_indexes(engine: MastraEngine) -> dict[str, Callable[[], int]]:
    """Return the names of these indexes, each with the method that indexes everything again."""
    return {
        engine.memory.index_name: engine.memory.reembed,
        engine.state.index.name: engine.state.reindex,
        engine.facts.index.name: engine.facts.reindex,
    }
