"""Embedding many texts, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from mastra_engine.backends.base.steps import Steps
from mastra_engine.protocols import Embedder
from mastra_engine.retrieval.embedding import BATCH_TEXTS, Vectors, embed_documents

T = TypeVar("T")


def embed_batches(
    embedder: Embedder,
    texts: Sequence[str],
    convert: Callable[[Vectors, int], list[T]],
    *,
    dimension: int,
) -> Steps[list[T]]:
    """Embed texts, at most `BATCH_TEXTS` per call, and return the converted vectors.

    `convert` is called with the vectors of a batch and the index of its first text, so that no more
    than a batch is kept as the embedder returns it. See embed_documents() for the errors.
    """
    converted: list[T] = []
    for first in range(0, len(texts), BATCH_TEXTS):
        batch = texts[first : first + BATCH_TEXTS]
        vectors = yield partial(embed_documents, embedder, batch, dimension=dimension, first=first)
        converted += convert(vectors, first)
    return converted
