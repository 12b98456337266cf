"""The support desk, used in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from example_project.desk import extractive, knowledge
from mastra_engine.exceptions import Unavailable
from tests.browser.conftest import PHONE, follow, log_in
from tests.browser.looking import look, until
from tests.example.conftest import learn

pytestmark = pytest.mark.browser

LAMBDA = "Can a lambda contain several statements?"
PATIENCE = 60.0


@pytest.fixture
def people(transactional_db: None) -> None:
    """Create the data of the desk, and a user."""
    learn()
    User.objects.create_user("ann", password="secret")


@pytest.fixture
def desk(page: Any, people: None) -> Any:
    """Return the page after a login."""
    page.goto("/conversations/")
    log_in(page, "ann", "secret")
    return page


def ask(page: Any, question: str) -> str:
    """Ask, and return the complete answer."""
    before = page.locator(".assistant .how").count()
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    page.locator(".assistant .how").nth(before).wait_for()
    return str(page.locator(".assistant .text").last.inner_text())


def tab_to(page: Any, place: Any, key: str = "Tab") -> None:
    """Go to an element with the keyboard."""
    for _ in range(60):
        page.keyboard.press(key)
        if place.evaluate("place => place === document.activeElement"):
            return
    raise AssertionError(f"No {key} leads to {place}")


def test_an_answer_is_seen_while_it_is_made(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(turn: Any) -> Iterator[str]:
        for piece in complete(turn):
            yield piece
            assert go_on.wait(PATIENCE)

    complete, go_on = extractive.answer, Event()
    monkeypatch.setattr(extractive, "answer", slowly)
    desk.get_by_role("button", name=LAMBDA).click()
    desk.locator(".assistant", has_text="lambda").wait_for()
    assert desk.get_by_role("status").inner_text() == "Looking for an answer …"
    assert desk.locator(".assistant .how").count() == 0
    go_on.set()
    desk.get_by_text("no language model was used").wait_for()
    assert desk.title().startswith(LAMBDA)
    assert "/conversations/" in desk.url


def test_its_pages_are_accessible(desk: Any) -> None:
    assert look(desk, "chat-start") == []
    ask(desk, "Remember that our servers run Python 3.11.")
    ask(desk, LAMBDA)
    ask(desk, "What is the state of ticket #2?")
    desk.get_by_text("Used look_up_ticket").click()
    assert look(desk, "chat-conversation") == []
    follow(desk.get_by_label("Sources").first.get_by_role("link").first)
    desk.locator(".document").wait_for()
    assert look(desk, "chat-source") == []
    follow(desk.get_by_role("button", name="Log out"))
    assert look(desk, "chat-login") == []


def test_a_wrong_password_is_reported(page: Any, people: None) -> None:
    page.goto("/conversations/")
    log_in(page, "ann", "wrong")
    page.get_by_text("correct username and password").wait_for()
    assert look(page, "chat-login-refused") == []


def test_one_conversation_recalls_another(desk: Any) -> None:
    ask(desk, "Remember that our servers run Python 3.11.")
    follow(desk.get_by_role("link", name="New conversation"))
    desk.locator("dt", has_text="our servers run Python 3.11").wait_for()
    assert "you told me" in ask(desk, "Which Python do our servers run?")
    desk.get_by_role("navigation", name="Conversations").get_by_role("link").nth(1).click()
    desk.get_by_role("log").get_by_text("I will keep in mind").wait_for()


def test_the_keyboard_is_enough(desk: Any) -> None:
    tab_to(desk, desk.get_by_role("link", name="Skip to the content"))
    tab_to(desk, desk.get_by_label("Your question"))
    desk.keyboard.type(LAMBDA)
    desk.keyboard.press("Enter")
    desk.locator(".assistant .how").wait_for()
    until(desk, "document.activeElement.name === 'question'")
    tab_to(desk, desk.locator("a.citation").last, "Shift+Tab")
    desk.keyboard.press("Enter")
    desk.wait_for_url("**/sources/**#chunk")
    assert "lambda" in desk.locator(".document").inner_text()


def test_on_a_phone_the_answer_and_the_next_question_are_in_view(desk: Any) -> None:
    desk.set_viewport_size(PHONE)
    desk.reload()
    for _ in range(3):
        ask(desk, LAMBDA)
    until(desk, "document.documentElement.scrollWidth <= window.innerWidth")
    how, field = (
        desk.locator(place).last.bounding_box() for place in (".assistant .how", "#ask textarea")
    )
    assert 0 < how["y"] < how["y"] + how["height"] <= field["y"]
    assert field["y"] + field["height"] <= PHONE["height"]


def test_a_question_that_fails_is_not_lost(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> None:
        raise Unavailable("The database is away")

    with monkeypatch.context() as broken:
        broken.setattr(knowledge, "search", away)
        desk.get_by_label("Your question").fill(LAMBDA)
        desk.get_by_role("button", name="Ask").click()
        desk.get_by_role("status").filter(has_text="Your question is still there").wait_for()
    assert desk.get_by_label("Your question").input_value() == LAMBDA
    desk.get_by_role("button", name="Ask").click()
    desk.locator(".assistant .how").wait_for()
    assert desk.locator(".items .user").count() == 1


def test_a_question_after_the_session_is_not_lost(desk: Any) -> None:
    Session.objects.all().delete()
    desk.get_by_label("Your question").fill(LAMBDA)
    desk.keyboard.press("Enter")
    desk.get_by_role("status").filter(has_text="You are logged out").wait_for()
    assert desk.get_by_label("Your question").input_value() == LAMBDA


def test_it_needs_no_script(chromium: Any, live_server: Any, people: None) -> None:
    context = chromium.new_context(base_url=live_server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/conversations/")
    log_in(page, "ann", "secret")
    page.get_by_label("Your question").fill(LAMBDA)
    page.get_by_role("button", name="Ask").click()
    page.locator(".assistant", has_text="cannot contain statements").wait_for()
    context.close()
