"""Transcripts, context windows and resources."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from mastra_engine import engine
from mastra_engine.admin.transcript import PAGE
from mastra_engine.models import Thread, WorkingMemory
from tests.admin.conftest import list_of, page_of, signed_in, view
from tests.admin.html import Page
from tests.admin.store import SECRET


def transcript(client: Client, thread_id: str, **query: Any) -> str:
    answer = client.get(page_of(Thread(id=thread_id)), query)
    assert answer.status_code == 200
    return answer.content.decode()


def positions(page: str) -> list[int]:
    return [int(item) for item in re.findall(r'id="m(\d+)"', page)]


def link(page: str, label: str) -> str | None:
    matches = re.search(rf'href="\?([^"]*)">{label}<', page)
    return matches and matches[1]


@pytest.fixture
def long_thread(db: None) -> str:
    engine.memory.create_thread(thread_id="long", resource_id="ann")
    engine.memory.save_memory(
        thread_id="long",
        messages=[{"role": "user", "content": f"Message {i}"} for i in range(1, 3 * PAGE + 1)],
    )
    return "long"


def test_a_transcript_shows_roles_and_folds_tool_calls(
    owner: Client, store: dict[str, Any]
) -> None:
    page = transcript(owner, "chat/1")
    assert positions(page) == [1, 2, 3, 4]
    assert f"<strong>{SECRET}</strong> is a sled." in page
    assert "Calls look_up" in page
    assert "Result of look_up" in page
    folded = re.findall(r"<details.*?</details>", page, re.DOTALL)
    assert any("look_up" in item and SECRET in item for item in folded)


def test_an_onlooker_sees_messages_without_content(onlooker: Client, store: dict[str, Any]) -> None:
    page = transcript(onlooker, "chat/1")
    assert positions(page) == [1, 2, 3, 4]
    assert "look_up" not in page


def test_a_transcript_begins_with_the_latest(owner: Client, long_thread: str) -> None:
    page = transcript(owner, long_thread)
    assert positions(page) == list(range(2 * PAGE + 1, 3 * PAGE + 1))
    assert link(page, "Later messages") is None


def test_earlier_and_later_lead_to_all_messages(owner: Client, long_thread: str) -> None:
    page = transcript(owner, long_thread)
    seen = positions(page)
    while earlier := link(page, "Earlier messages"):
        page = transcript(owner, long_thread, before=earlier.partition("=")[2])
        seen = positions(page) + seen
    assert seen == list(range(1, 3 * PAGE + 1))
    while later := link(page, "Later messages"):
        page = transcript(owner, long_thread, at=later.partition("=")[2])
    assert positions(page)[-1] == 3 * PAGE


def test_positions_in_links_are_not_localized(
    owner: Client, long_thread: str, settings: Any
) -> None:
    settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
    several = [{"role": "user", "content": "More"}] * 1_000
    engine.memory.save_memory(thread_id=long_thread, messages=several)
    last = 3 * PAGE + 1_000
    page = transcript(owner, long_thread, at=1_000)
    assert positions(page) == list(range(1_000, 1_000 + PAGE))
    assert f'max="{last}"' in page
    assert link(page, "Frühere Nachrichten") == "before=1000"
    assert link(page, "Spätere Nachrichten") == f"at={1_000 + PAGE}"
    window = owner.get(view("context", long_thread, before=1_000)).content.decode()
    assert re.search(r'value="4000"[^>]* min="0" max="\d+"', window)
    assert '<input type="hidden" name="before" value="1000">' in window


def test_a_position_can_be_opened(owner: Client, long_thread: str) -> None:
    page = transcript(owner, long_thread, at=70)
    assert positions(page) == list(range(70, 70 + PAGE))
    assert link(page, "Earlier messages") == "before=70"
    assert link(page, "Later messages") == f"at={70 + PAGE}"


def test_a_position_after_the_end_is_reported(owner: Client, long_thread: str) -> None:
    assert "There are no messages here" in transcript(owner, long_thread, at=10**6)


@pytest.mark.parametrize("at", ["x", "-1", "1.5", "9" * 30, "\0", "٣"])
def test_an_invalid_position_is_refused(owner: Client, long_thread: str, at: str) -> None:
    answer = owner.get(page_of(Thread(id=long_thread)), {"at": at})
    assert answer.status_code == 400
    assert "/at" in answer.content.decode()


def test_resources_are_found_by_the_beginning_of_their_ids(
    owner: Client, store: dict[str, Any]
) -> None:
    engine.memory.create_thread(resource_id="bob")
    everybody = owner.get(view("resources")).content.decode()
    engine.memory.create_thread(resource_id="anna")
    some = owner.get(view("resources"), {"q": "an"}).content.decode()
    assert "resource_id=ann" in everybody
    assert "resource_id=bob" in everybody
    assert "resource_id=anna" in some
    assert "resource_id=bob" not in some


def test_a_search_that_matches_one_resource_opens_it(owner: Client, store: dict[str, Any]) -> None:
    answer = owner.get(view("resources"), {"q": "an"})
    assert (answer.status_code, answer["Location"]) == (302, view("resources", resource_id="ann"))


def test_a_resource_without_threads_is_opened_by_its_id(owner: Client, db: None) -> None:
    fact = {"subject": "Eve", "predicate": "likes", "object": "sleds"}
    engine.facts.remember(resource_id="<eve>", facts=[fact])
    page = Page(owner.get(view("resources"), {"q": "<eve>"}).content.decode())
    address = view("resources", resource_id="<eve>")
    assert [link for link in page.elements if link.attributes.get("href") == address]
    assert "sleds" in owner.get(address).content.decode()


def test_resources_come_in_pages(owner: Client, db: None) -> None:
    expected = [f"user {i:03}" for i in range(120)]
    for resource_id in expected:
        engine.memory.create_thread(resource_id=resource_id)
    seen: list[str] = []
    address: str | None = view("resources")
    while address:
        text = owner.get(address).content.decode()
        seen += re.findall(r">(user \d+)</bdi>", text)
        more = re.search(r'href="([^"]*)">More<', text)
        address = more[1].replace("&amp;", "&") if more else None
    assert seen == expected


def test_a_resource_shows_its_rows(owner: Client, store: dict[str, Any]) -> None:
    engine.create_entity(name="Orders", connection_id="ann")
    text = owner.get(view("resources"), {"resource_id": "ann"}).content.decode()
    for part in ("chat/1", "Version <bdi>2</bdi>", "Orders", f"She asks about {SECRET}"):
        assert part in text


def test_an_onlooker_sees_a_resource_without_content(
    onlooker: Client, store: dict[str, Any]
) -> None:
    text = onlooker.get(view("resources"), {"resource_id": "ann"}).content.decode()
    assert "chat/1" in text
    assert SECRET not in text


def test_working_memory_of_a_thread_links_to_it(owner: Client, store: dict[str, Any]) -> None:
    engine.memory.update_working_memory(resource_id="ann", thread_id="chat/1", content="A sled")
    saved = WorkingMemory.objects.get(thread="chat/1")
    page = owner.get(page_of(saved)).content.decode()
    assert f'href="{page_of(Thread(id="chat/1"))}"' in page


def test_threads_are_found_by_thread_or_resource(owner: Client, store: dict[str, Any]) -> None:
    engine.memory.create_thread(thread_id="other", resource_id="bob")
    for term, matches in [("chat", True), ("an", True), ("x", False), ("hat1", False)]:
        text = owner.get(list_of(Thread, q=term)).content.decode()
        assert (quote("chat_2F1") in text) is matches, term


@pytest.mark.parametrize("thread_id", ["chat/1", "two\nlines", "<b>&?"])
def test_deleting_goes_through_the_engine(
    owner: Client, store: dict[str, Any], thread_id: str
) -> None:
    if thread_id != "chat/1":
        engine.memory.clone_thread(thread_id="chat/1", new_thread_id=thread_id)
    address = view("thread_delete", thread_id)
    question = owner.get(address)
    assert question.status_code == 200
    assert SECRET not in Page(question.content.decode()).title
    assert Thread.objects.filter(id=thread_id).exists()
    assert owner.post(address).url == list_of(Thread)
    assert not Thread.objects.filter(id=thread_id).exists()
    (entry,) = LogEntry.objects.all()
    assert (entry.object_id, entry.is_deletion()) == (thread_id, True)
    assert SECRET not in entry.object_repr


def test_the_confirmation_names_the_thread_to_readers(owner: Client, store: dict[str, Any]) -> None:
    deleting = Permission.objects.filter(codename__in=["view_thread", "delete_thread"])
    address = view("thread_delete", "chat/1")
    assert f"Delete: {SECRET}" in owner.get(address).content.decode()
    blind = signed_in("blind", deleting).get(address).content.decode()
    assert "Delete: Thread chat/1" in blind
    assert SECRET not in blind


def test_onlookers_delete_nothing(onlooker: Client, store: dict[str, Any]) -> None:
    assert onlooker.post(view("thread_delete", "chat/1")).status_code == 403
    assert Thread.objects.filter(id="chat/1").exists()


# Sources


def save_message_with(*sources: Any) -> None:
    engine.memory.save_memory(
        thread_id="chat/1",
        messages=[{"role": "user", "content": "So?", "metadata": {"sources": list(sources)}}],
    )


def test_an_answer_links_to_its_source_records(
    owner: Client, onlooker: Client, store: dict[str, Any]
) -> None:
    record = store["record"]
    source = {"record_id": str(record.pk), "title": SECRET}
    save_message_with(source, source)
    (links,) = re.findall(r"<ul class=\"me-sources.*?</ul>", transcript(owner, "chat/1"))
    assert links.count(page_of(record)) == 1
    assert record.external_id in links
    assert page_of(record) not in transcript(onlooker, "chat/1")


@pytest.mark.parametrize("source", [None, 5, {"record_id": 5}, {"record_id": UUID(int=5).hex}])
def test_sources_without_a_record_have_no_link(
    owner: Client, store: dict[str, Any], source: Any
) -> None:
    save_message_with(source)
    assert "me-sources" not in transcript(owner, "chat/1")


def test_a_transcript_tells_seconds_and_gaps(owner: Client, db: None) -> None:
    times = ["2026-01-02T03:04:05Z", "2026-01-02T03:06:17Z", "2026-01-02T03:06:17Z"]
    engine.memory.save_memory(
        thread_id="t",
        resource_id="r",
        messages=[{"role": "user", "content": "Hi", "created_at": time} for time in times],
    )
    with timezone.override("Europe/Berlin"):
        page = transcript(owner, "t")
    assert "04:04:05 CET" in page
    assert page.count("later</span>") == 1
    assert "2 min 12 s later" in page.replace("\N{NO-BREAK SPACE}", " ")
