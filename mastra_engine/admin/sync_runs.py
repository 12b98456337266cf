"""Sync runs: their progress and results, retries and cancellation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Any, get_args

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.filters import ConnectionFilter, DayFilter, by_day
from mastra_engine.admin.times import duration_text
from mastra_engine.admin.wording import number_text, term
from mastra_engine.handler import engine
from mastra_engine.models import Sync, SyncPage, SyncRun
from mastra_engine.types import ACTIVE, RunStatus

_RETRYABLE = ("failed", "cancelled")
COUNTS = ("pages", "created", "updated", "unchanged", "deleted")
#: The counts that the list shows.
CHANGES = ("created", "updated", "deleted")
#: The number of pages that a run's page shows; a link leads to the list of all.
LATEST = 10


@dataclass(frozen=True, slots=True)
class TimedPage:
    """A page of a run, and the time from the page before it, or from the start, to its commit."""

    row: SyncPage
    took: timedelta | None


class StatusFilter(admin.SimpleListFilter):
    """A filter by status with fixed choices: Django would read them from all runs."""

    title = gettext_lazy("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(status, capfirst(term(status))) for status in get_args(RunStatus)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(SyncRun)
class SyncRunAdmin(EngineAdmin):
    """Sync runs with their counts, checkpoints and errors."""

    views = (
        View("progress", "<path:object_id>/progress/"),
        View("retry", "<path:object_id>/retry/", needs="change"),
        View("cancel", "<path:object_id>/cancel/", needs="change"),
    )
    list_display = ("sync", "connection_id", "status", "started_at", "took", *CHANGES)
    list_filter = (
        StatusFilter,
        ConnectionFilter,
        ("created_at", DayFilter),
        ("finished_at", DayFilter),
    )
    terms = ("status",)
    search_fields = ("sync", "connection_id")
    search_help_text = gettext_lazy("The beginning of a sync name or a connection ID")
    lookups = frozenset(
        {
            *("status", "entity__id__exact", "sync__exact", "connection_id__exact"),
            "finished_at__isnull",
            *by_day("created_at"),
            *by_day("finished_at"),
        }
    )
    facts = (
        *("sync", "connection_id", "mode", "attempts", "created_at"),
        *("started_at", "finished_at", "lease_expires_at"),
    )
    documents = ("params", "checkpoint")
    unread = ("log",)
    template = "run.html"

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the reason why a run failed, before the counts: wide lists are cut on the right.

        It has the error's message for users who may read content.
        """
        with_content = self.reads(request, SyncRun)

        @admin.display(description=gettext_lazy("error"))
        def reason(row: SyncRun) -> str:
            return Truncator(reason_of(row, with_content=with_content)).chars(200)

        *columns, created, updated, deleted = super().get_list_display(request)
        return [*columns, reason, created, updated, deleted]

    @admin.display(description=gettext_lazy("duration"))
    def took(self, row: SyncRun) -> str:
        duration = duration_of(row)
        return "" if duration is None else duration_text(duration)

    def heading(self, request: HttpRequest, row: SyncRun) -> str:
        return _("%(sync)s of %(connection)s") % {
            "sync": row.sync,
            "connection": row.connection_id,
        }

    def tools(self, request: HttpRequest, row: SyncRun) -> list[Link]:
        links = [
            Link(_("Entity"), self.url("entity_change", row.entity_id)),
            *self._sync_link(row),
            Link(_("Changes"), self.url("changes", row.entity_id, after=row.start_rev or 0)),
        ]
        if self.may(request, "change"):
            if row.status in _RETRYABLE:
                links.append(Link(_("Retry"), self.url("retry", row.pk)))
            if row.status in ACTIVE:
                links.append(Link(_("Cancel"), self.url("cancel", row.pk), danger=True))
        return links

    def details(self, request: HttpRequest, row: SyncRun) -> dict[str, Any]:
        pages = self.rows(SyncPage).filter(run_id=row.pk).defer("checkpoint", "unchanged_revs")
        log = self.only(row).values_list("log", flat=True)
        return {
            "counts": [fact._replace(help="") for fact in self.labelled(request, row, COUNTS)],
            "duration": duration_of(row),
            "active": row.status in ACTIVE,
            "latest": _timed(row, list(pages.order_by("-number")[: LATEST + 1]))[:LATEST],
            "pages_url": self.url("syncpage_changelist", run__id__exact=row.pk),
            "log": list(map(_log_line, log.first() or [])) if self.reads(request, SyncRun) else [],
        }

    def _sync_link(self, row: SyncRun) -> Iterator[Link]:
        of = {"sync": row.sync, "connection_id": row.connection_id}
        key = self.rows(Sync).filter(**of).values_list("pk", flat=True).first()
        if key is not None:
            yield Link(_("Sync"), self.url("sync_change", key))

    def progress(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the part of a run's page that a script reloads while the run is active."""
        row = self.row(request, object_id)
        return self.page(
            request, "progress.html", title=str(row), row=row, **self.details(request, row)
        )

    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Retry a run that failed or was cancelled."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=_("The run will resume from its checkpoint."),
            label=_("Retry"),
            act=lambda: engine.retry_sync_run(id=row.pk),
            success=_("The run was queued again."),
        )

    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel a run that is queued or running."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=_("Committed pages stay. Its worker will not write any more."),
            label=_("Cancel run"),
            act=lambda: engine.cancel_sync_run(id=row.pk),
            success=_("The run was cancelled."),
        )


@admin.register(SyncPage)
class SyncPageAdmin(EngineAdmin):
    """Committed pages of sync runs."""

    list_display = (
        *("number", "attempt", "created", "updated"),
        *("unchanged", "deleted", "committed_at", "run_id"),
    )
    ordering = ("-run_id", "-number")
    lookups = frozenset({"run__id__exact"})
    listed = False
    facts = list_display
    documents = ("checkpoint",)
    unread = ("unchanged_revs",)

    def heading(self, request: HttpRequest, row: SyncPage) -> str:
        return _("Page %(number)s") % {"number": number_text(row.number)}

    def tools(self, request: HttpRequest, row: SyncPage) -> list[Link]:
        return [Link(_("Sync run"), self.url("syncrun_change", row.run_id))]


def reason_of(run: SyncRun, *, with_content: bool) -> str:
    """Return the error of a run: its type, and its message for users who may read content."""
    if not run.error:
        return ""
    kind, message = run.error["type"], run.error["message"]
    return f"{kind}: {message}" if with_content and message else kind


def duration_of(run: SyncRun) -> timedelta | None:
    """Return the duration of a run so far; None before its start."""
    if run.started_at is None:
        return None
    return (run.finished_at or timezone.now()) - run.started_at


def _timed(run: SyncRun, newest_first: Sequence[SyncPage]) -> list[TimedPage]:
    """Return the pages of a run with their durations; that of the first begins with the run."""
    pages = list(newest_first)
    begins = run.started_at if pages and pages[-1].number == 1 else None
    commits: list[datetime | None] = [page.committed_at for page in pages]
    times = pairwise(chain(commits, [begins]))
    return [
        TimedPage(page, None if end is None or begin is None else end - begin)
        for page, (end, begin) in zip(pages, times, strict=True)
    ]


def _log_line(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "at": datetime.fromisoformat(line["at"])}
