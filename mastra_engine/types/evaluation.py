"""Values of the evaluation of searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A query with the ids that a good search finds for it.

    `filter`, `connection_id` and `resource_id` are passed to the search if they are set.
    """

    query: str
    expected_ids: Sequence[str]
    filter: Any = None
    connection_id: str | None = None
    resource_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The rank of each expected id of a case, counted from 1; None if the id was not found."""

    case: Case
    ranks: dict[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean over cases with the limits of its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The metrics of a search over labelled cases, and the ranks in each case.

    `metrics` has `recall@k` and `ndcg@k` for each cut-off k, and `mrr`.
    """

    metrics: dict[str, Estimate]
    cases: list[CaseResult]
