"""Embedding models without a network."""

from __future__ import annotations

import asyncio

from langchain_core.embeddings import Embeddings


class Letters(Embeddings):
    """Counts letters, so that similar texts have similar vectors."""

    def embed_query(self, text: str) -> list[float]:
        return [1.0 + text.count(letter) for letter in "aeilmnopru"]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return list(map(self.embed_query, texts))


class Opposite(Letters):
    """Embeds queries in the opposite direction."""

    def embed_query(self, text: str) -> list[float]:
        return [-number for number in super().embed_query(text)]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return list(map(super().embed_query, texts))


class AsyncOnly(Letters):
    """Embeds only where an event loop runs."""

    def embed_query(self, text: str) -> list[float]:
        asyncio.get_running_loop()
        return super().embed_query(text)

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)
