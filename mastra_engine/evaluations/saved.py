"""The cases and results that an engine's database keeps."""

from __future__ import annotations

from dataclasses import asdict

from mastra_engine.evaluations.targets import Target
from mastra_engine.exceptions import InvalidInput
from mastra_engine.models import EvaluationCase, EvaluationResult
from mastra_engine.types import Case, Evaluation


def read_cases(alias: str, target: Target, *, most: int | None = None) -> list[Case]:
    """Return the cases that were saved for a target, the oldest first.

    Raises InvalidInput if no cases were saved, or more than `most`.
    """
    rows = EvaluationCase.objects.using(alias).filter(target=str(target.place)).order_by("id")
    cases = [row.to_value() for row in rows[: None if most is None else most + 1]]
    if not cases:
        raise InvalidInput(f"No cases were saved for {target.place}.")
    if most is not None and len(cases) > most:
        raise InvalidInput(
            f"There are more than {most} cases for {target.place}, which is too much for a page; "
            f"run manage.py engine_evaluate --target '{target}'."
        )
    return cases


def save_result(alias: str, target: Target, evaluation: Evaluation) -> EvaluationResult:
    """Keep the metrics of a search over the saved cases."""
    return EvaluationResult.objects.using(alias).create(
        target=str(target),
        case_count=len(evaluation.cases),
        metrics={name: asdict(estimate) for name, estimate in evaluation.metrics.items()},
    )
