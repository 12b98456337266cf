"""A vector store for LlamaIndex. Needs the extra `llama_index`."""

from __future__ import annotations

from mastra_engine.optional_deps import require

require("llama_index", "llama_index", by=__name__)

# The check before this import names the extra.
from mastra_engine.contrib.llama_index.vector_store import EngineVectorStore  # noqa: E402

__all__ = ["EngineVectorStore"]
