"""Values of vector indexes and their search."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

Metric = Literal["cosine", "euclidean", "dotproduct"]
IndexType = Literal["hnsw", "ivfflat", "flat"]
Storage = Literal["vector", "halfvec", "bit", "sparsevec"]
IndexStatus = Literal["ready", "building", "invalid", "missing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorIndex:
    """A set of vectors of one dimension, searched by one metric.

    `status` is the state of the search structure: unless it is `ready`, searches are exact and
    slower. `progress` is the fraction from 0 to 1 that a running build has done, otherwise None.
    """

    name: str
    dimension: int
    metric: Metric
    index_type: IndexType
    storage: Storage
    language: str
    count: int
    size_bytes: int
    status: IndexStatus
    progress: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a match's score: its `value`, and the `weight` with which it counts.

    The name is "similarity", "lexical", "neighbour" or "reranker". `words` maps each word that the
    query and the text share to its contribution to a lexical value; the contributions add up to it.
    `message_id` names the neighbour in the thread that adds its words to a recalled message. The
    reranker's value is the score, which it made of the others.
    """

    name: Literal["similarity", "lexical", "neighbour", "reranker"]
    value: float
    weight: float
    words: dict[str, float] = field(default_factory=dict)
    message_id: str | None = None

    def weighted(self, factor: float) -> Part:
        """Return the part with its weight multiplied by a factor."""
        return replace(self, weight=factor * self.weight)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of which a score was made."""

    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Match:
    """A search result; results are ordered by `score`, the largest first.

    `similarity` is how close the vectors are by the index's metric, None without a query vector.
    `lexical` is the BM25 score of a hybrid search, 0 without a common word. `vector` is set only
    with `include_vector`, and has all numbers, also those that are zero. `explanation` is set only
    with `explain`.
    """

    id: str
    score: float
    document: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: list[float] | None = None
    namespace: str = ""
    similarity: float | None = None
    lexical: float = 0.0
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVector:
    """A stored vector with its document and metadata."""

    id: str
    vector: list[float]
    document: str | None
    metadata: dict[str, Any]
    namespace: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Weights:
    """The weight of each part of a reranked score; the weights add up to 1."""

    semantic: float = 0.4
    vector: float = 0.4
    position: float = 0.2


@dataclass(frozen=True, slots=True)
class RerankedMatch:
    """A match with its new score, and the parts of that score before they were weighted."""

    match: Match
    score: float
    semantic: float
    vector: float
    position: float
