"""Users rename and delete their conversations, and staff follow an answer to the admin and back."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine import engine
from mastra_engine.exceptions import ThreadNotFound
from tests.example.conftest import Browser, links_in, remembered
from tests.example.test_chat import FACT, LAMBDA


def test_a_conversation_is_renamed(ann: Browser) -> None:
    thread_id = ann.ask(LAMBDA)
    ann.client.post(f"/conversations/{thread_id}/rename/", {"title": "About <lambdas>"})
    assert engine.memory.get_thread(thread_id=thread_id).title == "About <lambdas>"
    assert "About &lt;lambdas&gt;" in ann.read(thread_id)


@pytest.mark.parametrize("title", ["", " ", "x" * 201, "a\0b"])
def test_an_invalid_title_changes_nothing(ann: Browser, title: str) -> None:
    thread_id = ann.ask(LAMBDA)
    address = f"/conversations/{thread_id}/rename/"
    page = ann.client.post(address, {"title": title}, follow=True).content.decode()
    assert "The title was not changed" in page
    assert engine.memory.get_thread(thread_id=thread_id).title == LAMBDA


def test_a_conversation_is_deleted_with_the_facts_that_rest_on_it(
    ann: Browser, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # the task that extracts facts
        thread_id = ann.ask(FACT)
    assert list(engine.facts.list_facts(resource_id=str(ann.user.pk)))
    assert ann.client.post(f"/conversations/{thread_id}/delete/").status_code == 302
    with pytest.raises(ThreadNotFound):
        engine.memory.get_thread(thread_id=thread_id)
    assert not list(engine.facts.list_facts(resource_id=str(ann.user.pk), include_superseded=True))


def test_other_users_cannot_change_a_conversation(ann: Browser, bob: Browser) -> None:
    thread_id = ann.ask(LAMBDA)
    for action in ("rename", "delete"):
        address = f"/conversations/{thread_id}/{action}/"
        assert bob.client.post(address, {"title": "Mine"}).status_code == 404
        assert ann.client.get(address).status_code == 405
    assert engine.memory.get_thread(thread_id=thread_id).title == LAMBDA


def test_an_answer_leads_staff_to_its_reasons_and_back(staff: Browser, ann: Browser) -> None:
    thread_id = staff.ask(LAMBDA)
    answer = remembered(thread_id)[-1]
    (why,) = [link for link in links_in(staff.read(thread_id)) if link.endswith("/why/")]
    reasons = staff.client.get(why)
    assert reasons.status_code == 200
    assert LAMBDA in reasons.content.decode()
    assert str(answer.id) in why
    page = staff.client.get(f"/admin/mastra_engine/thread/{thread_id}/change/").content.decode()
    assert f"/conversations/{thread_id}/" in links_in(page)
    assert not [link for link in links_in(ann.read(ann.ask(LAMBDA))) if "/admin/" in link]


def test_the_admin_does_not_lead_to_conversations_of_others(staff: Browser, ann: Browser) -> None:
    thread_id = ann.ask(LAMBDA)
    page = staff.client.get(f"/admin/mastra_engine/thread/{thread_id}/change/").content.decode()
    assert f"/conversations/{thread_id}/" not in links_in(page)
