"""`manage.py engine_evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
from django.core.management.base import CommandError

from mastra_engine import MastraEngine, engines
from mastra_engine.management.base import EngineCommand
from mastra_engine.retrieval.evaluation import Search, compare
from mastra_engine.types import Estimate, Evaluation
from mastra_engine.validation.suggestions import unknown

TARGETS = "vectors:INDEX, records:ENTITY or recall"


class Command(EngineCommand):
    help = (
        "Measure a search over labelled cases. Each line of the file is a JSON object with query "
        "and expected_ids, and with filter, connection_id and resource_id as the search needs them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cases", help="a JSON Lines file")
        parser.add_argument(
            "--target",
            required=True,
            help=f"the search to measure: {TARGETS}, with options as in a URL: "
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
        targets = [options["target"], *filter(None, [options["compare"]])]
        evaluations = {
            target: engine.evaluate(options["cases"], search=_search(engine, target), k=k)
            for target in targets
        }
        evaluation, *others = evaluations.values()
        if missing := sorted(floors.keys() - evaluation.metrics):
            raise CommandError(
                f"Unknown metric {missing[0]!r}; the metrics are {', '.join(evaluation.metrics)}."
            )
        columns = {target: one.metrics for target, one in evaluations.items()}
        if others:
            columns["difference"] = compare(evaluation, others[0])
        self.stdout.write(f"{len(evaluation.cases)} cases, with 95 % intervals")
        self.stdout.writelines(_table(columns))
        if options["output"] is not None:
            options["output"].write_bytes(_report(evaluations, columns.get("difference")))
        for metric, floor in floors.items():
            if evaluation.metrics[metric].value < floor:
                value = evaluation.metrics[metric].value
                raise CommandError(f"{metric} is {value:.3f}, below {floor}.")


def _search(engine: MastraEngine, target: str) -> Search:
    """Return the search that a target names."""
    place, _, query = target.partition("?")
    kind, _, name = place.partition(":")
    if kind == "vectors" and name:
        fixed: dict[str, Any] = {"index_name": name}
        return _with_options(kind, engine.vectors.query, query, fixed, text="query_text")
    if kind == "records" and name:
        fixed = {"entity_name": name}
        return _with_options(kind, engine.search_records, query, fixed, text="query")
    if place == "recall":
        fixed = {"message_range": (0, 0)}
        return _with_options(kind, engine.memory.recall, query, fixed, text="query")
    raise CommandError(f"{target!r} is no target; a target is {TARGETS}.")


def _with_options(
    kind: str, method: Callable[..., Any], query: str, fixed: Mapping[str, Any], *, text: str
) -> Search:
    """Return a method as a search, with the options of a target; a case's own fields prevail."""
    parameters = signature(method).parameters
    options = _options(query, parameters.keys() - {*fixed, text, "top_k"})

    def search(query: str, **case: Any) -> Any:
        if unexpected := sorted(case.keys() - parameters):
            raise CommandError(
                f"A case has {unexpected[0]}, which a search of {kind} does not take."
            )
        arguments = {text: query, **fixed, **options, **case}
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in arguments:
                raise CommandError(
                    f"A case has no {name}, which a search of {kind} needs; add it to the case, "
                    f"or to the target as ?{name}=…"
                )
        return method(**arguments)

    return search


def _options(query: str, allowed: Iterable[str]) -> dict[str, Any]:
    try:
        options = dict(parse_qsl(query, strict_parsing=bool(query)))
    except ValueError:
        raise CommandError(f"{query!r} is no list of options such as hybrid=0.3&mmr=0.5.") from None
    for option in options:
        if option not in allowed:
            raise CommandError(f"A target has an {unknown('option', option, sorted(allowed))}.")
    return {option: _value(value) for option, value in options.items()}


def _value(text: str) -> Any:
    """Return an option of a target: JSON if it is JSON, else text."""
    try:
        return orjson.loads(text)
    except ValueError:
        return text


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
