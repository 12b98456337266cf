"""Downloads of records: CSV and JSON Lines."""

from __future__ import annotations

import csv
import json
import tracemalloc
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import AsyncClient, Client
from django.utils import timezone
from django.utils.http import urlencode
from hypothesis import given
from hypothesis import strategies as st

from mastra_engine import engine
from mastra_engine.admin import records as records_admin
from mastra_engine.admin.downloads import csv_lines
from mastra_engine.exceptions import EntityNotFound, Unavailable
from mastra_engine.models import Entity, Record
from mastra_engine.types import Page
from mastra_engine.types import Record as RecordValue
from tests.admin.conftest import page_of, signed_in, view

NOW = timezone.now()
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x")']


@pytest.fixture
def tickets(db: None) -> Entity:
    records = [
        {"external_id": f"T-{i:03}", "data": {"n": i, "state": "open" if i % 2 else "closed"}}
        for i in range(25)
    ]
    synced = engine.sync_records(name="Tickets", connection_id="desk", records=records)
    return Entity.objects.get(id=synced.entity.id)


def download(client: Client, entity: Entity, **query: Any) -> Any:
    return client.get(f"{view('download', entity.pk)}?{urlencode(query, doseq=True)}")


def body(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return b"".join(answer.streaming_content).decode()


def rows(answer: Any) -> list[list[str]]:
    return list(csv.reader(StringIO(body(answer), newline="")))


def test_all_records_are_downloaded_page_by_page(
    owner: Client, tickets: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_admin, "DOWNLOADED", 10)
    header, *lines = rows(download(owner, tickets, format="csv"))
    assert header == ["external_id", "n", "state", "rev", "created_at", "updated_at"]
    assert [line[:3] for line in lines[:2]] == [["T-000", "0", "closed"], ["T-001", "1", "open"]]
    assert len(lines) == 25
    whole = body(download(owner, tickets, format="jsonl"))
    values = [json.loads(line) for line in whole.splitlines()]
    assert [value["external_id"] for value in values] == [f"T-{i:03}" for i in range(25)]
    assert values[3]["data"] == {"n": 3, "state": "open"}
    assert download(owner, tickets, format="csv")["Content-Disposition"] == (
        'attachment; filename="Tickets.csv"'
    )


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_what_is_filtered_is_downloaded(owner: Client, tickets: Entity, format: str) -> None:
    query = {"filter": '{"state": "open"}', "field": "n", "operator": "lt", "value": "6"}
    text = body(download(owner, tickets, format=format, columns=["n"], sort="-n", **query))
    ids = [part[:5] for part in text.split("T-")[1:]]
    assert [f"T-{id[:3]}" for id in ids] == ["T-001", "T-003", "T-005"]
    assert ("state" in text) == (format == "jsonl")  # lines of JSON have the whole data


def test_a_download_is_logged_without_content(owner: Client, tickets: Entity) -> None:
    body(download(owner, tickets, format="csv", filter='{"state": "open"}'))
    (entry,) = LogEntry.objects.all()
    assert entry.object_id == str(tickets.pk)
    assert entry.get_change_message() == "Downloaded records as CSV."


def test_only_readers_of_content_download(onlooker: Client, tickets: Entity) -> None:
    assert download(onlooker, tickets, format="csv").status_code == 403
    assert "Download" not in onlooker.get(page_of(tickets)).content.decode()
    others = Permission.objects.filter(codename__in=["view_entity", "read_content"])
    assert download(signed_in("other", others), tickets, format="csv").status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("query", [{"filter": "{"}, {"filter": '{"$where": 1}'}, {"field": "a..b"}])
def test_a_wrong_filter_leads_to_the_page_that_explains_it(
    owner: Client, tickets: Entity, query: dict[str, str]
) -> None:
    answer = download(owner, tickets, format="csv", **query)
    assert answer.status_code == 302
    assert "errorlist" in owner.get(answer["Location"]).content.decode()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("format", ["", "xlsx", "\u202e"])
def test_an_unknown_format_is_refused(owner: Client, tickets: Entity, format: str) -> None:
    answer = download(owner, tickets, format=format)
    assert answer.status_code == 400
    assert "csv" in answer.content.decode()


def test_an_entity_that_is_deleted_meanwhile_breaks_the_transfer_off(
    owner: Client, tickets: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_admin, "DOWNLOADED", 10)
    answer = download(owner, tickets, format="csv")
    engine.delete_entity_by_id(id=tickets.id)
    with pytest.raises(EntityNotFound):
        body(answer)
    assert download(owner, tickets, format="csv").status_code == 404


def slowly(execute: Any, sql: str, *args: Any) -> Any:
    """Make a statement that reads records take half a minute."""
    live = "deleted_at IS NULL"
    return execute(sql.replace(live, f"{live} AND (SELECT pg_sleep(30)) IS NOT NULL"), *args)


def test_a_page_that_takes_too_long_is_reported_or_breaks_the_transfer_off(
    owner: Client, tickets: Entity, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MASTRA_ENGINE_ADMIN = {"STATEMENT_TIMEOUT": 0.1}
    with connection.execute_wrapper(slowly):
        answer = download(owner, tickets, format="csv")
    assert answer.status_code == 503
    assert "longer than the limit" in answer.content.decode()
    assert not LogEntry.objects.exists()
    monkeypatch.setattr(records_admin, "DOWNLOADED", 10)
    answer = download(owner, tickets, format="csv")
    with connection.execute_wrapper(slowly), pytest.raises(Unavailable):
        body(answer)


@pytest.mark.django_db(transaction=True)
def test_a_download_is_streamed_under_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records_admin, "DOWNLOADED", 10)
    records = [{"external_id": f"T-{i:03}", "data": {"n": i}} for i in range(25)]
    synced = engine.sync_records(name="Tickets", connection_id="desk", records=records)
    owner = User.objects.create_superuser("owner")

    async def read() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(owner)
        answer = await client.get(f"{view('download', synced.entity.id)}?format=jsonl")
        return [block async for block in answer]  # type: ignore[attr-defined]

    blocks = async_to_sync(read)()
    assert [len(block.splitlines()) for block in blocks] == [10, 10, 5]


def test_the_memory_of_a_download_is_that_of_a_page(
    owner: Client, tickets: Entity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peak(**query: str) -> int:
        answer = download(owner, tickets, format="jsonl", **query)
        tracemalloc.start()
        total = sum(len(block) for block in answer.streaming_content)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total > 1_000_000
        return most

    monkeypatch.setattr(records_admin, "DOWNLOADED", 1)
    Record.objects.update(data={"long": "x" * 500_000})
    assert peak() < 1.2 * peak(filter='{"@external_id": {"$lt": "T-005"}}')


@given(st.sampled_from(FORMULAS) | st.text(), st.sampled_from(FORMULAS) | st.text())
def test_no_cell_is_a_formula(id: str, text: str) -> None:
    record = RecordValue(
        id=UUID(int=1),
        entity_id=UUID(int=2),
        entity_type="Odd",
        external_id=id,
        data={text: text, "nested": [text], "number": -5},
        rev=1,
        created_at=NOW,
        updated_at=NOW,
        deleted_at=None,
    )
    table = b"".join(csv_lines([Page([record])], [text, "nested", "number"]))
    header, line = csv.reader(StringIO(table.decode(errors="replace"), newline=""))
    for cell in (*header, *line[:3]):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert line[3] == "-5"
