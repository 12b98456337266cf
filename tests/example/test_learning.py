"""The desk remembers what its users tell it, and the admin shows why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from example_project.desk.learning import DeskExtractor
from mastra_engine import engine
from mastra_engine.types import Retraction
from tests.example.conftest import Browser, links_in, remembered, text_of
from tests.unit.answering import answering
from tests.unit.test_fact_extractor import FACT, facts, message

Commits = Callable[..., AbstractContextManager[list[Callable[[], Any]]]]


@pytest.fixture
def ask(django_capture_on_commit_callbacks: Commits) -> Callable[..., str]:
    """Ask at the desk, and perform the tasks that are sent after the commit."""

    def ask(browser: Browser, question: str, thread_id: str = "") -> str:
        with django_capture_on_commit_callbacks(execute=True):
            return browser.ask(question, thread_id)

    return ask


def known(browser: Browser) -> list[str]:
    facts = engine.facts.list_facts(resource_id=str(browser.user.pk))
    return [f"{fact.subject} {fact.predicate} {fact.object}" for fact in facts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Remember that our servers run Python 3.11.", ["our servers run Python 3.11"]),
        (
            "Hi! I live in New York and I work at Acme; we use Django 6.0!",
            ["I live in New York", "I work at Acme", "we use Django 6.0"],
        ),
        ("My name is Ann", ["My name is Ann"]),
        ("Do we use Django?", []),
        ("Can I live in Berlin, and is it nice?", []),
        ("What is a lambda", []),
    ],
)
def test_statements_are_facts(text: str, told: list[str]) -> None:
    parts: list[Any] = DeskExtractor().extract([message(text)], [])
    assert [f"{part.subject} {part.predicate} {part.object}" for part in parts] == told
    assert all(part.sources[0].quote in text for part in parts)


def test_a_statement_can_be_taken_back() -> None:
    parts = DeskExtractor().extract([message("I no longer use Windows.")], [])
    assert parts == [Retraction("I", "use", "Windows")]


def test_facts_are_remembered_across_conversations(ann: Browser, ask: Callable[..., str]) -> None:
    ask(ann, "I live in Hamburg, and our servers run Python 3.11.")
    ask(ann, "I live in Berlin.")
    ask(ann, "Where do I live?")
    assert sorted(known(ann)) == ["I live in Berlin", "our servers run Python 3.11"]
    page = ann.client.get("/conversations/").content.decode()
    assert "<dt>I live in Berlin</dt>" in page
    assert "Hamburg" not in page.partition("Remembered about you")[2].partition("</details>")[0]
    assert "Why?" not in page


def test_a_question_is_answered_from_the_facts(ann: Browser, ask: Callable[..., str]) -> None:
    ask(ann, "Our servers run Python 3.10.")
    ask(ann, "Our servers run Python 3.11.")
    answer = text_of(remembered(ask(ann, "Which Python do our servers run?"))[-1])
    assert "“Our servers run Python 3.11”" in answer
    assert "3.10" not in answer


def test_the_admin_shows_staff_why_the_desk_knows_a_fact(
    staff: Browser, ask: Callable[..., str]
) -> None:
    thread_id = ask(staff, "Hello. I live in Berlin.")
    page = staff.client.get("/conversations/").content.decode()
    (why,) = [link for link in links_in(page) if "/fact/" in link]
    shown = staff.client.get(why).content.decode()
    (sources,) = [link for link in links_in(shown) if "/factsource/?" in link]
    listed = staff.client.get(sources.replace("&amp;", "&")).content.decode()
    (source, *_) = [
        link for link in links_in(listed) if "/factsource/" in link and "change" in link
    ]
    page = staff.client.get(source.partition("?")[0]).content.decode()
    assert "I live in Berlin" in page
    (said, *_) = remembered(thread_id)
    assert any(said.id in link for link in links_in(page))


def test_facts_can_be_forgotten(ann: Browser, bob: Browser, ask: Callable[..., str]) -> None:
    for place in ("Hamburg", "Berlin"):
        ask(ann, f"I live in {place}.")
        ask(bob, f"I live in {place}.")
    ann.client.post("/forget/")
    assert (known(ann), known(bob)) == ([], ["I live in Berlin"])
    assert "Remembered about you" not in ann.client.get("/conversations/").content.decode()


def test_a_language_model_is_told_the_facts(
    ann: Browser, ask: Callable[..., str], model: list[dict[str, Any]]
) -> None:
    ask(ann, "I moved to Berlin")
    assert known(ann) == ["user lives in Berlin"]
    ask(ann, "Hello!")
    system = [request["messages"][0]["content"] for request in model]
    assert "Berlin" not in system[0]
    assert "user lives in Berlin" in system[1]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A language model that learns one fact, and answers questions with nothing."""
    questions: list[dict[str, Any]] = []

    def reply(request: dict[str, Any]) -> Any:
        if "response_format" in request:
            told = [{**FACT, "sources": []}] if "moved" in request["messages"][1]["content"] else []
            return facts(*told)[1]
        questions.append(request)
        return b"data: [DONE]\n\n"

    with answering(reply) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "a key")
        yield questions
        assert {headers["authorization"] for headers in server.headers} == {"Bearer a key"}
