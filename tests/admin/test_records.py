"""Entities, their records by filter, and their changes."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mastra_engine import engine, sync
from mastra_engine.models import Entity, Record, SyncRun
from mastra_engine.registry import registry
from mastra_engine.testing.hostile import TOO_DEEP_FILTERS, UNFIT_FILTERS
from tests.admin.conftest import page_of, view
from tests.admin.html import Page
from tests.admin.store import SECRET


@pytest.fixture
def tickets(db: None) -> Entity:
    records = [
        {"external_id": f"T-{i:03}", "data": {"n": i, "state": "open" if i % 2 else "closed"}}
        for i in range(120)
    ]
    synced = engine.sync_records(name="Tickets", connection_id="desk", records=records)
    return Entity.objects.get(id=synced.entity.id)


def listed(client: Client, entity: Entity, **query: Any) -> list[str]:
    answer = client.get(page_of(entity), query)
    assert answer.status_code == 200
    return re.findall(r"<bdi>(T-\d+)</bdi>", answer.content.decode())


def test_records_come_in_pages(owner: Client, tickets: Entity) -> None:
    seen: list[str] = []
    query: str | None = ""
    while query is not None:
        text = owner.get(f"{page_of(tickets)}?{query}").content.decode()
        seen += re.findall(r"<bdi>(T-\d+)</bdi>", text)
        more = re.search(r'href="\?([^"]*cursor[^"]*)">More<', text)
        query = more[1].replace("&amp;", "&") if more else None
    assert seen == [f"T-{i:03}" for i in range(120)]


def test_records_are_filtered_and_sorted_in_the_engines_language(
    owner: Client, tickets: Entity
) -> None:
    mongo = json.dumps({"state": "open", "n": {"$gte": 110}})
    assert listed(owner, tickets, filter=mongo) == ["T-111", "T-113", "T-115", "T-117", "T-119"]
    listing = json.dumps([{"field": "n", "operator": "lt", "value": 3}])
    assert listed(owner, tickets, filter=listing, sort="-n") == ["T-002", "T-001", "T-000"]


def test_a_filter_goes_along_to_the_next_page(owner: Client, tickets: Entity) -> None:
    query = {"filter": '{"state": "open"}', "sort": "-n"}
    text = owner.get(page_of(tickets), query).content.decode()
    more = re.search(r'href="\?([^"]*cursor[^"]*)">More<', text)
    assert more
    rest = owner.get(f"{page_of(tickets)}?{more[1].replace('&amp;', '&')}").content.decode()
    assert re.findall(r"<bdi>(T-\d+)</bdi>", rest) == [f"T-{i:03}" for i in range(19, 0, -2)]


#: JSON has no keys but text.
FIT_AS_JSON = {"number as a field"}


def written(filter: Any) -> str | None:
    """Return a filter as JSON text, or None if JSON cannot express it."""
    try:
        matches = json.dumps(filter)
    except (TypeError, ValueError, RecursionError):
        return None
    return matches if len(matches) < 4_000 else None


@pytest.mark.parametrize(
    "filter",
    [
        *(
            pytest.param(text, id=case.name)
            for case in [*UNFIT_FILTERS, *TOO_DEEP_FILTERS]
            if case.name not in FIT_AS_JSON and (text := written(case.value))
        ),
        *("{", "nonsense", "[" * 4_000, "1" * 5_000, '{"a": NaN}', "{'a': 1}", "\0", "[[1]]"),
    ],
)
def test_an_invalid_filter_is_explained(owner: Client, tickets: Entity, filter: str) -> None:
    answer = owner.get(page_of(tickets), {"filter": filter})
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "errorlist" in text
    assert "T-000" not in text


@pytest.mark.parametrize("query", [{"sort": "a..b"}, {"sort": "-"}, {"cursor": "x"}])
def test_an_invalid_sort_or_cursor_is_explained(
    owner: Client, tickets: Entity, query: dict[str, str]
) -> None:
    assert "errorlist" in owner.get(page_of(tickets), query).content.decode()


def test_onlookers_may_not_filter_by_content(onlooker: Client, tickets: Entity) -> None:
    everything = [f"T-{i:03}" for i in range(50)]
    assert listed(onlooker, tickets, filter='{"n": 7}', sort="-n") == everything
    text = onlooker.get(page_of(tickets)).content.decode()
    assert "state" not in text.replace("stateitem", "")


def test_the_latest_changes_come_first(owner: Client, tickets: Entity) -> None:
    engine.delete_records(entity_id=tickets.id, external_ids=["T-005"])
    engine.upsert_records(
        entity_id=tickets.id, records=[{"external_id": "T-006", "data": {"n": 0}}]
    )
    text = owner.get(view("changes", tickets.pk)).content.decode()
    matches = re.findall(r"<td>(added|updated|deleted)</td>\s*<td><a[^>]*><bdi>(T-\d+)", text)
    assert matches[-2:] == [("deleted", "T-005"), ("updated", "T-006")]
    assert "Earlier changes" in text


def test_changes_lead_from_the_first_to_the_last(owner: Client, tickets: Entity) -> None:
    seen: list[str] = []
    query: str | None = "after=0"
    while query is not None:
        text = owner.get(f"{view('changes', tickets.pk)}?{query}").content.decode()
        seen += re.findall(r"<bdi>(T-\d+)</bdi>", text)
        later = re.search(r'href="\?(after=\d+)">Later', text)
        query = later[1] if later else None
    assert sorted(seen) == [f"T-{i:03}" for i in range(120)]


def test_changes_lead_on_where_numbers_are_grouped(
    owner: Client, tickets: Entity, settings: Any
) -> None:
    settings.LANGUAGE_CODE, settings.USE_THOUSAND_SEPARATOR = "de", True
    several = [{"external_id": f"T-{i}", "data": {}} for i in range(1_000, 2_000)]
    engine.upsert_records(entity_id=tickets.id, records=several)
    text = owner.get(view("changes", tickets.pk, after=1_010)).content.decode()
    addresses = re.findall(r'href="\?(after=[^"]*)">(Frühere|Spätere)', text)
    assert [label for _, label in addresses] == ["Frühere", "Spätere"]
    for query, _ in addresses:
        assert owner.get(f"{view('changes', tickets.pk)}?{query}").status_code == 200


def test_purged_changes_are_reported_as_purged(owner: Client, tickets: Entity) -> None:
    engine.delete_records(entity_id=tickets.id, external_ids=["T-005"])
    engine.purge_deleted_records(entity_id=tickets.id, up_to_rev=121)
    text = owner.get(view("changes", tickets.pk)).content.decode()
    assert "Deletions up to revision 121 were purged" in text
    assert owner.get(view("changes", tickets.pk, after=3)).status_code == 409


def test_a_record_leads_to_the_run_that_wrote_it(owner: Client, store: dict[str, Any]) -> None:
    run = SyncRun.objects.get()
    assert page_of(run) in owner.get(page_of(store["record"])).content.decode()
    engine.upsert_records(
        entity_id=run.entity_id, records=[{"external_id": "mine", "data": {"by": "hand"}}]
    )
    mine = Record.objects.get(external_id="mine")
    assert page_of(run) not in owner.get(page_of(mine)).content.decode()


def test_deleting_an_entity_goes_through_the_engine(owner: Client, store: dict[str, Any]) -> None:
    entity = store["entity"]
    address = view("entity_delete", entity.pk)
    assert SECRET not in owner.get(address).content.decode()
    owner.post(address)
    assert not Entity.objects.exists()
    assert not Record.objects.exists()


def test_a_record_has_a_history_with_its_runs(owner: Client, db: None) -> None:
    with registry.empty():
        sync(entity="Contacts", name="contacts")(lambda ctx: [{"external_id": "c", "data": {}}])
        run = engine.run_sync("contacts", connection_id="crm")
    page = owner.get(page_of(Record.objects.get())).content.decode()
    assert page.count('<th scope="row">Created</th>') == 1
    assert page_of(SyncRun.objects.get(id=run.id)) in page
    assert "Last updated" not in page
    engine.upsert_records(
        entity_id=run.entity_id, records=[{"external_id": "c", "data": {"new": True}}]
    )
    assert "Last updated" in owner.get(page_of(Record.objects.get())).content.decode()
    engine.delete_records(entity_id=run.entity_id, external_ids=["c"])
    page = owner.get(page_of(Record.objects.get())).content.decode()
    assert '<th scope="row">Deleted</th>' in page
    assert page.count(page_of(SyncRun.objects.get(id=run.id))) == 1


def changed(client: Client, **query: Any) -> Page:
    answer = client.get(view("changed_records", **query))
    assert answer.status_code == 200
    return Page(answer.content.decode())


def test_the_changes_of_a_day_are_listed(owner: Client, db: None) -> None:
    engine.sync_records(
        name="Contacts",
        connection_id="crm",
        records=[{"external_id": f"c{i}", "data": {}} for i in range(3)],
    )
    for connection, id in (("crm", "d1"), ("other", "o1")):
        engine.sync_records(
            name="Deals", connection_id=connection, records=[{"external_id": id, "data": {}}]
        )
    yesterday = timezone.now() - timedelta(days=1)
    Record.objects.filter(external_id__in=["c0", "c1"]).update(updated_at=yesterday)
    page = changed(owner, connection_id="crm", day=timezone.localdate(yesterday).isoformat())
    assert [id for id in ("c0", "c1", "c2", "d1", "o1") if id in page.text] == ["c0", "c1"]
    assert changed(owner, connection_id="crm").text == page.text  # yesterday is asked for first
    page = changed(owner, connection_id="crm", day=timezone.localdate().isoformat())
    assert [id for id in ("c0", "c1", "c2", "d1", "o1") if id in page.text] == ["c2", "d1"]
    assert "added" in page.text


def test_connections_lead_to_their_changes(owner: Client, store: dict[str, Any]) -> None:
    page = changed(owner)
    yesterday = (timezone.localdate() - timedelta(days=1)).isoformat()
    hrefs = [element.attributes.get("href", "") for element in page.elements]
    assert f"?connection_id=crm-1&day={yesterday}" in hrefs


@pytest.mark.parametrize(
    "query",
    [
        {"connection_id": "crm-1", "day": "yesterday"},
        {"connection_id": "crm-1", "day": "9999-12-31"},
        {"connection_id": "crm-1", "day": "0001-01-01"},
        {"connection_id": "crm-1", "day": "2026-02-30"},
        {"connection_id": "\0", "day": "2026-02-01"},
        {"connection_id": "unknown", "day": "2026-02-01"},
        {"day": "x"},
    ],
)
def test_wrong_days_and_connections_are_explained(
    owner: Client, store: dict[str, Any], query: dict[str, str]
) -> None:
    changed(owner, **query)
