"""A walk of a newcomer after `make serve`: chat, then follow the conversation into the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from example_project.management.commands import serve
from tests.browser.conftest import follow, log_in
from tests.browser.looking import look
from tests.browser.test_desk import ask

pytestmark = pytest.mark.browser

EXCEPT = "When does an except clause match an exception?"


@pytest.fixture
def served(
    page: Any, transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return the page, with the data that `make serve` creates."""
    settings.DEBUG = True
    monkeypatch.setattr(serve, "call_command", lambda *args, **options: None)
    call_command("serve")
    settings.DEBUG = False
    page.goto("/conversations/")
    return page


def test_a_conversation_and_its_sources_are_in_the_admin(served: Any) -> None:
    page = served
    log_in(page, "admin", "admin")
    answer = ask(page, EXCEPT)
    ask(page, "What is the state of ticket #2?")

    # The chunk that the answer quotes
    follow(page.locator("a.citation").first)
    chunk = page.locator("mark", has_text="except")
    assert 0 <= chunk.bounding_box()["y"] < page.viewport_size["height"]
    page.go_back()

    # The very conversation
    follow(page.get_by_role("link", name="In the admin"))
    page.locator(".me-page h1", has_text=EXCEPT).wait_for()
    transcript = page.locator(".me-messages")
    assert answer.splitlines()[0] in transcript.inner_text()

    # The ticket that a tool looked up
    transcript.get_by_text("Calls look_up_ticket").click()
    transcript.get_by_text('"number": 2').first.wait_for()
    transcript.get_by_text("Result of").click()
    transcript.get_by_text("Update the README").first.wait_for()

    # Why the passages of the first answer were found, and the context before it
    conversation = page.url
    follow(page.get_by_role("link", name="Why?").first)
    assert page.get_by_role("rowheader", name="Similarity").first.is_visible()
    assert page.get_by_role("rowheader", name="except").first.is_visible()
    assert page.get_by_text("not cited").first.is_visible()
    assert look(page, "why") == []
    follow(page.get_by_role("button", name="Search again in the playground"))
    assert page.get_by_role("region", name="Results").get_by_role("link").first.is_visible()
    page.goto(conversation)
    follow(page.get_by_role("link", name="Context before").first)
    assert page.get_by_text("The messages before #2").is_visible()
    assert page.locator(".me-messages > li").count() == 1
    page.goto(conversation)

    # Its record, the vector made from it, and the sync that brought it
    follow(transcript.get_by_role("link", name="Update the README"))
    follow(page.locator(".me-list").get_by_role("link"))
    page.locator(".me-document", has_text="Update the README").first.wait_for()
    follow(page.get_by_role("link", name="Record Update the README"))
    follow(page.get_by_role("row", name="Created").get_by_role("link"))
    page.locator(".me-page h1", has_text="tickets of example").wait_for()
    page.locator(".me-succeeded").wait_for()
