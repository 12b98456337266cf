"""Measure how well a search finds the expected ids, with confidence intervals.

Relevance is binary. recall@k is the share of the expected ids among the first k results. nDCG@k
is the discounted cumulative gain with log2(rank + 1) over that of an ideal ranking (Järvelin and
Kekäläinen 2002). MRR is the mean of 1 / rank of the first expected id. Intervals are 95 %
percentile bootstrap intervals over the cases (Efron and Tibshirani 1993). The resampling is
seeded, so they are repeatable.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import floor, log2
from os import PathLike, fspath
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson

from mastra_engine.exceptions import InvalidInput
from mastra_engine.types import Case, CaseResult, Estimate, Evaluation
from mastra_engine.validation.inputs import count, name, names, text
from mastra_engine.validation.jsonb import plain_keys, plain_text

#: Takes a query, `top_k` and those of `filter`, `connection_id` and `resource_id` that a case has.
#: Returns ids, or matches that have ids, the best first.
Search = Callable[..., Iterable[Any]]
Cases = Iterable[Case | Mapping[str, Any]] | str | PathLike[str]
Metric = Callable[[CaseResult], float]

RESAMPLES = 1_000
SEED = 20_260_101
_TAIL = 0.025
_FIELDS = ("query", "expected_ids", "filter", "connection_id", "resource_id")


def evaluate(cases: Cases, *, search: Search, k: Sequence[int] = (1, 5, 10)) -> Evaluation:
    """Run `search` for each case and return the metrics with their intervals.

    Raises InvalidInput that names the case and the field, before the first search.
    """
    cutoffs = sorted({count(cutoff, f"/k/{i}", least=1) for i, cutoff in enumerate(k)})
    if not cutoffs:
        raise InvalidInput("must have at least one number", path="/k")
    parsed = list(parse_cases(cases))
    if not parsed:
        raise InvalidInput("must have at least one case", path="/cases")
    results = [_run(case, search, cutoffs[-1]) for case in parsed]
    return summarize(results, cutoffs)


def summarize(results: Sequence[CaseResult], cutoffs: Sequence[int]) -> Evaluation:
    """Return the metrics of results at cut-offs in ascending order."""
    values = {
        name: [metric(result) for result in results] for name, metric in _metrics(cutoffs).items()
    }
    return Evaluation(metrics=bootstrap(values), cases=list(results))


def compare(evaluation: Evaluation, baseline: Evaluation) -> dict[str, Estimate]:
    """Return the difference of each metric to that of a baseline over the same cases.

    The bootstrap is paired: each resample takes the same cases from both. An interval without 0
    says that the difference is more than chance. Raises InvalidInput for other cases or cut-offs.
    """
    if [result.case for result in evaluation.cases] != [result.case for result in baseline.cases]:
        raise InvalidInput("must be an evaluation of the same cases", path="/baseline")
    if evaluation.metrics.keys() != baseline.metrics.keys():
        raise InvalidInput("must be an evaluation with the same k", path="/baseline")
    cutoffs = sorted(
        int(name.partition("@")[2]) for name in evaluation.metrics if name.startswith("recall@")
    )
    return bootstrap(
        {
            name: [
                metric(one) - metric(other)
                for one, other in zip(evaluation.cases, baseline.cases, strict=True)
            ]
            for name, metric in _metrics(cutoffs).items()
        }
    )


def bootstrap(values: Mapping[str, Sequence[float]]) -> dict[str, Estimate]:
    """Return the mean of each list of values, one value a case, with its interval."""
    number = len(next(iter(values.values())))
    generator = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    means: dict[str, list[float]] = {metric: [] for metric in values}
    for _ in range(RESAMPLES):
        sample = generator.choices(range(number), k=number)
        for metric, column in values.items():
            means[metric].append(sum(map(column.__getitem__, sample)) / number)
    return {
        metric: Estimate(
            value=fmean(column),
            low=_quantile(sorted(means[metric]), _TAIL),
            high=_quantile(sorted(means[metric]), 1 - _TAIL),
        )
        for metric, column in values.items()
    }


def recall(result: CaseResult, k: int) -> float:
    """Return the share of the expected ids among the first `k` results."""
    return sum(rank <= k for rank in _ranks(result)) / len(result.ranks)


def reciprocal_rank(result: CaseResult) -> float:
    """Return 1 / rank of the first expected id, 0 if no expected id was found."""
    return max((1 / rank for rank in _ranks(result)), default=0.0)


def ndcg(result: CaseResult, k: int) -> float:
    """Return the normalised discounted cumulative gain of the first `k` results."""
    gain = sum(1 / log2(rank + 1) for rank in sorted(_ranks(result)) if rank <= k)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(len(result.ranks), k) + 1))
    return gain / ideal


def _metrics(cutoffs: Sequence[int]) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    for k in cutoffs:
        metrics[f"recall@{k}"] = lambda result, k=k: recall(result, k)  # type: ignore[misc]
    metrics["mrr"] = reciprocal_rank
    for k in cutoffs:
        metrics[f"ndcg@{k}"] = lambda result, k=k: ndcg(result, k)  # type: ignore[misc]
    return metrics


def _ranks(result: CaseResult) -> list[int]:
    return [rank for rank in result.ranks.values() if rank is not None]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile, interpolated linearly between neighbours."""
    place = share * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _run(case: Case, search: Search, top_k: int) -> CaseResult:
    options = {
        option: getattr(case, option)
        for option in ("filter", "connection_id", "resource_id")
        if getattr(case, option) is not None
    }
    results = search(case.query, top_k=top_k, **options)
    # A chunked document may occur several times; its best place counts.
    ranking = list(dict.fromkeys(map(_id, results)))[:top_k]
    places = {id: rank for rank, id in enumerate(ranking, start=1)}
    return CaseResult(case=case, ranks={id: places.get(id) for id in case.expected_ids})


