"""engine_evaluate: its output, its file and its exit status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from mastra_engine import MockMastraEngine, engine
from mastra_engine.testing.contract.recall import BagOfWords

MOCK = {
    "BACKEND": "mastra_engine.MockMastraEngine",
    "URL": "mock://engine_evaluate",
    "EMBEDDER": f"{BagOfWords.__module__}.{BagOfWords.__qualname__}",
}
DOCUMENTS = {"a": "red apple", "b": "green pear", "c": "red pear"}


@pytest.fixture(autouse=True)
def _documents() -> Iterator[None]:
    with override_settings(MASTRA_ENGINE={"default": MOCK}):
        MockMastraEngine(url=MOCK["URL"]).reset()
        engine.vectors.create_index(index_name="docs", dimension=BagOfWords.dimension)
        engine.vectors.upsert(
            index_name="docs", ids=list(DOCUMENTS), documents=list(DOCUMENTS.values())
        )
        for resource in "ann", "bob":
            engine.memory.save_memory(
                thread_id=resource,
                resource_id=resource,
                messages=[
                    {"id": f"{resource}-{id}", "role": "user", "content": text}
                    for id, text in DOCUMENTS.items()
                ],
            )
        yield


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """One case with its document first, and one with its document second."""
    return write(
        tmp_path,
        {"query": "red apple", "expected_ids": ["a"]},
        {"query": "red apple", "expected_ids": ["c"]},
    )


def write(folder: Path, *cases: dict[str, Any]) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, cases)))
    return path


def call(*arguments: Any) -> list[str]:
    out = StringIO()
    call_command("engine_evaluate", *map(str, arguments), stdout=out)
    return out.getvalue().splitlines()


def test_it_prints_the_metrics(cases: Path) -> None:
    title, header, *lines = call(cases, "--target", "vectors:docs", "-k", 1, "-k", 2)
    assert (title, header.split()) == ("2 cases, with 95 % intervals", ["vectors:docs"])
    values = {line.split()[0]: line.split()[1] for line in lines}
    assert values == {
        "recall@1": "0.500",
        "recall@2": "1.000",
        "mrr": "0.750",
        "ndcg@1": "0.500",
        "ndcg@2": "0.815",
    }


def test_it_compares_two_searches_and_writes_a_report(cases: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    other = "vectors:docs?hybrid=true"
    lines = call(cases, "--target", "vectors:docs", "--compare", other, "--output", output)
    assert lines[1].split() == ["vectors:docs", other, "difference"]
    report = json.loads(output.read_bytes())
    assert list(report["targets"]) == ["vectors:docs", other]
    target = report["targets"]["vectors:docs"]
    assert target["metrics"]["mrr"]["value"] == 0.75
    assert target["cases"][1] == {"query": "red apple", "ranks": {"c": 2}}
    assert report["difference"].keys() == target["metrics"].keys()


def test_a_metric_below_the_floor_fails(cases: Path) -> None:
    target = ("--target", "vectors:docs", "--fail-under")
    call(cases, *target, "recall@5=1")
    with pytest.raises(CommandError, match=r"mrr is 0\.750, below 0\.8"):
        call(cases, *target, "recall@5=1", "--fail-under", "mrr=0.8")


def test_recall_is_measured_for_each_resource(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        *(
            {"query": "green pear", "expected_ids": [f"{name}-b"], "resource_id": name}
            for name in ("ann", "bob")
        ),
    )
    call(path, "--target", "recall", "--fail-under", "mrr=1")


def test_recall_is_measured_in_the_order_of_scores(tmp_path: Path) -> None:
    """The neighbours "ann-b" and "ann-c" are both hits, and the later one is better."""
    case = {"query": "red pear", "expected_ids": ["ann-c"], "resource_id": "ann"}
    call(write(tmp_path, case), "--target", "recall", "-k", 1, "--fail-under", "recall@1=1")


@pytest.mark.parametrize("target", ["vectors:docs", "recall"])
def test_options_of_a_target_are_those_of_its_search(target: str, tmp_path: Path) -> None:
    case: dict[str, Any] = {"query": "red pear", "expected_ids": ["a"]}
    if target == "recall":
        case = {**case, "expected_ids": ["ann-a"], "resource_id": "ann"}
    cases = write(tmp_path, case)

    def recall(options: str) -> float:
        output = tmp_path / "report.json"
        call(cases, "--target", f"{target}?{options}", "--output", output)
        (report,) = json.loads(output.read_bytes())["targets"].values()
        return float(report["metrics"]["recall@5"]["value"])

    assert recall("hybrid=0.3&min_score=0.1") == 1
    assert recall("hybrid=0.3&min_score=0.9") == 0
    with pytest.raises(CommandError, match="/hybrid"):
        recall("hybrid=1.3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "docs"], "'docs' is no target; a target is vectors:INDEX"),
        (["--target", "vectors:"], "'vectors:' is no target"),
        (["--target", "vectors:nothing"], 'Vector index "nothing" does not exist'),
        (["--target", "recall?hybrids=0.3"], 'unknown option "hybrids"; did you mean "hybrid"'),
        (["--target", "recall?query=dog"], 'unknown option "query"'),
        (["--target", "vectors:docs?top_k=3"], 'unknown option "top_k"'),
        (["--target", "vectors:docs?mmr"], "'mmr' is no list of options"),
        (["--target", "records:Notes"], "A case has no connection_id"),
        (["--target", "vectors:docs", "--fail-under", "mrr"], "takes METRIC=VALUE, not 'mrr'"),
        (["--target", "vectors:docs", "--fail-under", "map=1"], "Unknown metric 'map'; .*recall@1"),
        (["--target", "vectors:docs", "-k", "0"], "/k/0"),
    ],
)
def test_mistakes_are_named(cases: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call(cases, *arguments)


def test_a_field_that_the_search_does_not_take_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, {"query": "q", "expected_ids": ["a"], "resource_id": "ann"})
    with pytest.raises(CommandError, match="resource_id, which a search of vectors does not take"):
        call(path, "--target", "vectors:docs")


def test_a_bad_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call(tmp_path / "missing.jsonl", "--target", "vectors:docs")
    path = write(tmp_path, {"query": "q", "expected_ids": []})
    with pytest.raises(CommandError, match="/cases/0/expected_ids"):
        call(path, "--target", "vectors:docs")
