"""Clustered vectors, similar to embeddings, with metadata for filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

#: Embeddings vary in far fewer directions than they have numbers.
LATENT, TOPICS = 48, 200
#: Metadata keys, and the share of the vectors that carries each.
SHARES = {"p0_1": 0.001, "p1": 0.01, "p2": 0.02, "p3": 0.03, "p5": 0.05, "p10": 0.1, "p50": 0.5}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Vectors in clusters around `TOPICS` topics, and queries from the same distribution."""

    vectors: Matrix
    topics: NDArray[np.int64]
    queries: Matrix
    metadata: list[dict[str, Any]]

    @classmethod
    def of(cls, rows: int, dimension: int, *, queries: int = 200) -> Dataset:
        """Generate the vectors, which depend on the arguments only."""
        random = np.random.default_rng(7)
        topics = random.integers(TOPICS, size=rows + queries)
        centres = random.normal(size=(TOPICS, LATENT))
        latent = centres[topics] + 0.7 * random.normal(size=(rows + queries, LATENT))
        vectors = latent @ random.normal(size=(LATENT, dimension)) / LATENT**0.5
        vectors += 0.25 * random.normal(size=vectors.shape)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        arguments = vectors.astype(np.float32)
        shares = random.random((rows, len(SHARES)))
        metadata = [_metadata(row, topic) for row, topic in zip(shares, topics, strict=False)]
        return cls(arguments[:rows], topics[:rows], arguments[rows:], metadata)

    def nearest(self, query: Matrix, among: NDArray[np.int64] | None = None) -> set[str]:
        """Return the ids of the ten nearest vectors, by brute force."""
        vectors = self.vectors if among is None else self.vectors[among]
        best = np.argsort(-(vectors @ query))[:10]
        return {str(item) for item in (best if among is None else among[best])}

    def carrying(self, key: str) -> NDArray[np.int64]:
        """Return the vectors that have a key in their metadata."""
        return np.array([i for i, data in enumerate(self.metadata) if key in data])


def _metadata(row: Any, topic: int) -> dict[str, Any]:
    """Return random keys, and `far`: a tenth of the topics, which is far from most queries."""
    data: dict[str, Any] = {
        key: True for (key, share), lot in zip(SHARES.items(), row, strict=True) if lot < share
    }
    if topic < TOPICS / 10:
        data["far"] = True
    return {**data, "topic": int(topic)}
