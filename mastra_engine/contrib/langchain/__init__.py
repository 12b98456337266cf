"""A vector store and a chat message history for LangChain. Needs the extra `langchain`."""

from __future__ import annotations

from mastra_engine.optional_deps import require

require("langchain", "langchain_core", by=__name__)

# The check before these imports names the extra.
from mastra_engine.contrib.langchain.chat_history import EngineChatMessageHistory  # noqa: E402
from mastra_engine.contrib.langchain.vector_store import EngineVectorStore  # noqa: E402

__all__ = ["EngineChatMessageHistory", "EngineVectorStore"]
