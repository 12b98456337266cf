"""A document store and a retriever for Haystack. Needs the extra `haystack`."""

from __future__ import annotations

from mastra_engine.optional_deps import require

require("haystack", "haystack", by=__name__)

# The check before these imports names the extra.
from mastra_engine.contrib.haystack.document_store import EngineDocumentStore  # noqa: E402
from mastra_engine.contrib.haystack.retriever import EngineEmbeddingRetriever  # noqa: E402

__all__ = ["EngineDocumentStore", "EngineEmbeddingRetriever"]
