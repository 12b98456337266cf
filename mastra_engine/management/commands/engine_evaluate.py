"""`manage.py engine_evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import CommandError
from django.template.defaultfilters import pluralize

from mastra_engine import MastraEngine, engines
from mastra_engine.evaluations.saved import read_cases, save_result
from mastra_engine.evaluations.targets import SYNTAX, Target
from mastra_engine.management.base import EngineCommand
from mastra_engine.retrieval.evaluation import compare
from mastra_engine.types import Case, Estimate, Evaluation


class Command(EngineCommand):
    help = (
        "Measure a search over labelled cases. Each line of the file is a JSON object with query "
        "and expected_ids, and with filter, connection_id and resource_id as the search needs them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "cases",
            nargs="?",
            help="a JSON Lines file (default: the cases that were saved for the target in the "
            "admin; the result is then saved, too)",
        )
        parser.add_argument(
            "--target",
            required=True,
            help=f"the search to measure: {SYNTAX}, with options as in a URL: "
            "recall?hybrid=0.3&min_score=0.2",
        )
        parser.add_argument(
            "--compare",
            metavar="TARGET",
            help="also measure this search, and the difference of the first to it (paired)",
        )
        parser.add_argument(
            "-k", type=int, action="append", help="a cut-off; may be repeated (default: 1, 5, 10)"
        )
        parser.add_argument(
            "--fail-under",
            metavar="METRIC=VALUE",
            action="append",
            default=[],
            help="exit with status 1 if the metric of the target is lower: recall@10=0.8",
        )
        parser.add_argument("--output", type=Path, help="write metrics and ranks to this JSON file")
        self.add_engine_argument(parser)

    def handle(self, **options: Any) -> None:
        engine = engines[options["engine"]]
        k = options["k"] or (1, 5, 10)
        floors = dict(map(_floor, options["fail_under"]))
        targets = [Target.parse(text) for text in (options["target"], options["compare"]) if text]
        cases = options["cases"] or _saved_cases(engine, targets)
        runs = [
            (target, engine.evaluate(cases, search=target.search(engine), k=k))
            for target in targets
        ]
        if not options["cases"]:
            for target, result in runs:
                save_result(_database(engine), target, result)
        evaluations = {str(target): result for target, result in runs}
        evaluation, *others = evaluations.values()
        if missing := sorted(floors.keys() - evaluation.metrics):
            raise CommandError(
                f"Unknown metric {missing[0]!r}; the metrics are {', '.join(evaluation.metrics)}."
            )
        columns = {target: one.metrics for target, one in evaluations.items()}
        if others:
            columns["difference"] = compare(evaluation, others[0])
        number = len(evaluation.cases)
        self.stdout.write(f"{number} case{pluralize(number)}, with 95 % intervals")
        self.stdout.writelines(_table(columns))
        if options["output"] is not None:
            options["output"].write_bytes(_report(evaluations, columns.get("difference")))
        for metric, floor in floors.items():
            if evaluation.metrics[metric].value < floor:
                value = evaluation.metrics[metric].value
                raise CommandError(f"{metric} is {value:.3f}, below {floor}.")


def _saved_cases(engine: MastraEngine, targets: Sequence[Target]) -> list[Case]:
    """Return the cases that were saved for the first target."""
    return read_cases(_database(engine), targets[0])


def _database(engine: MastraEngine) -> str:
    if engine.database is None:
        raise CommandError("This engine saves no cases; name a file with cases.")
    return engine.database


def _floor(argument: str) -> tuple[str, float]:
    metric, _, value = argument.partition("=")
    try:
        return metric, float(value)
    except ValueError:
        raise CommandError(f"--fail-under takes METRIC=VALUE, not {argument!r}.") from None


def _table(columns: Mapping[str, Mapping[str, Estimate]]) -> Iterable[str]:
    metrics = list(next(iter(columns.values())))
    rows = [
        ["", *columns],
        *([name, *(str(column[name]) for column in columns.values())] for name in metrics),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip() + "\n"


def _report(
    evaluations: Mapping[str, Evaluation], difference: Mapping[str, Estimate] | None
) -> bytes:
    targets = {
        target: {
            "metrics": evaluation.metrics,
            "cases": [
                {"query": result.case.query, "ranks": result.ranks} for result in evaluation.cases
            ],
        }
        for target, evaluation in evaluations.items()
    }
    report: dict[str, Any] = {"targets": targets}
    if difference is not None:
        report["difference"] = {name: asdict(estimate) for name, estimate in difference.items()}
    return orjson.dumps(report, option=orjson.OPT_INDENT_2)