def _id(match: Any) -> str:
    """Return the id of a result, which for a record is its external id."""
    id = plain_text(match)
    if isinstance(id, str):
        return id
    record = getattr(match, "record", None)
    return str(match.id if record is None else record.external_id)


def parse_cases(cases: Cases) -> Iterator[Case]:
    """Yield validated cases; raises InvalidInput that names the case and the field."""
    cases = plain_text(cases)
    if isinstance(cases, str | PathLike):
        listed: Iterable[Any] = _read(Path(fspath(cases)))
    elif isinstance(cases, Iterable) and not isinstance(cases, bytes | Mapping):
        listed = cases
    else:
        message = f"must be a list of cases or a path, not {type(cases).__name__}"
        raise InvalidInput(message, path="/cases")
    for i, case in enumerate(listed):
        yield _case(case, f"/cases/{i}")


def _read(path: Path) -> Iterator[Any]:
    """Yield the objects of a JSON Lines file; raise InvalidInput that names the line."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(f"cannot be read: {error.strerror}", path="/cases") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield orjson.loads(line)
            except ValueError as error:
                raise InvalidInput(f"line {number} is not JSON: {error}", path="/cases") from error


def _case(case: Any, path: str) -> Case:
    if isinstance(case, Case):
        case = {field: getattr(case, field) for field in _FIELDS}
    if not isinstance(case, Mapping):
        raise InvalidInput("must be a case or an object", path=path)
    case = plain_keys(case)
    if unknown := sorted(case.keys() - set(_FIELDS)):
        raise InvalidInput(
            f"unknown field {unknown[0]!r}; the fields are {', '.join(_FIELDS)}", path=path
        )
    expected_ids = names(case.get("expected_ids", ()), f"{path}/expected_ids")
    if not expected_ids:
        raise InvalidInput("must have at least one id", path=f"{path}/expected_ids")
    connection_id, resource_id = case.get("connection_id"), case.get("resource_id")
    return Case(
        query=text(case.get("query"), f"{path}/query"),
        expected_ids=tuple(dict.fromkeys(expected_ids)),
        filter=case.get("filter"),
        connection_id=(
            None if connection_id is None else name(connection_id, f"{path}/connection_id")
        ),
        resource_id=None if resource_id is None else name(resource_id, f"{path}/resource_id"),
    )
