"""Erasing a resource after a preview, and its export."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Permission
from django.test import Client

from mastra_engine import PostgresEngine, engine
from mastra_engine.admin import paging
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import Thread
from mastra_engine.types import Erasure
from tests.admin.conftest import signed_in, view
from tests.admin.html import Page
from tests.admin.store import SECRET
from tests.integration.queries import statements


def amounts(client: Client, resource_id: str) -> dict[str, str]:
    answer = client.get(view("erasure", resource_id=resource_id))
    assert answer.status_code == 200
    facts = re.findall(r"<dt>([^<]*)</dt><dd>(?:<bdi>)?([^<]*)", answer.content.decode())
    return {label.lower().replace(" ", "_"): number for label, number in facts}


def shown_messages(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_the_preview_counts_what_an_erasure_deletes(owner: Client, store: dict[str, Any]) -> None:
    expected = engine.erase(resource_id="ann", dry_run=True)
    seen = amounts(owner, "ann")
    assert seen == {noun: str(getattr(expected, noun)) for noun in seen}
    assert seen["messages"] == "4"
    assert seen["facts"] == "1"
    assert set(amounts(owner, "unknown").values()) == {"0"}


def test_the_preview_is_bounded(
    owner: Client, store: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "COUNTED", 3)
    assert amounts(owner, "ann")["messages"] == "more than 3"
    sent = statements(lambda: amounts(owner, "ann"))
    assert all("LIMIT 4" in sql for sql in sent if "COUNT(" in sql)


def test_a_resource_is_erased_when_its_id_is_typed(owner: Client, store: dict[str, Any]) -> None:
    page = owner.get(view("resources", resource_id="ann")).content.decode()
    assert view("erasure", resource_id="ann") in page
    form = {"resource_id": "ann", "confirmation": "anne"}
    answer = owner.post(view("erase"), form, follow=True)
    assert "Nothing was erased" in shown_messages(answer)
    assert Thread.objects.filter(resource_id="ann").exists()
    assert not LogEntry.objects.exists()

    answer = owner.post(view("erase"), {**form, "confirmation": "ann"}, follow=True)
    assert "The resource was erased (threads: 1, messages: 4" in shown_messages(answer)
    assert engine.erase(resource_id="ann", dry_run=True) == Erasure()
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id, entry.object_repr) == (
        DELETION,
        "ann",
        "Resource ann",
    )
    assert SECRET not in entry.change_message
    answer = owner.post(view("erase"), {**form, "confirmation": "ann"}, follow=True)
    assert "Nothing was stored of the resource." in shown_messages(answer)


def test_an_erasure_that_fails_is_explained(
    owner: Client, store: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, **_: Any) -> None:
        raise Unavailable("The data is being written at the same time; erase it again")

    monkeypatch.setattr(PostgresEngine, "erase", fail)
    form = {"resource_id": "ann", "confirmation": "ann"}
    answer = owner.post(view("erase"), form, follow=True)
    assert "erase it again" in shown_messages(answer)
    assert not LogEntry.objects.exists()


def test_everything_of_a_resource_is_downloaded(owner: Client, store: dict[str, Any]) -> None:
    page = owner.get(view("resources", resource_id="ann")).content.decode()
    address = view("export", resource_id="ann")
    assert address in page
    assert owner.get(address).status_code == 200
    answer = owner.post(address, {"resource_id": "ann"})
    assert answer.streaming
    assert answer["Content-Disposition"] == 'attachment; filename="ann.jsonl"'
    lines = b"".join(answer).decode().splitlines()
    assert lines == list(engine.export_resource(resource_id="ann"))
    assert {"thread", "message", "fact"} < {json.loads(line)["kind"] for line in lines}
    entry = LogEntry.objects.get()
    assert (entry.action_flag, entry.object_id, entry.change_message) == (
        CHANGE,
        "ann",
        "Exported.",
    )


@pytest.mark.parametrize("resource_id", ['a"b', "a\r\nb", "ä/ö", "x" * 500, "<script>"])
def test_ids_of_any_kind(owner: Client, db: None, resource_id: str) -> None:
    engine.memory.create_thread(resource_id=resource_id)
    for name in ("erasure", "export", "resources"):
        page = owner.get(view(name, resource_id=resource_id))
        assert page.status_code == 200, name
        assert list(Page(page.content.decode()).faults()) == []
    answer = owner.post(view("export"), {"resource_id": resource_id})
    assert len(b"".join(answer).splitlines()) == 1


@pytest.mark.parametrize("resource_id", ["", "\0"])
def test_an_id_that_is_none_is_explained(owner: Client, db: None, resource_id: str) -> None:
    assert owner.get(view("erasure", resource_id=resource_id)).status_code == 400
    assert owner.get(view("export", resource_id=resource_id)).status_code == 400
    for name in ("erase", "export"):
        answer = owner.post(view(name), {"resource_id": resource_id, "confirmation": resource_id})
        assert answer.status_code == 400


def test_an_onlooker_sees_the_preview_only(onlooker: Client, store: dict[str, Any]) -> None:
    answer = onlooker.get(view("erasure", resource_id="ann"))
    assert "You do not have the permissions to delete all of it." in answer.content.decode()
    form = {"resource_id": "ann", "confirmation": "ann"}
    assert onlooker.post(view("erase"), form).status_code == 403
    assert onlooker.post(view("export"), form).status_code == 403
    assert view("export") not in onlooker.get(view("resources", resource_id="ann")).content.decode()


@pytest.mark.parametrize("missing", ["delete_message", "delete_fact", "delete_stateitem"])
def test_an_erasure_needs_every_permission_to_delete(store: dict[str, Any], missing: str) -> None:
    deletes = Permission.objects.filter(codename__regex="^(view|delete)_")
    cleaner = signed_in("cleaner", deletes.exclude(codename=missing))
    form = {"resource_id": "ann", "confirmation": "ann"}
    assert cleaner.post(view("erase"), form).status_code == 403
    assert Thread.objects.filter(resource_id="ann").exists()
    assert signed_in("eraser", deletes).post(view("erase"), form).status_code == 302
    assert not Thread.objects.filter(resource_id="ann").exists()


@pytest.mark.parametrize("missing", ["read_content", "view_fact", "view_message"])
def test_an_export_needs_every_permission_to_read(store: dict[str, Any], missing: str) -> None:
    reads = Permission.objects.filter(codename__regex="^(view_|read_content)")
    reader = signed_in("reader", reads.exclude(codename=missing))
    assert reader.post(view("export"), {"resource_id": "ann"}).status_code == 403
    assert signed_in("full", reads).post(view("export"), {"resource_id": "ann"}).status_code == 200
