"""Values of vector indexes and their search."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Match:
    """A search result; larger scores are closer.

    `vector` is set only with `include_vector`, and has all numbers, also those that are zero.
    """

    id: str
    score: float
    document: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: list[float] | None = None
    namespace: str = ""


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
