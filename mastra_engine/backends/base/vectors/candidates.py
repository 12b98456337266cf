"""The candidates of a search, and their ranking by similarity and words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mastra_engine.backends.base.vectors.search import VectorQuery
from mastra_engine.retrieval.fusion import fused_scores
from mastra_engine.types import Explanation, Match, Part


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A vector that may become a match.

    `lexical` is its BM25 score, and `words` has the contribution of each word that its document
    shares with the query. `context` are parts beside that; their weights are relative to it.
    """

    id: str
    namespace: str
    document: str | None
    metadata: dict[str, Any]
    vector: list[float] | None = None
    similarity: float | None = None
    words: dict[str, float] = field(default_factory=dict)
    lexical: float = field(init=False)
    context: Sequence[Part] = ()

    @classmethod
    def of(cls, match: Match) -> Candidate:
        """Return a match of a search by vectors as a candidate."""
        return cls(
            id=match.id,
            namespace=match.namespace,
            document=match.document,
            metadata=match.metadata,
            vector=match.vector,
            similarity=match.score,
        )

    def __post_init__(self) -> None:
        self.lexical = sum(self.words.values(), 0.0)

    @property
    def lexical_in_context(self) -> float:
        """The BM25 score of its own words and of those around it."""
        return self.lexical + sum(part.weight * part.value for part in self.context)

    def match(self, score: float, query: VectorQuery) -> Match:
        """Return the candidate as a match, explained if the query asks for it."""
        return Match(
            id=self.id,
            namespace=self.namespace,
            document=self.document,
            metadata=self.metadata,
            vector=self.vector,
            score=score,
            similarity=self.similarity,
            lexical=self.lexical,
            explanation=self._explanation(query.hybrid) if query.explain else None,
        )

    def _explanation(self, weight: float | None) -> Explanation:
        of_vector = 0.0 if self.similarity is None else 1.0 if weight is None else weight
        parts = []
        if self.similarity is not None:
            parts.append(Part(name="similarity", value=self.similarity, weight=of_vector))
        if weight is not None:
            of_words = 1 - of_vector
            own = Part(name="lexical", value=self.lexical, weight=of_words, words=self.words)
            parts += [own, *(part.weighted(of_words) for part in self.context)]
        return Explanation(parts)


def ranked(
    candidates: Iterable[Candidate], query: VectorQuery, *, most: int | None = None
) -> list[Match]:
    """Return candidates as matches, best first, ties by id, then namespace; `most` at most."""
    candidates = list(candidates)
    similarities = [candidate.similarity for candidate in candidates]
    if query.hybrid is None:
        scores = [similarity or 0.0 for similarity in similarities]
    else:
        lexical = [candidate.lexical_in_context for candidate in candidates]
        scores = fused_scores(similarities, lexical, weight=query.hybrid)
    order = sorted(
        zip(scores, candidates, strict=True),
        key=lambda scored: (-scored[0], scored[1].id, scored[1].namespace),
    )
    return [candidate.match(score, query) for score, candidate in order[:most]]
