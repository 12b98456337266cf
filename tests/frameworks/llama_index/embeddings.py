"""An embedding model without a network."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding


class Letters(BaseEmbedding):
    """Counts letters, so that similar texts have similar vectors."""

    def _get_text_embedding(self, text: str) -> list[float]:
        return [1.0 + text.count(letter) for letter in "aeilmnopru"]

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)
