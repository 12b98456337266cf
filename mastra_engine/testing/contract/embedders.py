"""Embedders that tests of searches use."""

from __future__ import annotations

from typing import Any

import numpy as np

from mastra_engine.testing.contract.recall import BagOfWords


class Arrays(BagOfWords):
    """Returns NumPy arrays, as WordLlamaEmbedder does."""

    def embed_documents(self, texts: list[str]) -> Any:
        return np.array(super().embed_documents(texts))

    def embed_query(self, text: str) -> Any:
        return np.array(super().embed_query(text))


#: Embedders by their names; without one, searches go by words.
EMBEDDERS: dict[str, BagOfWords | None] = {
    "embedder": BagOfWords(),
    "arrays": Arrays(),
    "words only": None,
}
