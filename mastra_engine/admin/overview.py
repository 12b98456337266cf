"""How the engine's database is, on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from mastra_engine.admin.base import EngineAdmin, View
from mastra_engine.admin.reading import database
from mastra_engine.health import Day, Health, read_growth, read_health
from mastra_engine.types import COUNTED

#: How long growth is remembered, in seconds: it is read from the tables themselves.
KEPT = 300
#: What grows, in the order of the page.
GROWING = ("records", "threads", "messages", "vectors")


class Overview(EngineAdmin):
    """The page of health."""

    views: tuple[View, ...] = (View("overview", "overview/", label="Overview"),)

    def overview(self, request: HttpRequest) -> HttpResponse:
        """Show what engine_status says."""
        health = read_health(database(), growth=_growth)
        growth = [asdict(day) for day in health.growth]
        failures = health.runs.failures if health.runs is not None else []
        return self.page(
            request,
            "overview.html",
            title="Overview",
            health=health,
            facts=list(_facts(health)),
            growth=growth,
            totals=[(kind, sum(day[kind] for day in growth)) for kind in GROWING],
            failures=[(run, self.url("syncrun_change", run.id)) for run in failures],
        )


def _facts(health: Health) -> Iterator[tuple[str, Any]]:
    """Yield what is told in a word each."""
    if health.server is not None:
        yield "PostgreSQL", health.server.version
        yield "Extension vector", health.server.pgvector_installed
    yield from ((name.removeprefix("django-"), each) for name, each in health.versions.items())
    yield "Migrations to apply", health.unapplied_migrations
    if health.waiting is not None:
        messages = health.waiting.messages
        more = messages == COUNTED
        yield "Messages without a vector", f"{COUNTED:,} or more" if more else messages
        yield "Changes not indexed", health.waiting.changes
        yield "The first of them", health.waiting.changes_since
    if health.runs is not None:
        yield "Syncs queued", health.runs.queued
        yield "Syncs running", health.runs.running
        yield "Syncs stalled", health.runs.stalled


def _growth(alias: str) -> list[Day]:
    key = f"mastra_engine:growth:{alias}"
    return cache.get_or_set(key, lambda: read_growth(alias), KEPT) or []
