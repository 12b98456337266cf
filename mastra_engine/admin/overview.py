"""The overview: the server, the pending work and the sizes of the engine's database."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Fact, View
from mastra_engine.admin.reading import Reads, database
from mastra_engine.admin.wording import number_text
from mastra_engine.health import Day, Health, Runs, Waiting, read_growth, read_health
from mastra_engine.types import COUNTED
from mastra_engine.web import APP

#: Seconds for which the growth is cached: reading it scans parts of the tables.
CACHED = 300


class Overview(EngineAdmin):
    """The overview page."""

    views: tuple[View, ...] = (View("overview", "overview/", label=gettext_lazy("Overview")),)

    def overview(self, request: HttpRequest) -> HttpResponse:
        """Show the state that engine_status prints."""
        health = read_health(database(), growth=cached_growth)
        return self.page(
            request,
            "overview.html",
            title=_("Overview"),
            health=health,
            tables=[table for table in health.tables if table.name not in _hidden(request)],
            facts=list(_facts(health, Reads(request))),
        )


def _hidden(request: HttpRequest) -> set[str]:
    """Return the tables of models that the user may not view."""
    reads, models = Reads(request), apps.get_app_config(APP).get_models()
    return {
        model._meta.db_table for model in models if not reads.views(str(model._meta.model_name))
    }


def _facts(health: Health, reads: Reads) -> Iterator[Fact]:
    """Yield the facts of the page, each with its label."""
    if health.server is not None:
        yield Fact("PostgreSQL", health.server.version)
        yield Fact("pgvector", health.server.pgvector_installed)
    for package, version in health.versions.items():
        yield Fact(package.removeprefix("django-"), version)
    yield Fact(_("Unapplied migrations"), health.unapplied_migrations)
    if health.waiting is not None:
        yield from _waiting(health.waiting, reads)
    if health.runs is not None and reads.views("syncrun"):
        yield from _active(health.runs)


def _waiting(waiting: Waiting, reads: Reads) -> Iterator[Fact]:
    if reads.views("message"):
        yield Fact(_("Messages to embed"), _bounded(waiting.messages))
    if reads.views("stateitem"):
        yield Fact(_("State to index"), _bounded(waiting.state_items))
    if reads.views("fact"):
        yield Fact(_("Facts to index"), _bounded(waiting.facts))
    yield Fact(_("Changes to index"), waiting.changes)
    yield Fact(_("Oldest change to index"), waiting.changes_since)


def _active(runs: Runs) -> Iterator[Fact]:
    yield Fact(_("Syncs queued"), runs.queued)
    yield Fact(_("Syncs running"), runs.running)
    yield Fact(_("Syncs stalled"), runs.stalled)


def _bounded(number: int) -> str | int:
    if number < COUNTED:
        return number
    return _("%(number)s or more") % {"number": number_text(COUNTED)}


def cached_growth(alias: str) -> list[Day]:
    """Return the growth of read_growth(), up to CACHED seconds old."""
    key = f"mastra_engine:growth:{alias}"
    return cache.get_or_set(key, lambda: read_growth(alias), CACHED) or []
