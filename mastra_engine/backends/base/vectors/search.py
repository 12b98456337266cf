"""Validated arguments of a vector search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.ast import Node
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import Reranks
from mastra_engine.retrieval.fusion import maximal_marginal_relevance
from mastra_engine.retrieval.rerankers import Reranker
from mastra_engine.retrieval.words import query_words
from mastra_engine.types import Explanation, Match, Part
from mastra_engine.validation.inputs import count, share, text
from mastra_engine.validation.vectors import (
    AnyVector,
    IndexDefinition,
    finite_number,
    namespace_name,
)
from mastra_engine.validation.vectors import vector as checked_vector

#: Candidates that a search of the graph keeps. Measured in docs/explanation/vectors.md.
EF_SEARCH = 100
MAX_EF_SEARCH = 1_000
#: Four times as many still fit PostgreSQL's LIMIT.
MAX_TOP_K = 2**60
#: Characters of a query text. It is far more than any embedder reads, and bounds the time of
#: rerankers that compare words.
MAX_QUERY_TEXT = 100_000
#: The weight of similarities in a hybrid search, beside that of words. Measured in
#: docs/explanation/retrieval.md.
DEFAULT_WEIGHT = 0.6
#: Numbers in all candidates' vectors when results are diversified: each takes 32 bytes.
_MAX_CANDIDATE_NUMBERS = 8_000_000
#: Candidates per requested result, and at least, when results are fused, diversified or reranked.
_CANDIDATES_PER_RESULT, _MIN_CANDIDATES = 4, 50

#: Metadata keys of the vector of a record's chunk, added to those that the index's declaration
#: derives from the record. Users' filters cannot name keys that begin with "@".
ENTITY, RECORD, CHUNK, START, END = "@entity_id", "@external_id", "@chunk", "@start", "@end"


#: Metadata keys of the vector of an item of agent state: its id, and the version that was indexed.
ITEM, VERSION = "@item_id", "@version"

#: The metadata key of the vector of a fact: its id.
FACT = "@fact_id"

#: Metadata keys of the vector of a message: its thread's id and its position.
THREAD, POSITION = "@thread_id", "@position"

#: Metadata keys of vectors that were made of records, messages, agent state and facts.
SOURCE_KEYS = frozenset({ENTITY, ITEM, FACT, THREAD})


@dataclass(frozen=True, slots=True)
class RecordScope:
    """Live records of entities, with data that satisfies a filter."""

    entity_ids: tuple[UUID, ...]
    where: Node


@dataclass(frozen=True, slots=True)
class ItemScope:
    """Items of agent state that exist, in the version that was indexed, and satisfy a filter."""

    where: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A time of validity and a time of knowledge; None stands for now.

    With `all_versions` every version that was known matches, whether it was valid or not.
    """

    valid_at: datetime | None = None
    known_at: datetime | None = None
    all_versions: bool = False


@dataclass(frozen=True, slots=True)
class FactScope:
    """Facts at an instant that satisfy a filter."""

    instant: Instant
    where: Node


@dataclass(frozen=True, slots=True)
class MessageScope:
    """Messages at places: ids of threads, and positions in them. There is at least one place."""

    places: frozenset[tuple[str, int]]


#: The rows that vectors were made of.
SourceScope = RecordScope | ItemScope | FactScope | MessageScope


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorScope:
    """The vectors of an index that a call concerns; `namespaces=None` stands for all namespaces.

    With `source`, only the vectors that were made of these rows are in scope.
    """

    index: IndexDefinition
    where: Node
    namespaces: frozenset[str] | None
    source: SourceScope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuery:
    """A search before its index is known, on which the length of the vector depends.

    `hybrid` is the weight of similarities in a hybrid search, None for a search by vectors alone.
    """

    vector: Any
    text: str | None
    where: Node
    namespace: str | None
    limit: int
    min_score: float | None
    ef_search: int | None
    hybrid: float | None
    reranker: Reranks | None
    mmr: float | None
    include_vector: bool
    explain: bool

    @property
    def candidates(self) -> int:
        """Return how many matches to fetch: more than requested if they are fused or reranked."""
        if self.hybrid is None and self.reranker is None and self.mmr is None:
            return self.limit
        return max(_CANDIDATES_PER_RESULT * self.limit, _MIN_CANDIDATES)

    @property
    def most(self) -> int | None:
        """Return how many of the candidates, ordered by score, are of use; None for all."""
        return self.limit if self.reranker is None and self.mmr is None else None

    def admits(self, similarity: float) -> bool:
        """Return whether a similarity is at least the requested one."""
        return self.min_score is None or similarity >= self.min_score

    def candidates_in(self, index: IndexDefinition) -> int:
        """Return how many matches to fetch from an index, fewer if their vectors are long."""
        if self.mmr is None:
            return self.candidates
        affordable = _MAX_CANDIDATE_NUMBERS // index.dimension
        return max(self.limit, min(self.candidates, affordable))

    @property
    def words(self) -> list[str]:
        """Return the words of the query text, with repetitions."""
        return query_words(self.text or "")

    @property
    def with_vector(self) -> bool:
        """Return whether candidates must carry their vectors."""
        return self.include_vector or self.mmr is not None

    @property
    def effective_ef_search(self) -> int:
        """Return the requested `ef_search`, or one that suits the number of candidates."""
        return self.ef_search or min(max(EF_SEARCH, self.candidates), MAX_EF_SEARCH)

    def select(self, candidates: list[Match]) -> list[Match]:
        """Return the best candidates, diversified and then reranked as requested."""
        if self.mmr is not None:
            candidates = maximal_marginal_relevance(
                candidates, top_k=self.limit, relevance=self.mmr
            )
        if self.reranker is not None and self.text is not None:
            reranked = self.reranker.rerank(candidates, self.text, top_k=self.limit)
            candidates = [_rescored(result.match, result.score) for result in reranked]
        candidates = candidates[: self.limit]
        if self.with_vector and not self.include_vector:
            return [replace(match, vector=None) for match in candidates]
        return candidates


