"""The retrieval benchmark searches each kind of text through the method that it is about."""

from __future__ import annotations

import pytest

from benchmarks.retrieval import CUTOFFS, tables
from benchmarks.retrieval_data import LabelledSet, Text, half_of
from benchmarks.retrieval_searches import OUTSIDE, VECTORS, searches
from mastra_engine import PostgresEngine
from mastra_engine.embedders import WordLlamaEmbedder
from mastra_engine.registry import registry
from mastra_engine.types import Case

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ["reference", "tickets", "conversations"]


@pytest.fixture
def engine(db: None) -> PostgresEngine:
    indexes = {"tickets": {"dimension": 256, "index_type": "flat"}}
    return PostgresEngine(embedder=WordLlamaEmbedder(), indexes=indexes)


def labelled_set(name: str) -> LabelledSet:
    owner = "owner" if name == "conversations" else None
    texts = [
        Text(id=id, text=text, resource_id=owner, thread_id=owner and id)
        for id, text in {
            "bees": "The bees moved into their hive.",
            "pension": "The shipyard pays a pension.",
            "train": "The train stood in Crewe.",
        }.items()
    ]
    cases = [
        Case(query="Who pays the pension?", expected_ids=("pension",), resource_id=owner),
        Case(query="Where do the bees live?", expected_ids=("bees",), resource_id=owner),
    ]
    return LabelledSet(name=name, texts=texts, cases={"questions": cases})


@pytest.mark.parametrize("name", KINDS)
def test_every_search_finds_the_text_with_the_words_of_the_question(
    engine: PostgresEngine, name: str
) -> None:
    labelled = labelled_set(name)

    with registry.empty():
        methods = searches(engine, labelled)
        evaluations = {
            method: engine.evaluate(labelled.cases["questions"], search=search, k=CUTOFFS)
            for method, search in methods.items()
        }

    assert {OUTSIDE, VECTORS} <= evaluations.keys()
    assert {method: item.metrics["mrr"].value for method, item in evaluations.items()} == (
        dict.fromkeys(methods, 1.0)
    )
    report = "\n".join(tables(labelled, half_of("Who pays the pension?"), evaluations))
    assert f"{name}: 3 texts" in report
    assert "1.000 [1.000, 1.000]" in report
