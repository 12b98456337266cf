"""Sync runs: their state, retries and cancellation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from mastra_engine import engine, sync
from mastra_engine.admin.sync_runs import LATEST
from mastra_engine.models import Sync, SyncPage, SyncRun
from mastra_engine.registry import registry
from tests.admin.conftest import list_of, page_of, signed_in, view


@pytest.fixture
def contacts(db: None) -> Iterator[list[Exception]]:
    """Declare a sync that raises the errors of the returned list, one per run."""
    errors: list[Exception] = []
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            yield {"external_id": "c1", "data": {"n": 1}}
            ctx.progress(1, 4)
            ctx.save_checkpoint({"page": 1})
            yield {"external_id": "c2", "data": {"n": 2}}
            if errors:
                raise errors.pop()

        yield errors


@pytest.fixture
def failed(contacts: list[Exception]) -> SyncRun:
    contacts.append(ConnectionError("The source said secret-token-17"))
    run = engine.run_sync("contacts", connection_id="crm-1")
    return SyncRun.objects.get(id=run.id)


@pytest.fixture
def queued(contacts: list[Exception]) -> SyncRun:
    """Return a run that no worker has started."""
    run = engine.run_sync("contacts", connection_id="crm-1")
    SyncRun.objects.filter(id=run.id).update(status="queued", finished_at=None)
    return SyncRun.objects.get(id=run.id)


def test_a_run_shows_its_counts_and_why_it_failed(owner: Client, failed: SyncRun) -> None:
    text = owner.get(page_of(failed)).content.decode()
    for part in ("failed", "ConnectionError", "secret-token-17", "1 of", "created"):
        assert part in text or part.capitalize() in text, part
    assert "data-live" not in text


def test_an_onlooker_sees_the_type_of_an_error_but_not_its_message(
    onlooker: Client, failed: SyncRun
) -> None:
    text = onlooker.get(page_of(failed)).content.decode()
    assert "ConnectionError" in text
    assert "secret-token-17" not in text


def test_the_page_of_an_active_run_is_reloaded(owner: Client, queued: SyncRun) -> None:
    page = owner.get(page_of(queued)).content.decode()
    live = re.search(r'data-live="([^"]+)"', page)
    assert live
    part = owner.get(live[1]).content.decode()
    assert part.lstrip().startswith("<section")
    assert live[1] in part
    SyncRun.objects.filter(id=queued.id).update(status="succeeded")
    assert "data-live" not in owner.get(live[1]).content.decode()


def test_a_retry_is_confirmed_and_goes_through_the_engine(
    owner: Client, failed: SyncRun, django_capture_on_commit_callbacks: Any
) -> None:
    address = view("retry", failed.pk)
    assert address in owner.get(page_of(failed)).content.decode()
    assert owner.get(address).status_code == 200
    assert SyncRun.objects.get().status == "failed"
    with django_capture_on_commit_callbacks(execute=True):
        answer = owner.post(address, follow=True)
    assert "The run was queued again." in answer.content.decode()
    again = SyncRun.objects.get()
    assert (again.status, again.attempts) == ("succeeded", 2)


def test_a_refused_retry_is_explained(owner: Client, contacts: list[Exception]) -> None:
    run = engine.run_sync("contacts", connection_id="crm-1")
    answer = owner.post(view("retry", run.id), follow=True)
    assert answer.status_code == 200
    assert "succeeded" in "".join(str(message) for message in answer.context["messages"])


def test_a_retry_of_an_undeclared_sync_is_explained(owner: Client, failed: SyncRun) -> None:
    with registry.empty():
        answer = owner.post(view("retry", failed.pk), follow=True)
    assert "unknown sync" in "".join(str(message) for message in answer.context["messages"])


def test_cancelling(owner: Client, queued: SyncRun) -> None:
    assert view("cancel", queued.pk) in owner.get(page_of(queued)).content.decode()
    owner.post(view("cancel", queued.pk))
    assert SyncRun.objects.get().status == "cancelled"


def test_the_admin_log_has_the_user_and_no_content(owner: Client, failed: SyncRun) -> None:
    owner.post(view("retry", failed.pk))
    entry = LogEntry.objects.get()
    assert entry.user.get_username() == "owner"
    assert entry.object_repr == f"Sync run {failed.pk}"
    assert entry.get_change_message() == "The run was queued again."


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_actions_need_the_permission_to_change(
    onlooker: Client, failed: SyncRun, action: str
) -> None:
    assert onlooker.get(view(action, failed.pk)).status_code == 403
    assert onlooker.post(view(action, failed.pk)).status_code == 403
    assert view(action, failed.pk) not in onlooker.get(page_of(failed)).content.decode()
    changer = signed_in("changer", Permission.objects.filter(codename__endswith="_syncrun"))
    assert changer.get(view(action, failed.pk)).status_code == 200


@pytest.mark.parametrize("action", ["retry", "cancel"])
def test_a_forged_request_does_nothing(owner: Client, failed: SyncRun, action: str) -> None:
    forger = Client(enforce_csrf_checks=True)
    forger.cookies = owner.cookies
    assert forger.post(view(action, failed.pk)).status_code == 403
    assert SyncRun.objects.get().status == "failed"


def test_runs_are_listed_by_status(owner: Client, failed: SyncRun) -> None:
    assert str(failed.pk) in owner.get(list_of(SyncRun, status="failed")).content.decode()
    assert str(failed.pk) not in owner.get(list_of(SyncRun, status="queued")).content.decode()


def test_a_run_shows_its_latest_pages_and_leads_to_all(
    owner: Client, contacts: list[Exception]
) -> None:
    pages = [[{"external_id": str(i), "data": {}}] for i in range(LATEST + 2)]
    with registry.empty():
        sync(entity="Contacts", name="many")(lambda ctx: pages)
        run = engine.run_sync("many", connection_id="crm-1")
    text = owner.get(page_of(SyncRun.objects.get(id=run.id))).content.decode()
    newest = SyncPage.objects.get(run_id=run.id, number=LATEST + 2)
    oldest = SyncPage.objects.get(run_id=run.id, number=1)
    assert page_of(newest) in text
    assert page_of(oldest) not in text
    address = list_of(SyncPage, run__id__exact=run.id)
    assert address in text
    for page in (newest, oldest):
        assert page_of(page) in owner.get(address).content.decode()


def test_a_run_shows_durations_and_its_log(owner: Client, db: None) -> None:
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            for number in range(2):
                ctx.log.warning("reading page %d", number)
                yield [{"external_id": str(number), "data": {}}]

        run = engine.run_sync("contacts", connection_id="crm-1")
    began = timezone.now() - timedelta(hours=1)
    SyncRun.objects.update(started_at=began, finished_at=began + timedelta(seconds=83))
    for page, seconds in zip(SyncPage.objects.order_by("number"), (1.5, 80), strict=True):
        SyncPage.objects.filter(pk=page.pk).update(committed_at=began + timedelta(seconds=seconds))
    text = owner.get(page_of(SyncRun.objects.get(id=run.id))).content.decode()
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    for part in ("after 1 min 23 s", "1.5 s", "1 min 18 s", "reading page 0", "WARNING"):
        assert part in text, part


def test_an_onlooker_sees_no_log(onlooker: Client, db: None) -> None:
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.warning("about a person")
            return []

        engine.run_sync("contacts", connection_id="crm-1")
    assert "about a person" not in onlooker.get(page_of(SyncRun.objects.get())).content.decode()


def test_the_list_tells_why_runs_failed(owner: Client, onlooker: Client, failed: SyncRun) -> None:
    text = owner.get(list_of(SyncRun, status="failed")).content.decode()
    assert "ConnectionError: The source said secret-token-17" in text
    text = onlooker.get(list_of(SyncRun, status="failed")).content.decode()
    assert "ConnectionError" in text
    assert "secret-token-17" not in text


# Syncs of connections


def own_sync() -> Sync:
    return Sync.objects.get(sync="contacts", connection_id="crm-1")


def shown_messages(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_a_sync_shows_its_runs(owner: Client, failed: SyncRun) -> None:
    text = owner.get(page_of(own_sync())).content.decode()
    assert page_of(failed) in text
    assert "secret-token-17" in text
    assert "failed" in owner.get(list_of(Sync)).content.decode()
    runs = list_of(SyncRun, sync__exact="contacts", connection_id__exact="crm-1")
    assert runs.replace("&", "&amp;") in text
    assert str(failed.pk) in owner.get(runs).content.decode()


@pytest.mark.parametrize(("action", "resumed_from"), [("start", {"page": 1}), ("rerun", None)])
def test_a_sync_is_started(
    owner: Client,
    contacts: list[Exception],
    action: str,
    resumed_from: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    engine.run_sync("contacts", connection_id="crm-1")
    address = view(action, own_sync().pk)
    assert address in owner.get(page_of(own_sync())).content.decode()
    assert owner.get(address).status_code == 200
    assert SyncRun.objects.count() == 1
    answer = owner.post(address, follow=True)
    assert "The sync was started" in shown_messages(answer)
    run = SyncRun.objects.latest("created_at")
    assert (run.status, run.checkpoint) == ("queued", resumed_from)
    entry = LogEntry.objects.get()
    assert entry.object_id == str(own_sync().pk)


def test_a_start_keeps_the_parameters(owner: Client, contacts: list[Exception]) -> None:
    engine.run_sync("contacts", connection_id="crm-1", params={"since": "May"})
    owner.post(view("start", own_sync().pk))
    assert SyncRun.objects.latest("created_at").params == {"since": "May"}


def test_a_refused_start_is_explained(owner: Client, contacts: list[Exception]) -> None:
    engine.run_sync("contacts", connection_id="crm-1")
    engine.pause_sync("contacts", connection_id="crm-1")
    assert "paused" in shown_messages(owner.post(view("start", own_sync().pk), follow=True))
    with registry.empty():
        answer = owner.post(view("start", own_sync().pk), follow=True)
    assert "unknown sync" in shown_messages(answer)
    key = own_sync().pk
    engine.erase(connection_id="crm-1")
    assert owner.post(view("start", key)).status_code == 404


def test_any_declared_sync_is_started(owner: Client, contacts: list[Exception]) -> None:
    address = view("start_sync")
    assert address in owner.get("/admin/mastra_engine/").content.decode()
    assert "contacts" in owner.get(address).content.decode()
    form = {"sync": "contacts", "connection_id": "crm-9", "params": '{"since": "May"}'}
    answer = owner.post(address, form, follow=True)
    assert "The sync was started." in shown_messages(answer)
    run = SyncRun.objects.get(connection_id="crm-9")
    assert (run.status, run.params) == ("queued", {"since": "May"})
    row = Sync.objects.get(connection_id="crm-9")
    assert answer.request["PATH_INFO"] == page_of(row)
    assert LogEntry.objects.get().object_id == str(row.pk)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sync": "other"}, "other is not one of the available choices"),
        ({"connection_id": ""}, "This field is required"),
        ({"params": "{"}, "Invalid JSON at line 1"),
        ({"params": "[1]"}, "/params"),
    ],
)
def test_a_wrong_start_is_explained(
    owner: Client, contacts: list[Exception], change: dict[str, str], message: str
) -> None:
    answer = owner.post(
        view("start_sync"), {"sync": "contacts", "connection_id": "crm-9", **change}
    )
    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not SyncRun.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("action", ["start", "rerun", "pause", "resume", "reset"])
def test_actions_on_syncs_need_the_permission_to_change(
    onlooker: Client, failed: SyncRun, action: str
) -> None:
    for method in (onlooker.get, onlooker.post):
        assert method(view(action, own_sync().pk)).status_code == 403
        assert method(view("start_sync")).status_code == 403
    assert view(action, own_sync().pk) not in onlooker.get(page_of(own_sync())).content.decode()
    assert view("start_sync") not in onlooker.get("/admin/mastra_engine/").content.decode()


def test_the_runs_that_failed_today_are_listed(owner: Client, failed: SyncRun) -> None:
    def listed(label: str) -> bool:
        page = owner.get(list_of(SyncRun, status="failed")).content.decode()
        links = re.findall(rf'<a href="(\?[^"]*)"[^>]*>\s*{label}\s*</a>', page)
        (address,) = (unescape(link) for link in links if "created_at" in link)
        assert "status=failed" in address
        return str(failed.pk) in owner.get(list_of(SyncRun) + address).content.decode()

    assert listed("Today")
    assert not listed("Yesterday")
    SyncRun.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert listed("Yesterday")
    assert not listed("Today")
