"""The questions of the retrieval benchmark can be answered from the texts that are searched."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks import retrieval_data
from benchmarks.retrieval_data import COLLECTIONS, LabelledSet, half_of, topics
from mastra_engine.types import Case

OWN = {
    "reference": lambda: retrieval_data.reference(1000),
    "tickets": retrieval_data.tickets,
    "conversations": retrieval_data.conversations,
    "identifiers": retrieval_data.identifiers,
}


@pytest.fixture(scope="module", params=OWN)
def labelled(request: pytest.FixtureRequest) -> LabelledSet:
    load: Callable[[], LabelledSet] = OWN[request.param]
    return load()


def all_cases(labelled: LabelledSet) -> list[Case]:
    return [case for cases in labelled.cases.values() for case in cases]


def test_every_expected_text_is_searched(labelled: LabelledSet) -> None:
    owners = {text.id: text.resource_id for text in labelled.texts}

    for case in all_cases(labelled):
        assert {owners[id] for id in case.expected_ids} == {case.resource_id}
        assert len(set(case.expected_ids)) == len(case.expected_ids)


def test_no_question_is_asked_twice(labelled: LabelledSet) -> None:
    counted = Counter(case.query.casefold() for case in all_cases(labelled))

    assert counted.total() == len(counted)


def test_each_half_has_enough_questions_for_a_mean(labelled: LabelledSet) -> None:
    halves = [sum(map(len, labelled.half(half).values())) for half in ("dev", "test")]

    assert sum(halves) == len(all_cases(labelled))
    assert min(halves) >= 30


def test_most_texts_differ(labelled: LabelledSet) -> None:
    distinct = {text.text for text in labelled.texts}

    assert len(distinct) > 0.9 * len(labelled.texts)


def test_the_half_of_a_question_never_changes() -> None:
    halves = {"PAY-402": "dev", "scandir": "test", "Who is Piet?": "test"}

    assert {query: half_of(query) for query in halves} == halves


def test_the_messages_of_a_thread_follow_one_another() -> None:
    texts = retrieval_data.conversations().texts
    threads = [text.thread_id for text in texts]

    assert Counter(text.resource_id for text in texts).keys() == {
        "farmhouse",
        "sensors",
        "assistant",
        "family",
    }
    assert sum(one != other for one, other in pairwise(threads)) == len(set(threads)) - 1


def test_topics_that_join_others_are_not_searched() -> None:
    assert COLLECTIONS.isdisjoint(topics())
    assert "try" in topics()


def test_locomo_is_read_with_captions_and_without_evidence_that_is_missing(tmp_path: Path) -> None:
    turns = [
        {"speaker": "A", "dia_id": "D1:1", "text": "Look!", "blip_caption": "a photo of a boat"},
        {"speaker": "B", "dia_id": "D1:2", "text": "Nice."},
    ]
    questions = [
        {"question": "What is on the photo?", "evidence": ["D1:1; D1:2"]},
        {"question": "What else?", "evidence": ["D9:9"]},
    ]
    conversation = {"speaker_a": "A", "session_1_date_time": "1 May", "session_1": turns}
    sample = {"sample_id": "c1", "conversation": conversation, "qa": questions}
    path = tmp_path / "locomo.json"
    path.write_text(json.dumps([sample]))

    labelled = retrieval_data.locomo(path)

    assert [text.text for text in labelled.texts] == [
        "A: Look! [shares a photo of a boat]",
        "B: Nice.",
    ]
    assert labelled.cases == {
        "questions": [
            Case(
                query="What is on the photo?",
                expected_ids=("c1/D1:1", "c1/D1:2"),
                resource_id="c1",
            )
        ]
    }
