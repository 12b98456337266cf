"""Every page of the admin, opened in a browser, with the worst content and with much of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib import admin as django_admin
from django.urls import Resolver404, resolve

from mastra_engine.admin.base import APP, EngineAdmin
from tests.browser.filling import fill_with_hostile, fill_with_much
from tests.browser.looking import look

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
#: So many pages of one kind are opened.
OF_A_KIND = 6
#: Parts of pages that are there while something goes on, which they fetch anew.
FETCHED = {"progress", "structure"}
#: Pages of the site's own, and what is no page.
NOT_OURS = {"admin:logout", "admin:jsi18n", "admin:password_change", "admin:view_on_site"}


def kind_of(address: str) -> str:
    """Return the view that answers, with what it is asked beside."""
    parts = urlsplit(address)
    asked = {name for name, _ in parse_qsl(parts.query)} - {"_changelist_filters"}
    return " ".join([resolve(parts.path).view_name, *sorted(asked)])


def links(page: Any) -> list[str]:
    found = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    home = page.url.split("/admin/")[0]
    return [href[len(home) :] for href in found if href.startswith(f"{home}/admin/")]


def crawl(page: Any) -> Iterator[tuple[str, bool]]:
    """Open pages by following links; yield the kind of each, and whether it is the first of it."""
    opened: Counter[str] = Counter()
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
        if opened[kind] == OF_A_KIND or kind in NOT_OURS or "auth_" in kind:
            continue
        opened[kind] += 1
        page.goto(address)
        yield kind, opened[kind] == 1
        queue.extend(links(page))


def reachable() -> set[str]:
    """Return the pages that links must lead to."""
    admins = [
        each for each in django_admin.site._registry.values() if isinstance(each, EngineAdmin)
    ]
    lists = {
        f"admin:{APP}_{each.opts.model_name}_{page}"
        for each in admins
        if each.listed
        for page in ("changelist", "change")
    }
    views = {view.name for each in admins for view in each.views} - FETCHED
    return lists | {f"admin:{APP}_{name}" for name in views}


@pytest.mark.parametrize("fill", [fill_with_hostile, fill_with_much], ids=lambda f: f.__name__)
def test_every_page(admin: Any, fill: Callable[[], None], caplog: Any) -> None:
    caplog.set_level("CRITICAL")  # syncs that fail say so at length
    fill()
    faults, found = [], set()
    for kind, first in crawl(admin):
        found.add(kind.split()[0])
        if first:
            name = kind.removeprefix("admin:").replace(f"{APP}_", "").replace(" ", "-")
            faults += look(admin, f"{fill.__name__}-{name}")
    assert not faults, "\n".join(faults)
    assert reachable() <= found
