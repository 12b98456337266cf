"""The overview: health, growth and sizes of the engine's database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

from mastra_engine.admin.base import EngineAdmin, Fact, View
from mastra_engine.admin.reading import database
from mastra_engine.health import Day, Health, read_growth, read_health
from mastra_engine.types import COUNTED

#: Seconds for which the growth is cached: reading it scans parts of the tables.
CACHED = 300
#: The charts of growth, in the order of the page.
GROWING = ("records", "threads", "messages", "vectors")


class Overview(EngineAdmin):
    """The overview page."""

    views: tuple[View, ...] = (View("overview", "overview/", label="Overview"),)

    def overview(self, request: HttpRequest) -> HttpResponse:
        """Show the health that engine_status prints."""
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


def _facts(health: Health) -> Iterator[Fact]:
    """Yield the facts of the page, each with its label."""
    if health.server is not None:
        yield Fact("PostgreSQL", health.server.version)
        yield Fact("Extension vector", health.server.pgvector_installed)
    for package, version in health.versions.items():
        yield Fact(package.removeprefix("django-"), version)
    yield Fact("Unapplied migrations", health.unapplied_migrations)
    if health.waiting is not None:
        messages = health.waiting.messages
        at_limit = messages == COUNTED
        yield Fact("Messages to embed", f"{COUNTED:,} or more" if at_limit else messages)
        items = health.waiting.state_items
        yield Fact("State to index", f"{COUNTED:,} or more" if items == COUNTED else items)
        yield Fact("Changes to index", health.waiting.changes)
        yield Fact("Oldest change to index", health.waiting.changes_since)
    if health.runs is not None:
        yield Fact("Syncs queued", health.runs.queued)
        yield Fact("Syncs running", health.runs.running)
        yield Fact("Syncs stalled", health.runs.stalled)


def _growth(alias: str) -> list[Day]:
    key = f"mastra_engine:growth:{alias}"
    return cache.get_or_set(key, lambda: read_growth(alias), CACHED) or []
