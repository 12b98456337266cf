"""Every page of the admin in a browser, with hostile content and with many rows."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib import admin as django_admin
from django.urls import Resolver404, resolve

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.web import APP
from tests.browser.filling import fill_with_hostile, fill_with_much
from tests.browser.looking import look, look_by_phone

pytestmark = pytest.mark.browser
#: Parts of pages that are there while something goes on, which they fetch anew, and files.
FETCHED = {"progress", "structure", "download"}
#: Pages that depend on the state of a run, which test_runs opens.
OF_RUNS = {"retry", "cancel"}
#: Pages of declared indexes, of which the hostile test has none.
OF_DECLARED = {"rebuild"}
#: Pages that depend on the state of a sync, of which the hostile test opens both kinds.
OF_SYNCS = {"start", "rerun", "pause", "resume"}
#: Pages that forms lead to, which test_actions sends.
OF_FORMS = {"delete_messages", "erase"}
#: Pages of the site that lead to ours; what else it has is others'.
LEADING = ("admin:index", "admin:app_list")


def kind_of(address: str) -> str:
    """Return the name of the view of an address, with its parameters."""
    parts = urlsplit(address)
    question = {name for name, _ in parse_qsl(parts.query)} - {"_changelist_filters"}
    return " ".join([resolve(parts.path).view_name, *sorted(question)])


def links(page: Any) -> list[str]:
    visited = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    home = page.url.split("/admin/")[0]
    return [href[len(home) :] for href in visited if href.startswith(f"{home}/admin/")]


def crawl(page: Any, *, of_a_kind: int) -> Iterator[tuple[str, bool]]:
    """Open so many pages of each kind by following links.

    Yield the name of each, and whether it is the first of that name.
    """
    opened: Counter[str] = Counter()
    names: set[str] = set()
    queue, seen = deque([f"/admin/{APP}/"]), set()
    while queue:
        address = queue.popleft().partition("#")[0]
        if address in seen:
            continue
        seen.add(address)
        try:
            kind = kind_of(address)
        except Resolver404:
            pytest.fail(f"{address} leads nowhere")
        if opened[kind] == of_a_kind or not kind.startswith((*LEADING, f"admin:{APP}_")):
            continue
        opened[kind] += 1
        page.goto(address)
        name = name_of(kind)
        yield name, name not in names
        names.add(name)
        queue.extend(links(page))


def name_of(kind: str) -> str:
    """Name the page without its parameters, except for a parameter that changes its layout."""
    view, *question = kind.split()
    name = view.removeprefix("admin:").removeprefix(f"{APP}_")
    is_resource = name == "resources" and question == ["resource_id"]
    return "resource" if is_resource else name


def reachable() -> set[str]:
    """Return the names of the pages that links must reach."""
    admins = [
        item for item in django_admin.site._registry.values() if isinstance(item, EngineAdmin)
    ]
    lists = {
        f"{item.opts.model_name}_{page}"
        for item in admins
        if item.listed
        for page in ("changelist", "change")
    }
    return lists | {view.name for item in admins for view in item.views} - FETCHED - OF_FORMS


@pytest.fixture
def quiet(caplog: Any) -> None:
    """Silence the log messages of syncs that fail."""
    caplog.set_level("CRITICAL")


@pytest.mark.timeout(1_500)  # hundreds of pages, beside other tests in CI
@pytest.mark.usefixtures("quiet")
def test_hostile_content_breaks_no_page(admin: Any) -> None:
    fill_with_hostile()
    faults, visited = [], set()
    for name, first in crawl(admin, of_a_kind=6):
        visited.add(name)
        if first:
            faults += look_by_phone(admin, f"hostile-{name}")
    assert not faults, "\n".join(faults)
    assert reachable() - OF_RUNS - OF_DECLARED <= visited


@pytest.mark.timeout(1_500)
@pytest.mark.usefixtures("quiet")
def test_every_page_is_accessible(admin: Any) -> None:
    fill_with_much()
    faults, visited = [], set()
    for name, first in crawl(admin, of_a_kind=1):
        visited.add(name)
        if first:
            faults += look(admin, name)
    assert not faults, "\n".join(faults)
    assert reachable() - OF_RUNS - OF_SYNCS <= visited
