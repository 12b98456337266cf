"""LangGraph: checkpoints in tables of this app, and long-term memory in the engine's state.

For checkpoints, add "mastra_engine.contrib.langgraph" to INSTALLED_APPS and run
`manage.py engine_migrate`. Django imports this package and its models, which need nothing of
LangGraph; the classes are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mastra_engine.optional_deps import require

if TYPE_CHECKING:
    from mastra_engine.contrib.langgraph.checkpointer import DjangoCheckpointer
    from mastra_engine.contrib.langgraph.store import EngineStore

__all__ = ["DjangoCheckpointer", "EngineStore"]

_MODULES = {"DjangoCheckpointer": "checkpointer", "EngineStore": "store"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require("langgraph", "langgraph", by=__name__)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
