"""Every table has a list and pages; content is hidden without the permission to read it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.web import APP
from tests.admin.conftest import list_of, page_of, signed_in
from tests.admin.store import SECRET

MODELS = list(apps.get_app_config(APP).get_models())
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)


@every_model
def test_every_table_is_registered(model: Any) -> None:
    assert isinstance(admin.site.get_model_admin(model), EngineAdmin)


@every_model
def test_its_list_and_its_page_open(model: Any, owner: Client, store: dict[str, Any]) -> None:
    row = store[model._meta.model_name]
    assert owner.get(list_of(model)).status_code == 200
    page = owner.get(page_of(row))
    assert page.status_code == 200
    assert str(row.pk) in page.content.decode()


@every_model
def test_its_list_takes_a_search(model: Any, owner: Client, store: dict[str, Any]) -> None:
    address = list_of(model)
    searched = f"{address}{'&' if '?' in address else '?'}q=a"
    assert owner.get(searched).status_code == 200  # even where there is nothing to search by


def test_autocomplete_fields_work(owner: Client, store: dict[str, Any]) -> None:
    """The project's own admin has `autocomplete_fields = ["thread"]`."""
    of = {"app_label": APP, "model_name": "message", "field_name": "thread", "term": "ch"}
    matches = owner.get(reverse("admin:autocomplete"), of).json()["results"]
    assert [item["id"] for item in matches] == ["chat/1"]
    of["term"] = "ch\0"
    assert owner.get(reverse("admin:autocomplete"), of).json()["results"] == []


@every_model
def test_rows_cannot_be_added_or_changed(model: Any, owner: Client, store: dict[str, Any]) -> None:
    row = store[model._meta.model_name]
    assert owner.get(reverse(f"admin:{APP}_{model._meta.model_name}_add")).status_code == 403
    before = model._default_manager.values().get(pk=row.pk)
    owner.post(page_of(row), {"title": "other", "content": "other"})
    assert model._default_manager.values().get(pk=row.pk) == before


@every_model
def test_content_is_hidden_from_onlookers(
    model: Any, onlooker: Client, store: dict[str, Any]
) -> None:
    for address in (list_of(model), page_of(store[model._meta.model_name])):
        answer = onlooker.get(address)
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()


@every_model
def test_users_without_permissions_see_nothing(model: Any, store: dict[str, Any]) -> None:
    stranger = signed_in("stranger", Permission.objects.none())
    for address in (list_of(model), page_of(store[model._meta.model_name])):
        assert stranger.get(address).status_code == 403


@every_model
def test_its_list_has_times_with_seconds_and_zone(
    model: Any, owner: Client, store: dict[str, Any]
) -> None:
    listed = set(admin.site.get_model_admin(model).list_display)
    times = {field.name for field in model._meta.concrete_fields if "_at" in field.name} & listed
    page = owner.get(list_of(model)).content.decode()
    cells = re.findall(r'class="field-(\w+)[^"]*">([^<]*<time[^>]*>[^<]*</time>)', page)
    for name in times:
        values = [value for column, value in cells if column == name]
        present = getattr(store[model._meta.model_name], name) is not None
        assert bool(values) or not present, name
        assert all(re.search(r"\d\d:\d\d:\d\d [A-Z]+<", value) for value in values)