def _rescored(match: Match, score: float) -> Match:
    """Return a match with a reranker's score, which its explanation names, if it has one."""
    if match.explanation is None:
        return replace(match, score=score)
    part = Part(name="reranker", value=score, weight=1.0)
    return replace(match, score=score, explanation=Explanation([*match.explanation.parts, part]))


def vector_query(
    *,
    query_text: Any,
    top_k: Any,
    filter: Any,
    min_score: Any,
    hybrid: Any,
    explain: bool,
    query_vector: Any = None,
    namespace: Any = None,
    include_vector: bool = False,
    ef_search: Any = None,
    reranker: Reranks | None = None,
    mmr: Any = None,
) -> VectorQuery:
    """Validate the arguments of `query`; raises InvalidInput that names the argument."""
    weight = hybrid_weight(hybrid)
    if query_text is None and (weight is not None or reranker is not None):
        raise InvalidInput("is required for hybrid search and for reranking", path="/query_text")
    if query_text is None and query_vector is None:
        raise InvalidInput("query_vector or query_text is required", path="/query_vector")
    return VectorQuery(
        vector=query_vector,
        text=None if query_text is None else validated_query_text(query_text, "/query_text"),
        where=parse_optional_filter(filter),
        namespace=optional_namespace(namespace),
        limit=count(top_k, "/top_k", least=1, most=MAX_TOP_K),
        min_score=None if min_score is None else finite_number(min_score, "/min_score"),
        ef_search=_ef_search(ef_search),
        hybrid=weight,
        reranker=reranker,
        mmr=None if mmr is None else share(mmr, "/mmr"),
        include_vector=include_vector,
        explain=bool(explain),
    )


def hybrid_weight(hybrid: Any) -> float | None:
    """Return the weight of similarities that `hybrid` stands for, None for False.

    The numbers 0.0 and 1.0 are weights, and are told apart from False and True by their type.
    """
    if isinstance(hybrid, bool) or hybrid is None:
        return DEFAULT_WEIGHT if hybrid else None
    return share(hybrid, "/hybrid")


def validated_query_text(value: Any, path: str) -> str:
    """Return a query text; raises InvalidInput at `path` if it is too long."""
    query = text(value, path)
    if len(query) > MAX_QUERY_TEXT:
        message = f"has {len(query):,} characters; the limit is {MAX_QUERY_TEXT:,}"
        raise InvalidInput(message, path=path)
    return query


def query_target(vector: Sequence[float], index: IndexDefinition, path: str) -> AnyVector | None:
    """Return the vector to which others are compared, or None if it is zero.

    An embedder may return zeros for words that it does not know. They have no direction.
    """
    return checked_vector(vector, index, path) if any(vector) else None


def optional_namespace(namespace: Any) -> str | None:
    """Validate a namespace that may be None, which stands for all namespaces."""
    return None if namespace is None else namespace_name(namespace)


def resolve_reranker(reranker: Any, default: Reranks | None, *, hybrid: Any) -> Reranks | None:
    """Return the reranker that an argument stands for: `default` for True, none for False.

    Without a default True stands for the built-in one, which compares words. In a hybrid search
    this has been done already, and no reranker by words improved the order on the labelled sets
    (docs/explanation/retrieval.md). So there it stands for none.
    """
    if reranker is None or reranker is False:
        return None
    if reranker is True and default is None:
        return Reranker() if hybrid_weight(hybrid) is None else None
    resolved = default if reranker is True else reranker
    if not isinstance(resolved, Reranks):
        message = "must have a method rerank(), or be True for the engine's own reranker"
        raise InvalidInput(message, path="/reranker")
    return resolved


def _ef_search(value: Any) -> int | None:
    return None if value is None else count(value, "/ef_search", least=1, most=MAX_EF_SEARCH)
