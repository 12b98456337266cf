"""Evaluation cases and results: saving questions, measuring searches, results over time."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client

from mastra_engine import engine
from mastra_engine.admin import evaluations
from mastra_engine.evaluations.targets import Target
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import EvaluationCase, EvaluationResult
from tests.admin.conftest import Words, page_of, signed_in, view
from tests.admin.html import Page
from tests.integration.queries import statements

DOCUMENTS = {"a": "red kettle", "b": "green teapot", "c": "red teapot"}
CASE = {"query": "red kettle", "target": "vectors:docs", "expected_ids": "a\nc"}


@pytest.fixture(autouse=True)
def words(settings: Any, db: None) -> Words:
    embedder = Words()
    settings.MASTRA_ENGINE = {
        "default": {"BACKEND": "mastra_engine.PostgresEngine", "EMBEDDER": embedder}
    }
    engine.vectors.create_index(index_name="docs", dimension=Words.dimension)
    engine.vectors.upsert(
        index_name="docs", ids=list(DOCUMENTS), documents=list(DOCUMENTS.values())
    )
    return embedder


@pytest.fixture
def case() -> EvaluationCase:
    return EvaluationCase.objects.create(
        target="vectors:docs", query="red kettle", expected_ids=["a"]
    )


def holders(*codenames: str) -> Client:
    return signed_in("holder", Permission.objects.filter(codename__in=codenames))


# Saving a question


def test_hits_of_the_playground_are_saved_as_right_answers(owner: Client) -> None:
    search = {"query": "teapot", "target": "vectors:docs", "top_k": 3, "hybrid": "0.5"}
    page = owner.post(view("playground"), {**search, "filter": '{"x": null}', "owner": ""})
    elements = Page(page.content.decode()).elements
    fields: dict[str, Any] = {
        element.attributes["name"]: element.attributes["value"]
        for element in elements
        if element.attributes.get("type") == "hidden"
    }
    boxes = [
        element.attributes["value"]
        for element in elements
        if element.attributes.get("name") == "expected_ids"
    ]
    assert sorted(boxes) == ["a", "b", "c"]
    answer = owner.post(view("save_case"), {**fields, "expected_ids": ["b", "c", "b"]})
    row = EvaluationCase.objects.get()
    assert answer.url == page_of(row)
    assert (row.target, row.owner, row.query) == ("vectors:docs", "", "teapot")
    assert (row.expected_ids, row.filter) == (["b", "c"], {"x": None})
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_addition()) == (str(row.pk), True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("vectors:docs", {"target": "vectors:docs?namespace=a+b", "ids": (None, None)}),
        ("records:Notes", {"target": "records:Notes", "ids": ("a b", None)}),
        ("recall", {"target": "recall", "ids": (None, "a b")}),
    ],
)
def test_a_case_is_saved_with_the_owner_of_the_data(
    owner: Client, target: str, expected: dict[str, Any]
) -> None:
    owner.post(view("save_case"), {**CASE, "target": target, "owner": "a b"})
    row = EvaluationCase.objects.get()
    assert row.target == expected["target"]
    assert Target.parse(row.target).options == ({"namespace": "a b"} if "?" in row.target else {})
    value = row.to_value()
    assert (value.connection_id, value.resource_id) == expected["ids"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"expected_ids": ""}, "required"),
        ({"expected_ids": "\n"}, "required"),
        ({"query": ""}, "required"),
        ({"target": "docs"}, "is no target"),
        ({"target": "recall:x"}, "is no target"),
        ({"filter": "{"}, "Invalid JSON"),
        ({"query": "a\0b"}, "Null characters"),
    ],
    ids=str,
)
def test_an_invalid_case_is_explained(
    owner: Client, arguments: dict[str, str], message: str
) -> None:
    answer = owner.post(view("save_case"), {**CASE, **arguments})
    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not EvaluationCase.objects.exists()


def test_saving_needs_the_permissions_to_add_and_to_read(case: EvaluationCase) -> None:
    reading = ["view_vectorindex", "view_embedding", "view_evaluationcase", "read_content"]
    reader = holders(*reading)
    assert reader.post(view("save_case"), CASE).status_code == 403
    search = {"query": "teapot", "target": "vectors:docs", "top_k": 3, "hybrid": "0.5"}
    assert "expected_ids" not in reader.post(view("playground"), search).content.decode()
    assert EvaluationCase.objects.count() == 1


def test_a_case_is_deleted_with_permission(owner: Client, case: EvaluationCase) -> None:
    reader = holders("view_evaluationcase", "read_content")
    address = view("evaluationcase_delete", case.pk)
    assert reader.post(address).status_code == 403
    owner.post(address)
    assert not EvaluationCase.objects.exists()


# Measuring


def test_a_measurement_is_the_engines(owner: Client, case: EvaluationCase) -> None:
    arguments = {"target": "vectors:docs", "hybrid": "0.3", "min_score": "0.1"}
    answer = owner.post(view("evaluate"), arguments)
    row = EvaluationResult.objects.get()
    assert row.target == "vectors:docs?hybrid=0.3&min_score=0.1"
    assert answer.url == view("evaluations", target=row.target)
    expected = engine.evaluate(
        [case.to_value()],
        search=lambda query, top_k: engine.vectors.query(
            index_name="docs", query_text=query, top_k=top_k, hybrid=0.3, min_score=0.1
        ),
    )
    assert row.case_count == 1
    assert {name: metric["value"] for name, metric in row.metrics.items()} == {
        name: estimate.value for name, estimate in expected.metrics.items()
    }
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_messages_are_measured_by_recall(owner: Client) -> None:
    messages = [{"id": id, "role": "user", "content": text} for id, text in DOCUMENTS.items()]
    engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=messages)
    owner.post(view("save_case"), {**CASE, "target": "recall", "owner": "ann"})
    owner.post(view("evaluate"), {"target": "recall"})
    assert EvaluationResult.objects.get().metrics["recall@5"]["value"] == 1


@pytest.mark.parametrize(
    ("error", "message"),
    [(Unavailable("The embedder is away"), "The embedder is away"), (OSError("key"), "OSError")],
)
def test_an_unreachable_embedder_is_a_message_in_the_page(
    owner: Client, words: Words, case: EvaluationCase, error: Exception, message: str
) -> None:
    words.error = error
    answer = owner.post(view("evaluate"), {"target": "vectors:docs"})
    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not EvaluationResult.objects.exists()


def test_a_page_measures_a_bounded_number_of_cases(
    owner: Client, case: EvaluationCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "MOST_CASES", 1)
    assert owner.post(view("evaluate"), {"target": "vectors:docs"}).status_code == 302
    EvaluationCase.objects.create(target="vectors:docs", query="more", expected_ids=["b"])
    page = owner.post(view("evaluate"), {"target": "vectors:docs"}).content.decode()
    assert "more than 1 cases" in page
    assert "engine_evaluate --target" in page
    assert EvaluationResult.objects.count() == 1


def test_measuring_needs_the_permission_to_add(case: EvaluationCase) -> None:
    reader = holders("view_evaluationresult")
    assert reader.get(view("evaluations")).status_code == 200
    assert view("evaluate") not in reader.get(view("evaluations")).content.decode()
    assert reader.post(view("evaluate"), {"target": "vectors:docs"}).status_code == 403


# Over time


def save(target: str, *values: float) -> None:
    for value in values:
        metrics = {name: {"value": value, "low": 0, "high": 1} for name in ("recall@5", "mrr")}
        EvaluationResult.objects.create(target=target, case_count=1, metrics=metrics)


def test_results_are_shown_over_time_by_search(owner: Client) -> None:
    save("vectors:docs", 0, 0.5, 1)
    save("vectors:docs?hybrid=0.3", 0.25)
    page = owner.get(view("evaluations", target="vectors:docs")).content.decode()
    lines = re.findall(r'points="([^"]*)"', page)
    assert lines == ["0.00,40.00 50.00,20.00 100.00,0.00"] * 2
    values = re.findall(r"<td class=\"me-number\">([\d.]+) <small>", page)
    assert values == ["1.000", "1.000", "0.500", "0.500", "0.000", "0.000"]
    latest = owner.get(view("evaluations")).content.decode()
    assert "0.250" in latest
    assert latest.count("<option") == 2


@pytest.mark.parametrize("target", ["nothing", "\0", "<script>alert(1)</script>"])
def test_an_unknown_search_has_no_results(owner: Client, target: str) -> None:
    save("vectors:docs", 1)
    answer = owner.get(view("evaluations", target=target))
    assert answer.status_code == 200
    assert "<script>alert" not in answer.content.decode()


def test_sends_a_fixed_number_of_statements(owner: Client) -> None:
    def sent() -> int:
        return len(statements(lambda: owner.get(view("evaluations"))))

    save("vectors:docs", 1)
    few = sent()
    save("vectors:docs", *[0.5] * 60)
    for i in range(60):
        save(f"vectors:docs?hybrid=0.{i}", 1)
    assert sent() == few


# The command


def evaluate(*arguments: str) -> str:
    output = StringIO()
    call_command("engine_evaluate", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_measures_the_saved_cases(case: EvaluationCase) -> None:
    output = evaluate("--target", "vectors:docs?hybrid=0.3", "--compare", "vectors:docs")
    assert output.startswith("1 case, ")
    rows = EvaluationResult.objects.order_by("id")
    assert [row.target for row in rows] == ["vectors:docs?hybrid=0.3", "vectors:docs"]
    assert rows[0].metrics["mrr"]["value"] == 1


def test_the_command_names_a_search_without_cases(case: EvaluationCase) -> None:
    with pytest.raises(CommandError, match=r"No cases were saved for vectors:docs\?namespace=x"):
        evaluate("--target", "vectors:docs?namespace=x&hybrid=0.3")


# Erasure


def test_the_cases_of_an_owner_are_erased() -> None:
    for target in ("vectors:docs?namespace=ann", "records:Notes", "recall"):
        for name in ("ann", "bob"):
            EvaluationCase.objects.create(
                target=target, owner=name, query="kettle", expected_ids=["a"]
            )

    def left() -> list[str]:
        rows = EvaluationCase.objects.filter(owner="ann").order_by("target")
        return [row.target for row in rows]

    assert engine.erase(resource_id="ann", dry_run=True).evaluation_cases == 2
    engine.erase(namespace="ann")
    assert left() == ["recall", "records:Notes"]
    engine.erase(connection_id="ann")
    assert left() == ["recall"]
    engine.erase(resource_id="ann")
    assert left() == []
    assert EvaluationCase.objects.count() == 3
