"""The eight questions of the home page, each answered in three clicks from the admin's index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from mastra_engine import engine, index_records, sync
from mastra_engine.admin.questions import QUESTIONS
from mastra_engine.models import Record, SyncRun
from mastra_engine.registry import registry
from tests.browser.conftest import follow
from tests.browser.filling import fill_with_articles
from tests.browser.looking import look

pytestmark = pytest.mark.browser

HOME = "/admin/mastra_engine/"
#: Whether an element can be seen without scrolling a table sideways.
ON_SCREEN = """
element => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return element.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}
"""


class Walk:
    """A walk from the admin's index, which counts the clicks and takes a picture of its end."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = 0
        page.goto("/admin/")
        self.click(page.locator(f'a[href="{HOME}"]:visible').first)

    def click(self, place: Any) -> None:
        self.clicks += 1
        follow(place)

    def ask(self, question: str, text: str) -> None:
        """Type a text into the form of a question on the home page, and send it."""
        item = self.page.locator(".me-questions > li", has_text=question)
        item.get_by_role("searchbox").fill(text)
        self.click(item.get_by_role("button"))

    def ends(self, name: str) -> str:
        """Return the text of the page; fail if it took more than three clicks or has faults."""
        assert self.clicks <= 3
        assert look(self.page, f"question-{name}") == []
        text: str = self.page.locator("#content, main").first.inner_text()
        return text


@pytest.fixture
def walk(admin: Any, caplog: Any) -> Iterator[Walk]:
    caplog.set_level("CRITICAL")
    cache.clear()
    with registry.empty():
        yield Walk(admin)


def test_the_home_page_asks_these_questions() -> None:
    asked = {name.removeprefix("test_question_") for name in globals() if "_question_" in name}
    assert len(asked) == len(QUESTIONS) == 8


def test_question_which_syncs_failed_today_and_why(walk: Walk) -> None:
    for name, message in (("calendar", "the old fault"), ("contacts", "the CRM refused")):

        @sync(name=name, entity=name)
        def failing(ctx: Any, message: str = message) -> Iterator[Any]:
            yield {"external_id": "1", "data": {}}
            raise ValueError(message)

        engine.run_sync(name, connection_id="ann")
    runs = SyncRun.objects.filter(sync="calendar")
    runs.update(finished_at=timezone.now() - timedelta(days=1))
    walk.click(walk.page.get_by_role("link", name="Which syncs failed today, and why?"))
    answer = walk.ends("failed")
    assert "contacts" in answer
    assert "the old fault" not in answer
    reason = walk.page.get_by_text("ValueError: the CRM refused")
    assert reason.evaluate(ON_SCREEN)


def test_question_which_records_of_a_connection_changed_yesterday(walk: Walk) -> None:
    for name in ("Old", "Yesterday", "Today"):
        record = {"external_id": name, "data": {"title": f"Changed: {name}"}}
        engine.sync_records(name="Tickets", connection_id="desk", records=[record])
    for name, days in (("Old", 2), ("Yesterday", 1)):
        moment = timezone.now() - timedelta(days=days)
        Record.objects.filter(external_id=name).update(updated_at=moment)
    walk.click(walk.page.get_by_role("link", name="Which records of a connection changed"))
    walk.click(walk.page.get_by_role("link", name="Yesterday"))
    answer = walk.ends("changed")
    assert "Changed: Yesterday" in answer
    assert "Changed: Old" not in answer
    assert "Changed: Today" not in answer


def test_question_what_does_the_agent_know_about_a_user(walk: Walk) -> None:
    for name in ("ann", "bob"):
        engine.memory.create_thread(resource_id=name, title=f"Talk with {name}")
        engine.memory.update_working_memory(resource_id=name, content=f"{name} likes sleds")
        fact = {"subject": name, "predicate": "lives in", "object": f"the town of {name}"}
        engine.facts.remember(resource_id=name, facts=[fact])
    walk.ask("What does the agent know about a user?", "ann")
    answer = walk.ends("known")
    for known in ("Talk with ann", "ann likes sleds", "the town of ann"):
        assert known in answer
    assert "bob" not in answer


def test_question_what_did_the_model_see_before_an_answer(walk: Walk) -> None:
    engine.memory.update_working_memory(resource_id="ann", content="She is in a hurry")
    messages = [
        {"role": "system", "content": "Answer in verse"},
        {"role": "user", "content": "Where is my parcel?"},
        {"role": "assistant", "content": "It waits in Bonn"},
        {"role": "user", "content": "And the second one?"},
    ]
    engine.memory.create_thread(resource_id="ann", thread_id="parcels", title="Parcels")
    engine.memory.save_memory(thread_id="parcels", messages=messages)
    walk.ask("What did the model see before an answer?", "Bonn")
    walk.click(walk.page.get_by_role("link", name="Context before"))
    answer = walk.ends("seen")
    for seen in ("Answer in verse", "Where is my parcel?", "She is in a hurry"):
        assert seen in answer
    assert "It waits in Bonn" not in answer
    assert "And the second one?" not in answer


def test_question_why_was_a_passage_retrieved(walk: Walk) -> None:
    fill_with_articles(40)
    walk.page.reload()
    walk.click(walk.page.get_by_role("link", name="Why was a passage retrieved?"))
    walk.page.get_by_label("Query").fill("When do I get a refund for my invoice?")
    walk.click(walk.page.get_by_role("button", name="Search", exact=True))
    answer = walk.ends("retrieved")
    assert "Billing, part" in answer
    for part in ("Similarity", "refund"):
        assert walk.page.get_by_role("rowheader", name=part).first.is_visible()


def test_question_which_index_lags_behind(walk: Walk) -> None:
    for name in ("people", "places"):
        engine.vectors.create_index(index_name=name, dimension=3)
    index_records(entity="People", index="people", text=lambda data: str(data["name"]))
    records = [{"external_id": str(i), "data": {"name": "Ann"}} for i in range(3)]
    engine.sync_records(name="People", connection_id="crm", records=records)
    walk.click(walk.page.get_by_role("link", name="Which index lags behind?"))
    walk.ends("lag")
    rows = walk.page.locator("#result_list tbody tr, table tbody tr")
    assert "3 changes behind since" in rows.filter(has_text="people").first.inner_text()
    assert "up to date" in rows.filter(has_text="places").first.inner_text()


def test_question_in_which_conversation_was_it_said(walk: Walk, talks: None) -> None:
    walk.ask("In which conversation was it said?", "kumquat")
    walk.click(walk.page.get_by_role("link", name="I would rather have a kumquat"))
    answer = walk.ends("said")
    assert "Talk 7" in answer
    assert "I would rather have a kumquat" in answer


def test_question_what_would_be_deleted_if_a_user_were_erased(walk: Walk) -> None:
    for name in ("ann", "bob"):
        thread = engine.memory.create_thread(resource_id=name)
        messages = [{"role": "user", "content": "Hello"}] * (3 if name == "ann" else 5)
        engine.memory.save_memory(thread_id=thread.id, messages=messages)
        engine.memory.update_working_memory(resource_id=name, content="Likes sleds")
    walk.ask("What would be deleted if a user were erased?", "ann")
    walk.click(walk.page.get_by_role("link", name="Erase"))
    walk.ends("erased")
    terms = walk.page.locator("dt").all_inner_texts()
    numbers = dict(zip(terms, walk.page.locator("dd").all_inner_texts(), strict=True))
    amounts = {term.lower(): number for term, number in numbers.items()}
    assert (amounts["threads"], amounts["messages"], amounts["working memory"]) == ("1", "3", "1")
    assert amounts["state items"] == "0"
