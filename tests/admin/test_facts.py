"""Facts in the admin: now and at a time, the timeline of a claim, retracting and forgetting."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from mastra_engine import engine
from mastra_engine.exceptions import FactNotFound
from mastra_engine.models import Fact
from mastra_engine.types import FactInput, FactSource
from tests.admin.conftest import list_of, page_of, signed_in, view
from tests.admin.html import Page

#: Ann lived in Hamburg, as a message says, and lives in Berlin, as a record says.
HAMBURG = FactInput("Ann", "lives in", "Hamburg", valid_from="2024-01-01T00:00:00Z")
BERLIN = FactInput("Ann", "lives in", "Berlin", valid_from="2025-05-01T10:20:30Z")


@pytest.fixture
def rows(db: None, settings: Any) -> tuple[Fact, Fact]:
    """Remember both facts, in a project in the time zone of Paris."""
    settings.TIME_ZONE = "Europe/Paris"
    messages: list[Any] = [{"role": "user", "content": "I live in Hamburg"}]
    (saved,) = engine.memory.save_memory(thread_id="chat", resource_id="ann", messages=messages)
    entity = engine.sync_records(
        name="Contacts", connection_id="crm", records=[{"external_id": "c-ann", "data": {}}]
    ).entity
    record = engine.get_record(entity_id=entity.id, external_id="c-ann")
    sources = (
        FactSource(message_id=saved.id, quote="live in Hamburg"),
        FactSource(record_id=record.id, quote="city: Berlin"),
    )
    ids = []
    for fact, source in zip((HAMBURG, BERLIN), sources, strict=True):
        new = FactInput(
            fact.subject, fact.predicate, fact.object, fact.valid_from, sources=[source]
        )
        (remembered,) = engine.facts.remember(resource_id="ann", facts=[new])
        ids.append(remembered.id)
    hamburg, berlin = (Fact.objects.get(id=id) for id in ids)
    return hamburg, berlin


def opened(client: Client, address: str) -> Page:
    response = client.get(address)
    assert response.status_code == 200, address
    page = Page(response.content.decode())
    page.text = " ".join(page.text.split())
    return page


def links(page: Page) -> list[str]:
    return [attributes["href"] for tag, attributes in page.elements if tag == "a"]


def test_the_timeline_tells_when_each_version_was_true_and_known(
    owner: Client, rows: tuple[Fact, Fact]
) -> None:
    hamburg, berlin = rows
    page = opened(owner, page_of(hamburg))
    timeline = page.text.partition("Timeline of the claim")[2]
    first, second = "Hamburg superseded True from", "Berlin current True from"
    assert 0 < timeline.index(first) < timeline.index(second)
    assert (
        "True from Jan. 1, 2024, 01:00:00 CET until May 1, 2025, 12:20:30 CEST. Remembered"
        in timeline
    )
    assert "True from May 1, 2025, 12:20:30 CEST on. Remembered" in timeline
    assert "Its end May 1, 2025, 12:20:30 CEST has been known since" in timeline
    assert page_of(berlin) in links(page)


def test_sources_quote_their_text_and_lead_to_it(owner: Client, rows: tuple[Fact, Fact]) -> None:
    hamburg, berlin = rows
    page = opened(owner, page_of(hamburg))
    assert "Message #1 I live in Hamburg live in Hamburg" in page.text
    assert view("thread_change", "chat", at=1) + "#m1" in links(page)
    page = opened(owner, page_of(berlin))
    assert "Record c-ann city: Berlin" in page.text
    assert [link for link in links(page) if "/record/" in link and link.endswith("/change/")]


def objects(page: Page) -> set[str]:
    return {city for city in ("Hamburg", "Berlin") if city in page.text}


def test_facts_of_a_resource_are_listed_now_and_at_a_time(
    owner: Client, rows: tuple[Fact, Fact]
) -> None:
    hamburg, berlin = rows
    known = hamburg.created_at.astimezone().isoformat()

    def listed(**query: str) -> set[str]:
        return objects(opened(owner, view("resource_facts", resource_id="ann", **query)))

    assert listed() == {"Berlin"}
    assert listed(valid_at="2025-05-01T12:20:29") == {"Hamburg"}
    assert listed(valid_at="2025-05-01T12:20:30") == {"Berlin"}
    assert listed(known_at="2020-01-01T00:00:00") == set()
    assert listed(known_at=known) == {"Hamburg"}
    assert listed(include_superseded="on") == {"Hamburg", "Berlin"}
    resource = links(opened(owner, view("resources", resource_id="ann")))
    assert page_of(berlin) in resource
    assert page_of(hamburg) not in resource


def test_a_time_that_is_none_is_an_error_of_the_form(owner: Client, db: None) -> None:
    for wrong in ("now", "0000-01-01T00:00:00", "2025-13-01T00:00:00"):
        page = opened(owner, view("resource_facts", resource_id="ann", valid_at=wrong))
        assert "Enter a valid date/time." in page.text


def test_pages_follow_each_other(owner: Client, db: None) -> None:
    names = [f"city {number:03}" for number in range(60)]
    facts = [FactInput("Ann", "knows", name, many=True) for name in names]
    engine.facts.remember(resource_id="ann", facts=facts)
    first = opened(owner, view("resource_facts", resource_id="ann"))
    (more,) = (link for link in links(first) if "cursor=" in link)
    second = opened(owner, more)
    assert [name for name in names if name in first.text] == names[:50]
    assert [name for name in names if name in second.text] == names[50:]
    assert not [link for link in links(second) if "cursor=" in link]


def test_a_long_timeline_shows_the_latest_versions(owner: Client, db: None) -> None:
    for number in range(51):
        fact = FactInput("Ann", "lives in", f"city {number:03}")
        (latest,) = engine.facts.remember(resource_id="ann", facts=[fact])
    page = opened(owner, page_of(Fact.objects.get(id=latest.id)))
    assert "city 000" not in page.text
    assert page.text.index("city 001") < page.text.rindex("city 050")
    assert "All versions" in page.text


def test_the_first_and_the_last_time_can_be_shown(owner: Client, settings: Any, db: None) -> None:
    settings.TIME_ZONE = "America/New_York"
    fact = FactInput("Ann", "is", "old", valid_from="0001-01-01T00:00:00Z")
    (old,) = engine.facts.remember(resource_id="ann", facts=[fact])
    assert "Jan. 1, 0001, 00:00:00 UTC" in opened(owner, page_of(Fact.objects.get(id=old.id))).text
    assert "00:00:00 UTC" in opened(owner, view("resource_facts", resource_id="ann")).text


# Actions


def test_a_fact_is_retracted_with_a_reason(owner: Client, rows: tuple[Fact, Fact]) -> None:
    _, berlin = rows
    address = view("retract", berlin.pk)
    assert "stays in the history" in opened(owner, address).text
    assert engine.facts.get_fact(id=berlin.pk).retracted_at is None
    body = {"reason": "A misunderstanding", "at": "2025-06-01T00:00:00"}
    page = owner.post(address, body, follow=True)
    assert "The fact was retracted." in page.content.decode()
    fact = engine.facts.get_fact(id=berlin.pk)
    assert fact.reason == "A misunderstanding"
    assert fact.valid_to == datetime(2025, 5, 31, 22, tzinfo=UTC)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.is_change()) == (str(berlin.pk), True)
    assert "misunderstanding" not in str(entry)
    page = opened(owner, page_of(berlin))
    assert "Reason: A misunderstanding" in page.text
    assert address not in links(page)


def test_a_fact_that_was_never_true_is_listed_as_such(
    owner: Client, rows: tuple[Fact, Fact]
) -> None:
    _, berlin = rows
    engine.facts.retract(id=berlin.pk, at="2020-01-01T00:00:00Z")
    assert "It was never true." in opened(owner, page_of(berlin)).text
    versions = view("resource_facts", resource_id="ann", include_superseded="on")
    assert "Berlin retracted never" in opened(owner, versions).text


def test_a_retraction_at_a_wrong_time_changes_nothing(
    owner: Client, rows: tuple[Fact, Fact]
) -> None:
    _, berlin = rows
    response = owner.post(view("retract", berlin.pk), {"at": "tomorrow"})
    assert "Enter a valid date/time." in response.content.decode()
    response = owner.post(view("retract", berlin.pk), {"reason": "x" * 16_385})
    assert "must have at most 16,384 bytes" in response.content.decode()
    assert engine.facts.get_fact(id=berlin.pk).retracted_at is None
    assert not LogEntry.objects.exists()


def test_a_fact_is_forgotten_with_its_history(owner: Client, rows: tuple[Fact, Fact]) -> None:
    hamburg, berlin = rows
    address = view("forget", hamburg.pk)
    assert "erased for good" in opened(owner, address).text
    response = owner.post(address)
    assert response["Location"] == list_of(Fact)
    for row in (hamburg, berlin):
        with pytest.raises(FactNotFound):
            engine.facts.get_fact(id=row.pk)
    assert LogEntry.objects.get().is_deletion()
    assert owner.get(address).status_code == 404


@pytest.mark.parametrize(("action", "permission"), [("retract", "change"), ("forget", "delete")])
def test_an_action_needs_its_permission(
    rows: tuple[Fact, Fact], action: str, permission: str
) -> None:
    _, berlin = rows
    views = Permission.objects.filter(codename__startswith="view_")
    viewer = signed_in("viewer", views)
    address = view(action, berlin.pk)
    assert address not in links(opened(viewer, page_of(berlin)))
    for send in (viewer.get, viewer.post):
        assert send(address).status_code == 403
    both = views | Permission.objects.filter(codename=f"{permission}_fact")
    assert address in links(opened(signed_in("editor", both), page_of(berlin)))


def test_content_needs_the_permission_to_read_it(onlooker: Client, rows: tuple[Fact, Fact]) -> None:
    hamburg, _ = rows
    assert onlooker.get(view("resource_facts", resource_id="ann")).status_code == 403
    for address in (page_of(hamburg), list_of(Fact), view("resources", resource_id="ann")):
        page = opened(onlooker, address)
        assert objects(page) == set()
        assert "lives in" not in page.text
