"""Retrying and cancelling a sync run in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from example_project.desk import tracker
from example_project.sources import CONNECTION
from mastra_engine import engine
from mastra_engine.exceptions import Unavailable
from mastra_engine.models import SyncRun
from tests.browser.conftest import follow
from tests.browser.looking import look

pytestmark = pytest.mark.browser


def test_a_failed_run_is_retried_from_its_checkpoint(
    admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away_from_page_2(number: int) -> Any:
        if number == 2:
            raise Unavailable("The tracker is away")
        return get_page(number)

    get_page = tracker.get_page
    with monkeypatch.context() as broken:
        broken.setattr(tracker, "get_page", away_from_page_2)
        engine.run_sync("tickets", connection_id=CONNECTION)

    follow(admin.get_by_role("link", name="Sync runs").first)
    follow(admin.get_by_role("link", name="tickets"))
    admin.get_by_text("The tracker is away").wait_for()
    assert look(admin, "run-failed") == []
    follow(admin.get_by_role("link", name="Retry"))
    admin.get_by_role("button", name="Retry").wait_for()
    assert look(admin, "run-retry") == []
    follow(admin.get_by_role("button", name="Retry"))
    admin.get_by_text("The run was queued again.").wait_for()
    admin.locator(".me-succeeded").wait_for()
    assert admin.get_by_role("link", name="Retry").count() == 0
    (run,) = SyncRun.objects.all()
    assert (run.attempts, run.created, run.pages) == (2, 6, 3)

    assert admin.locator(".me-table tbody tr").count() == 3
    follow(admin.get_by_role("link", name="All pages"))
    assert look(admin, "run-pages") == []
    follow(admin.get_by_role("link", name="3", exact=True))
    admin.locator(".me-page h1", has_text="Page 3").wait_for()
    assert look(admin, "run-page") == []


def test_a_run_is_watched_and_cancelled(admin: Any) -> None:
    run = engine.run_sync("tickets", connection_id=CONNECTION)
    rows = SyncRun.objects.filter(id=run.id)
    later = timezone.now() + timedelta(hours=1)
    rows.update(
        status="running",
        finished_at=None,
        lease_expires_at=later,
        progress={"done": 3, "total": 10},
    )
    admin.goto(f"/admin/mastra_engine/syncrun/{run.id}/change/")
    admin.get_by_text("3 of 10").wait_for()
    assert look(admin, "run-running") == []
    rows.update(progress={"done": 7, "total": 10})
    admin.get_by_text("7 of 10").wait_for()

    follow(admin.get_by_role("link", name="Cancel"))
    follow(admin.get_by_role("link", name="No, go back"))
    follow(admin.get_by_role("link", name="Cancel"))
    admin.get_by_role("button", name="Cancel run").wait_for()
    assert look(admin, "run-cancel") == []
    follow(admin.get_by_role("button", name="Cancel run"))
    admin.get_by_text("The run was cancelled.").wait_for()
    admin.locator(".me-cancelled").wait_for()
    assert rows.get().status == "cancelled"
