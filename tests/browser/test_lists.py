"""Lists that one can work with: searching by words, filtering by clicks, downloading."""

from __future__ import annotations

from typing import Any

import pytest

from mastra_engine import engine
from mastra_engine.models import Entity
from tests.browser.conftest import follow
from tests.browser.looking import look

pytestmark = pytest.mark.browser


def test_a_word_leads_to_the_conversation_in_three_clicks(admin: Any, talks: None) -> None:
    admin.goto("/admin/mastra_engine/message/")
    admin.locator("input[name=q]").fill("kumquat")
    with admin.expect_navigation():
        admin.locator("input[name=q]").press("Enter")
    assert look(admin, "messages-found") == []
    follow(admin.get_by_role("link", name="I would rather have a kumquat"))
    assert "#m1" in admin.url
    assert "Talk 7" in admin.locator(".me-page h1").inner_text()


def test_records_are_narrowed_by_clicks_and_downloaded(admin: Any) -> None:
    records = [
        {
            "external_id": f"C-{i:03}",
            "data": {"name": f"Person {i}", "at": {"city": ["Ulm", "Bonn"][i % 2]}, "on": i < 9},
        }
        for i in range(60)
    ]
    engine.sync_records(name="Contacts", connection_id="crm", records=records)
    admin.goto(f"/admin/mastra_engine/entity/{Entity.objects.get().pk}/change/")
    follow(admin.get_by_role("link", name="Bonn").first)
    follow(admin.get_by_role("link", name="true").first)
    assert admin.locator(".me-table tbody tr").count() == 4
    assert look(admin, "records-narrowed") == []
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + 4
    follow(admin.get_by_role("link", name="Remove").first)
    assert admin.locator(".me-table tbody tr").count() == 9
