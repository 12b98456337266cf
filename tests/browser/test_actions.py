"""Questions that are answered in three clicks, and actions on conversations and resources."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mastra_engine import engine, sync
from mastra_engine.models import Record, SyncRun, Thread, WorkingMemory
from mastra_engine.registry import registry
from tests.browser.conftest import follow
from tests.browser.looking import look

pytestmark = pytest.mark.browser

HOME = "/admin/mastra_engine/"


def fill() -> None:
    """Store a conversation of a user and a sync that failed, with changes of yesterday."""
    engine.memory.create_thread(resource_id="ann", thread_id="chat", title="Tea or coffee")
    engine.memory.save_memory(
        thread_id="chat",
        messages=[{"role": "user", "content": f"Message {number}"} for number in range(1, 5)],
    )
    engine.memory.update_working_memory(resource_id="ann", content="Likes tea")
    engine.memory.update_working_memory(resource_id="ann", content={"age": 40})
    fact = {"subject": "Ann", "predicate": "likes", "object": "tea"}
    engine.facts.remember(resource_id="ann", facts=[fact])
    with registry.empty():

        @sync(entity="Contacts")
        def contacts(ctx: Any) -> Any:
            ctx.log.info("Fetching the first page")
            yield [{"external_id": f"contact-{number}", "data": {}} for number in range(3)]
            ctx.log.warning("The CRM asks for a pause")
            raise ConnectionError("The CRM is closed")

        engine.run_sync("contacts", connection_id="crm-of-ann")
    yesterday = timezone.now() - timedelta(days=1)
    Record.objects.filter(external_id="contact-0").update(updated_at=yesterday)


def test_which_syncs_failed_today_and_why(admin: Any) -> None:
    fill()
    admin.goto(HOME)
    follow(admin.get_by_role("link", name="Which syncs failed today, and why?"))
    admin.get_by_text("ConnectionError: The CRM is closed").wait_for()
    assert look(admin, "actions-failed") == []
    follow(
        admin.locator("#result_list, .result-list, table")
        .get_by_role("link", name="contacts")
        .first
    )
    admin.get_by_text("The CRM asks for a pause").wait_for()
    assert look(admin, "actions-run") == []


def test_which_records_of_a_connection_changed_yesterday(admin: Any) -> None:
    fill()
    admin.goto(HOME)
    follow(admin.get_by_role("link", name="Which records of a connection changed"))
    assert look(admin, "actions-connections") == []
    follow(admin.get_by_role("link", name="Yesterday"))
    admin.get_by_role("link", name="contact-0").wait_for()
    assert admin.locator(".me-table tbody tr").count() == 1
    assert look(admin, "actions-yesterday") == []
    follow(admin.get_by_role("link", name="contact-0"))
    assert look(admin, "actions-record") == []


def test_what_would_be_deleted_with_a_user(admin: Any) -> None:
    fill()
    admin.goto(HOME)
    form = admin.get_by_role("listitem").filter(has_text="What would be deleted if a user were")
    form.get_by_role("searchbox").fill("ann")
    follow(form.get_by_role("button"))
    follow(admin.get_by_role("link", name="Erase"))
    admin.get_by_text("With the resource, these are deleted:").wait_for()
    assert look(admin, "actions-erasure") == []
    admin.get_by_label("Type the resource ID").fill("ann")
    follow(admin.get_by_role("button", name="Erase"))
    admin.get_by_text("The resource was erased (threads: 1, messages: 4").wait_for()
    assert not Thread.objects.exists()


def test_everything_of_a_user_is_downloaded(admin: Any) -> None:
    fill()
    admin.goto("/admin/mastra_engine/thread/resources/?resource_id=ann")
    follow(admin.get_by_role("link", name="Export"))
    assert look(admin, "actions-export") == []
    with admin.expect_download() as download:
        admin.get_by_role("button", name="Download").click()
    lines = download.value.path().read_text().splitlines()
    assert lines == list(engine.export_resource(resource_id="ann"))


def test_a_conversation_is_edited(admin: Any) -> None:
    fill()
    admin.goto("/admin/mastra_engine/thread/chat/change/")
    assert look(admin, "actions-transcript") == []
    follow(admin.get_by_role("link", name="Rename"))
    admin.get_by_label("Title").fill("Coffee")
    assert look(admin, "actions-rename") == []
    follow(admin.get_by_role("button", name="Rename"))
    admin.locator(".me-page h1", has_text="Coffee").wait_for()
    admin.get_by_label("Choose message 2").check()
    admin.get_by_label("Choose message 3").check()
    follow(admin.get_by_role("button", name="Delete the chosen messages"))
    assert look(admin, "actions-delete-messages") == []
    follow(admin.get_by_role("button", name="Delete"))
    admin.get_by_text("2 messages were deleted.").wait_for()
    assert admin.locator(".me-message").count() == 2


def test_working_memory_is_edited_against_a_concurrent_change(admin: Any) -> None:
    fill()
    admin.goto(f"/admin/mastra_engine/workingmemory/{WorkingMemory.objects.get().pk}/change/")
    assert look(admin, "actions-memory") == []
    follow(admin.get_by_role("link", name="Edit"))
    admin.get_by_label("Text").fill("Likes coffee")
    assert look(admin, "actions-edit") == []
    engine.memory.update_working_memory(resource_id="ann", content="Likes water")
    follow(admin.get_by_role("button", name="Save"))
    admin.get_by_text("It was changed meanwhile").wait_for()
    assert look(admin, "actions-conflict") == []
    follow(admin.get_by_role("button", name="Save"))
    admin.get_by_text("The working memory was changed.").wait_for()
    assert engine.memory.get_working_memory(resource_id="ann").content == "Likes coffee"


def test_a_sync_is_started(admin: Any) -> None:
    admin.goto("/admin/mastra_engine/sync/start/")
    admin.get_by_label("Connection ID").fill("crm-1")
    admin.get_by_label("Sync", exact=True).select_option("tickets")
    assert look(admin, "actions-start") == []
    follow(admin.get_by_role("button", name="Start"))
    admin.get_by_text("The sync was started.").wait_for()
    assert look(admin, "actions-sync") == []
    assert SyncRun.objects.get().connection_id == "crm-1"
