"""The questions of the retrieval benchmark can be answered from what is searched."""

from __future__ import annotations

from collections import Counter

from benchmarks.retrieval import corpus, questions


def test_there_are_enough_questions_for_a_mean() -> None:
    assert len(questions()) >= 60


def test_every_topic_is_one_of_this_interpreter() -> None:
    named = {topic for each in questions() for topic in each.topics}

    assert named <= corpus().keys()
    assert len(named) >= 45


def test_each_question_has_one_to_three_topics() -> None:
    assert all(1 <= len(set(each.topics)) == len(each.topics) <= 3 for each in questions())


def test_no_question_is_asked_twice() -> None:
    counted = Counter(each.question.casefold() for each in questions())

    assert counted.total() == len(counted)
