"""Filters of lists."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from mastra_engine import engine
from mastra_engine.admin import filters, reading
from mastra_engine.admin.filters import on_day_of
from mastra_engine.models import Entity, Message, Record, Thread
from tests.admin.conftest import list_of
from tests.integration.queries import statements


def listed(client: Client, address: str) -> list[Any]:
    answer = client.get(address)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def choices(client: Client, model: Any, title: str) -> dict[str, str]:
    """Return the query strings of the choices of a filter, by their labels."""
    cl = client.get(list_of(model)).context["cl"]
    (spec,) = (spec for spec in cl.filter_specs if spec.title == title)
    return {str(one["display"]): one["query_string"] for one in spec.choices(cl)}


def test_messages_are_filtered_by_role(owner: Client, store: dict[str, Any]) -> None:
    for role in ("user", "assistant", "tool", "system"):
        rows = listed(owner, list_of(Message, role=role))
        assert {row.role for row in rows} <= {role}
        assert len(rows) == Message.objects.filter(role=role).count()


def test_a_role_is_searched_in_the_newest_messages_of_a_large_table(
    owner: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.memory.create_thread(resource_id="ann", thread_id="t")
    roles = ["system", "user", "system", "user", "user"]
    messages = [{"role": role, "content": "Hello"} for role in roles]
    first, *_, third, _, _ = engine.memory.save_memory(thread_id="t", messages=messages)
    monkeypatch.setattr(filters, "LATEST", 3)
    found = listed(owner, list_of(Message, role="system"))
    assert [row.id for row in found] == [third.id, first.id]
    monkeypatch.setattr(reading, "SORTED", -1)
    assert "system" in "".join(choices(owner, Message, "role, of the newest 3").values())
    found = listed(owner, list_of(Message, role="system"))
    assert [row.id for row in found] == [third.id]
    for narrower in ({"thread__id__exact": "t"}, {"q": "Hello"}):
        found = listed(owner, list_of(Message, role="system", **narrower))
        assert {row.id for row in found} == {first.id, third.id}
    monkeypatch.setattr(filters, "LATEST", 100)  # the table has fewer
    assert len(listed(owner, list_of(Message, role="system"))) == 2


@pytest.fixture
def many_messages(db: None) -> int:
    """Store 10,000 messages, and return the number of pages of their table."""
    engine.memory.create_thread(resource_id="ann", thread_id="t")
    for _ in range(20):
        messages = [{"role": "user", "content": "It is a long story. " * 9}] * 500
        engine.memory.save_memory(thread_id="t", messages=messages)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE mastra_engine_message")
        cursor.execute("SELECT pg_relation_size('mastra_engine_message') / 8192")
        (pages,) = cursor.fetchone()
        cursor.execute("SELECT brin_summarize_new_values('mastra_engine_message_days')")
    return int(pages)


def test_a_day_without_messages_is_no_scan_of_the_table(owner: Client, many_messages: int) -> None:
    empty_day = on_day_of(timezone.now() - timedelta(days=9_000), "created_at")
    sent = statements(lambda: owner.get(list_of(Message, **empty_day)))
    listing = [sql for sql in sent if '"created_at" >= ' in sql]
    assert len(listing) == 2  # the count and the page
    assert many_messages > 200
    assert max(map(buffers, listing)) < 50


def test_a_role_that_no_message_has_is_no_scan_of_the_table(
    owner: Client, many_messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SORTED", 1_000)
    monkeypatch.setattr(filters, "LATEST", 200)
    sent = statements(lambda: owner.get(list_of(Message, role="system")))
    listing = [sql for sql in sent if "\"role\" = 'system'" in sql]
    assert len(listing) == 2
    assert max(map(buffers, listing)) < many_messages / 4


def buffers(sql: str) -> int:
    """Run a statement, and return the number of pages that it read."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")
        ((explained,),) = cursor.fetchall()
    plan = (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize(("days", "label"), [(0, "Today"), (1, "Yesterday"), (3, "Past 7 days")])
def test_messages_are_filtered_by_day(
    owner: Client, store: dict[str, Any], days: int, label: str
) -> None:
    message = Message.objects.order_by("pk")[0]
    Message.objects.exclude(pk=message.pk).update(created_at=timezone.now() - timedelta(days=90))
    Message.objects.filter(pk=message.pk).update(created_at=timezone.now() - timedelta(days=days))
    query = choices(owner, Message, "created at")[label]
    rows = listed(owner, list_of(Message, **{k: v[0] for k, v in parse_qs(query[1:]).items()}))
    assert rows == [message]


@pytest.mark.parametrize("name", ["created_at__gte", "created_at__lt"])
@pytest.mark.parametrize("value", ["nonsense", "", "2026-13-45", "\u202e"])
def test_a_wrong_filter_is_reported(
    owner: Client, store: dict[str, Any], name: str, value: str
) -> None:
    answer = owner.get(list_of(Message, **{name: value}), follow=True)
    assert answer.status_code == 200
    assert "filter that is not valid" in answer.content.decode()


@pytest.fixture
def two_connections(db: None) -> None:
    for connection_id in ("a", "b"):
        for name in ("Contacts", "Tickets"):
            records = [{"external_id": f"{connection_id}-{name}", "data": {"n": 1}}]
            engine.sync_records(name=name, connection_id=connection_id, records=records)
        engine.memory.create_thread(thread_id=f"t-{connection_id}", resource_id=connection_id)


def test_entities_and_records_are_filtered_by_click(owner: Client, two_connections: None) -> None:
    by_connection = choices(owner, Entity, "connection")
    assert list(by_connection) == ["All", "a", "b"]
    of_a = listed(owner, list_of(Entity) + by_connection["a"])
    assert {(row.connection_id, row.name) for row in of_a} == {("a", "Contacts"), ("a", "Tickets")}
    by_entity = choices(owner, Record, "entity")
    assert len(by_entity) == 5
    (record,) = listed(owner, list_of(Record) + by_entity["Tickets (b)"])
    assert record.external_id == "b-Tickets"
    by_resource = choices(owner, Thread, "resource")
    (thread,) = listed(owner, list_of(Thread) + by_resource["b"])
    assert thread.pk == "t-b"


def test_a_filter_with_many_values_offers_only_the_one_of_the_address(
    owner: Client, two_connections: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "FEW", 1)
    specs = owner.get(list_of(Entity)).context["cl"].filter_specs
    assert [spec.title for spec in specs] == []
    answer = owner.get(list_of(Entity, connection_id__exact="b"))
    (spec,) = answer.context["cl"].filter_specs
    assert [str(one["display"]) for one in spec.choices(answer.context["cl"])] == ["All", "b"]
    assert {row.connection_id for row in answer.context["cl"].result_list} == {"b"}


def test_a_filter_by_no_entity_is_reported(owner: Client, two_connections: None) -> None:
    answer = owner.get(list_of(Record, entity__id__exact="nonsense"), follow=True)
    assert answer.status_code == 200
    assert "filter that is not valid" in answer.content.decode()


def test_small_tables_are_sorted_by_any_column_and_large_ones_by_an_index(
    owner: Client, two_connections: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [row.name for row in listed(owner, list_of(Entity, o="-0"))]
    assert names == ["Tickets", "Tickets", "Contacts", "Contacts"]
    headers = 'class="sortable column-'
    assert owner.get(list_of(Entity)).content.decode().count(headers) == 4
    monkeypatch.setattr(reading, "SORTED", -1)
    assert owner.get(list_of(Entity)).content.decode().count(headers) == 1
    in_order = [row.pk for row in listed(owner, list_of(Entity))]
    for column in range(4):
        order = owner.get(list_of(Entity, o=column)).context["cl"].queryset.query.order_by
        assert ({"name", "rev", "updated_at"} & {*order}) == set()
        assert ("connection_id" in order) == (column == 1)
    assert [row.pk for row in listed(owner, list_of(Entity, o="-0"))] == in_order


def test_rows_are_sorted_by_their_names_for_who_may_read_them(
    owner: Client, onlooker: Client, two_connections: None
) -> None:
    for number, title in enumerate(["Travel", "Invoices", "Weather"]):
        engine.memory.create_thread(resource_id="ann", thread_id=f"t-{number}", title=title)
    titles = ["Invoices", "Travel", "Weather"]
    assert [row.title for row in listed(owner, list_of(Thread, o="0"))][-3:] == titles
    order = onlooker.get(list_of(Thread, o="0")).context["cl"].queryset.query.order_by
    assert not any("title" in column for column in order)
    records = [row.external_id for row in listed(owner, list_of(Record, o="-0"))]
    assert records == sorted(records, reverse=True)
