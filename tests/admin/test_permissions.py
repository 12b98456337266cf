"""What a user may not view or read is no part of searches, filters, counts and the home page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from mastra_engine import engine
from mastra_engine.models import (
    Entity,
    Fact,
    Message,
    Record,
    StateItem,
    Sync,
    SyncRun,
    Thread,
    VectorIndex,
    WorkingMemory,
)
from mastra_engine.web import APP
from tests.admin.conftest import list_of, page_of, signed_in, view
from tests.admin.html import Page

pytestmark = pytest.mark.django_db

SEARCHED = (Thread, Message, Record, StateItem, WorkingMemory, Fact, Entity, Sync, SyncRun)
MODELS = [model._meta.model_name for model in apps.get_app_config(APP).get_models()]


def staff(*codenames: str) -> Client:
    return signed_in("clerk", Permission.objects.filter(codename__in=codenames))


def matches(client: Client, model: Any, **query: str) -> int:
    """Return the number of rows that a list shows, 0 for a list that is closed."""
    answer = client.get(list_of(model, **query))
    if answer.status_code == 403:
        return 0
    assert answer.status_code == 200
    return len(answer.context["cl"].result_list)


def amounts(client: Client, address: str) -> dict[str, str]:
    """Return the facts that a page lists, by their labels."""
    text = client.get(address).content.decode()
    found = re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", text, re.DOTALL)
    return {label.lower(): re.sub("<[^>]*>", "", value) for label, value in found}


def test_threads_are_not_found_by_messages_that_the_user_may_not_read(owner: Client) -> None:
    engine.memory.create_thread(resource_id="ann", thread_id="t", title="About fruit")
    message = {"role": "user", "content": "I like kumquats"}
    engine.memory.save_memory(thread_id="t", messages=[message])
    reader = staff("view_thread", "read_content")
    assert matches(owner, Thread, q="kumquats") == 1
    assert matches(reader, Thread, q="kumquats") == 0
    assert matches(reader, Thread, q="fruit") == 1


@pytest.mark.parametrize("model", SEARCHED, ids=lambda model: model._meta.model_name)
def test_no_search_finds_content_for_onlookers(
    model: Any, onlooker: Client, store: dict[str, Any]
) -> None:
    assert matches(onlooker, model, q="Rosebud") == 0
    term = {"app_label": APP, "model_name": "message", "field_name": "thread", "term": "Rosebud"}
    assert onlooker.get(reverse("admin:autocomplete"), term).json()["results"] == []


@pytest.mark.parametrize("part", ["subject", "predicate", "object"])
def test_facts_are_not_filtered_by_their_content_for_onlookers(
    owner: Client, onlooker: Client, store: dict[str, Any], part: str
) -> None:
    query = {f"{part}_key__exact": getattr(store["fact"], f"{part}_key")}
    assert matches(owner, Fact, **query) >= 1
    assert onlooker.get(list_of(Fact, **query)).status_code == 400


@pytest.mark.parametrize("model", [Record, Sync, SyncRun])
def test_filters_offer_no_entities_that_the_user_may_not_view(
    model: Any, owner: Client, store: dict[str, Any]
) -> None:
    engine.create_entity(name="Payroll", connection_id="hr")
    clerk = staff(f"view_{model._meta.model_name}")
    assert re.search("Payroll|>hr<", owner.get(list_of(model)).content.decode())
    assert not re.search("Payroll|>hr<", clerk.get(list_of(model)).content.decode())


def test_a_resource_counts_rows_that_the_user_may_view(
    owner: Client, store: dict[str, Any]
) -> None:
    engine.create_entity(name="Payroll", connection_id="ann")
    clerk = staff("view_thread")
    resource = view("resources", resource_id="ann")
    assert {"vectors", "state items"} <= amounts(owner, resource).keys()
    assert amounts(clerk, resource).keys() == {"threads", "messages", "tokens"}
    assert "Payroll" in owner.get(resource).content.decode()
    assert "Payroll" not in clerk.get(resource).content.decode()


def test_the_preview_of_an_erasure_counts_rows_that_the_user_may_view(
    owner: Client, store: dict[str, Any]
) -> None:
    preview = view("erasure", resource_id="ann")
    assert len(amounts(owner, preview)) == 6
    assert amounts(staff("view_thread", "view_fact"), preview).keys() == {"threads", "facts"}


def test_the_overview_names_tables_that_the_user_may_view(
    owner: Client, store: dict[str, Any]
) -> None:
    clerk = staff("view_vectorindex")
    everything, part = (client.get(view("overview")).content.decode() for client in (owner, clerk))
    for model in apps.get_app_config(APP).get_models():
        assert f">{model._meta.db_table}<" in everything
        is_visible = f">{model._meta.db_table}<" in part
        assert is_visible == (model is VectorIndex)
    for label in ("messages to embed", "state to index", "facts to index", "syncs queued"):
        assert label in amounts(owner, view("overview"))
        assert label not in amounts(clerk, view("overview"))


def test_a_record_names_no_runs_that_the_user_may_not_view(
    owner: Client, store: dict[str, Any]
) -> None:
    address = page_of(store["record"])
    assert "contacts" in owner.get(address).content.decode()
    assert "contacts" not in staff("view_record").get(address).content.decode()


@pytest.mark.parametrize("hidden", MODELS)
def test_the_home_page_leads_to_no_page_that_is_closed(store: dict[str, Any], hidden: str) -> None:
    """Its links, counts and questions are those of the models that the user may view."""
    cache.clear()
    views = [f"view_{name}" for name in MODELS if name != hidden]
    clerk = staff(*views)
    page = Page(clerk.get(f"/admin/{APP}/").content.decode())
    links = {
        element.attributes.get("href") or element.attributes.get("action", "")
        for element in page.elements
        if element.tag in ("a", "form")
    }
    own = {link for link in links if link.startswith(f"/admin/{APP}/")}
    assert own
    for link in own:
        assert clerk.get(link, follow=True).status_code == 200, link
