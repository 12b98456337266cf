"""The context window in a browser: its slider, its segments, its payload and its recall."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from mastra_engine import engine
from tests.browser.conftest import follow
from tests.browser.looking import look

pytestmark = pytest.mark.browser


@pytest.fixture
def window(admin: Any) -> Any:
    """Return the page of a context window that has all segments but recalled messages."""
    said = [
        ("system", "You help with orders. Answer in one sentence."),
        ("user", "My parcel with the red kettle has not arrived."),
        ("assistant", "I am sorry. What is the **number** of the order?"),
        *[("user", f"One more thing about order {n}, please.") for n in range(20)],
    ]
    messages: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in said]
    call = {"type": "tool-call", "tool_call_id": "1", "tool_name": "track", "args": {"order": 7}}
    found = {"carrier": "DHL", "steps": [{"at": "Hamburg"}, {"at": "Berlin"}]}
    messages += [
        {"role": "assistant", "content": [call]},
        {
            "role": "tool",
            "content": [{"type": "tool-result", "tool_call_id": "1", "result": found}],
        },
        {"role": "user", "content": "Where is the red kettle now?"},
    ]
    engine.memory.save_memory(thread_id="orders", resource_id="ann", messages=messages)
    engine.memory.embed_pending()
    engine.memory.update_working_memory(resource_id="ann", content="Prefers to be *called*.")
    engine.memory.update_working_memory(
        resource_id="ann", patch={"address": {"city": "Berlin", "floor": 3}, "pets": ["cat"]}
    )
    facts = [
        {"subject": "Ann", "predicate": "lives in", "object": "Berlin", "pinned": True},
        {"subject": "Ann", "predicate": "ordered", "object": "a red kettle"},
    ]
    engine.facts.remember(resource_id="ann", facts=facts)
    admin.goto(reverse("admin:mastra_engine_context", args=["orders"]))
    return admin


def test_the_window_is_shown_by_segments(window: Any) -> None:
    page = window
    for segment in ("System", "Facts", "Working memory", "Messages", "Tools"):
        assert page.locator(".me-legend").get_by_text(segment).is_visible()
    assert page.get_by_text("Berlin", exact=True).first.is_visible()
    assert look(page, "context-window") == []

    slider = page.get_by_role("slider", name="Budget in tokens")
    slider.focus()
    slider.press("Home")
    slider.press("ArrowRight")
    assert page.locator("output").inner_text() == "100"
    page.get_by_label("Recall by the last question").check()
    follow(page.get_by_role("button", name="Show").first)
    assert page.get_by_text("Older messages were left out.").is_visible()
    reasons = page.get_by_role("region", name="Why these messages were recalled")
    assert "My parcel with the red kettle" in reasons.inner_text()
    reasons.scroll_into_view_if_needed()
    assert look(page, "context-recalled") == []


def test_the_payload_is_one_click_away(window: Any) -> None:
    page = window
    follow(page.get_by_role("button", name="Payload for Anthropic").first)
    payload = page.get_by_role("region", name="Payload")
    assert '"tool_use"' in payload.inner_text()
    assert '"system": "You help' not in payload.inner_text()  # facts come first
    assert look(page, "context-payload") == []


def test_another_query_recalls(window: Any) -> None:
    page = window
    page.get_by_text("Recall by another query").click()
    page.get_by_label("Recall query").fill("kettle")
    follow(page.get_by_role("button", name="Show").last)
    assert "kettle" not in page.url
    reasons = page.get_by_role("region", name="Why these messages were recalled")
    assert reasons.get_by_role("rowheader", name="kettl").first.is_visible()
