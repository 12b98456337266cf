"""What a vector search asks for, checked before an index is touched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.ast import Node
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.protocols import Reranks
from mastra_engine.retrieval.fusion import maximal_marginal_relevance
from mastra_engine.types import Match
from mastra_engine.validation.inputs import count, share, text
from mastra_engine.validation.vectors import IndexDefinition, finite_number, namespace_name

#: How much of the graph a search looks at. Measured in docs/explanation/vectors.md.
EF_SEARCH = 100
MAX_EF_SEARCH = 1_000
#: More than anybody reads, and four times as many still fit PostgreSQL's LIMIT.
MAX_TOP_K = 2**60
#: How many more candidates than asked for are fused, diversified or reranked.
_CANDIDATES_PER_RESULT, _FEWEST_CANDIDATES = 4, 50

#: What the vector of a record's passage knows of it, beside what the declaration of its index
#: makes of the record. A filter cannot name these keys.
ENTITY, RECORD, CHUNK, START, END = "@entity_id", "@external_id", "@chunk", "@start", "@end"


@dataclass(frozen=True, slots=True)
class RecordScope:
    """Live records of entities whose data satisfies a filter."""

    entity_ids: tuple[UUID, ...]
    where: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorScope:
    """Which vectors of an index a call is about; `namespaces=None` means those of all.

    With `records`, they are the passages of such records.
    """

    index: IndexDefinition
    where: Node
    namespaces: frozenset[str] | None
    records: RecordScope | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorQuery:
    """A search before it is known which index answers it; the vector's length depends on that."""

    vector: Any
    text: str | None
    where: Node
    namespace: str | None
    limit: int
    min_score: float | None
    ef_search: int | None
    hybrid: bool
    reranker: Reranks | None
    balance: float | None
    include_vector: bool

    @property
    def candidates(self) -> int:
        """How many to look for: more than asked where they are chosen among."""
        if not self.hybrid and self.reranker is None and self.balance is None:
            return self.limit
        return max(_CANDIDATES_PER_RESULT * self.limit, _FEWEST_CANDIDATES)

    @property
    def with_vector(self) -> bool:
        """Whether matches have to bring their vectors."""
        return self.include_vector or self.balance is not None

    @property
    def breadth(self) -> int:
        """How much of the graph to look at."""
        return self.ef_search or min(max(EF_SEARCH, self.candidates), MAX_EF_SEARCH)

    def chosen(self, found: list[Match]) -> list[Match]:
        """Return the best of what was found, chosen as it was asked."""
        if self.balance is not None:
            found = maximal_marginal_relevance(found, top_k=self.candidates, relevance=self.balance)
        if self.reranker is not None and self.text is not None:
            reranked = self.reranker.rerank(found, self.text, top_k=self.limit)
            found = [replace(each.match, score=each.score) for each in reranked]
        found = found[: self.limit]
        if self.with_vector and not self.include_vector:
            return [replace(match, vector=None) for match in found]
        return found


def question(
    *,
    query_vector: Any,
    query_text: Any,
    top_k: Any,
    filter: Any,
    namespace: Any,
    min_score: Any,
    include_vector: bool,
    ef_search: Any,
    hybrid: bool,
    reranker: Reranks | None,
    mmr: Any,
) -> VectorQuery:
    """Check what `query` takes; raises InvalidInput that names the argument."""
    if query_text is None and (hybrid or reranker is not None):
        raise InvalidInput("is needed for hybrid search and for reranking", path="/query_text")
    if query_text is None and query_vector is None:
        raise InvalidInput("give a query_vector or a query_text", path="/query_vector")
    return VectorQuery(
        vector=query_vector,
        text=None if query_text is None else text(query_text, "/query_text"),
        where=parse_optional_filter(filter),
        namespace=any_namespace(namespace),
        limit=count(top_k, "/top_k", least=1, most=MAX_TOP_K),
        min_score=None if min_score is None else finite_number(min_score, "/min_score"),
        ef_search=_ef_search(ef_search),
        hybrid=hybrid,
        reranker=reranker,
        balance=None if mmr is None else share(mmr, "/mmr"),
        include_vector=include_vector,
    )


def any_namespace(namespace: Any) -> str | None:
    """Check a namespace that may be None, which means all of them."""
    return None if namespace is None else namespace_name(namespace)


def chosen_reranker(given: Any, own: Reranks) -> Reranks | None:
    """Return what `reranker=` stands for; True means the engine's own."""
    if given is None or given is False:
        return None
    reranker = own if given is True else given
    if not isinstance(reranker, Reranks):
        raise InvalidInput("must be a Reranker, or True for the engine's own", path="/reranker")
    return reranker


def _ef_search(value: Any) -> int | None:
    return None if value is None else count(value, "/ef_search", least=1, most=MAX_EF_SEARCH)
