"""A project's own admin sites: all pages work there, and their links stay there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import path

from mastra_engine.models import (
    Entity,
    Message,
    Record,
    SyncRun,
    Thread,
    VectorIndex,
    WorkingMemory,
)
from mastra_engine.web import APP
from tests.admin.html import Page

MODELS: set[type[Model]] = set(apps.get_app_config(APP).get_models())
#: The most addresses of one page with the same parameters that are opened.
ALIKE = 3
#: Models without the models that their pages link to.
PARTS: list[set[type[Model]]] = [
    {Thread},
    {Thread, Message},
    {Entity, SyncRun},
    {Record, VectorIndex},
    {WorkingMemory},
]


def make_site(name: str, models: Iterable[type[Model]]) -> admin.AdminSite:
    site = admin.AdminSite(name=name)
    for model in models:
        site.register(model, type(admin.site.get_model_admin(model)))
    return site


@pytest.fixture
def use_sites(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serve the given sites, each below its name, and nothing else."""

    def use(*sites: admin.AdminSite) -> None:
        module: Any = ModuleType("tests.admin.site_urls")
        module.urlpatterns = [path(f"{site.name}/", site.urls) for site in sites]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        settings.ROOT_URLCONF = module.__name__

    return use


def visit(client: Client, start: str, *, allow: Collection[int] = (200,)) -> dict[str, str]:
    """Open the pages that links reach from `start`; return them by address.

    Links combine filters, columns and orders without end, so only some addresses of a page with
    the same parameters are opened, and none with more parameters than two.
    """
    waiting, visited = [start], dict[str, str]()
    opened: Counter[tuple[str, ...]] = Counter()
    while waiting:
        address = waiting.pop()
        if address in visited or "/logout/" in address or "/password_change/" in address:
            continue
        place = urlsplit(address)
        names = sorted(parse_qs(place.query, keep_blank_values=True))
        opened[(place.path, *names)] += 1
        if len(names) > 2 or opened[(place.path, *names)] > ALIKE:
            continue
        response = client.get(address, follow=True)
        assert response.status_code in allow, address
        visited[address] = response.content.decode()
        for element in Page(visited[address]).elements:
            href = element.attributes.get("href", "")
            page = href.partition("#")[0]
            if element.tag == "a" and page not in ("", "/") and not urlsplit(href).netloc:
                waiting.append(urljoin(response.request["PATH_INFO"], page))
    return visited


@pytest.mark.parametrize("others", [(), (admin.site,)], ids=["alone", "beside the default site"])
def test_every_page_works_at_a_second_site_and_stays_there(
    owner: Client, store: dict[str, Any], use_sites: Any, others: tuple[admin.AdminSite, ...]
) -> None:
    use_sites(*others, make_site("operations", MODELS))
    visited = visit(owner, "/operations/")
    assert not [address for address in visited if not address.startswith("/operations/")]
    for model, row in store.items():
        key = f"{row.vector_index_id}.{row.pk}" if model == "embedding" else str(row.pk)
        pages = [address for address in visited if f"/{model}/" in address]
        # The admin quotes "_", "/" and others in keys.
        assert pages or not admin.site.get_model_admin(type(row)).listed, (model, key)
    for name in ("overview", "playground", "map", "resources", "context", "changes", "progress"):
        assert [address for address in visited if f"/{name}/" in address] or name == "progress"


@pytest.mark.parametrize(
    "models", PARTS, ids=lambda models: "+".join(sorted(model.__name__ for model in models))
)
def test_a_site_with_some_of_the_models_links_to_these_only(
    owner: Client, store: dict[str, Any], use_sites: Any, models: set[type[Model]]
) -> None:
    use_sites(make_site("part", models))
    visited = visit(owner, "/part/")
    assert not [address for address in visited if not address.startswith("/part/")]
    names = {model._meta.model_name for model in models}
    for name in names:
        row = store[str(name)]
        assert [address for address in visited if f"/{APP}/{name}/" in address], row
