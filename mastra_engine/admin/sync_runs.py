"""Sync runs: their progress and results, retries and cancellation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, get_args

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.handler import engine
from mastra_engine.models import Sync, SyncPage, SyncRun
from mastra_engine.types import ACTIVE, RunStatus

_RETRYABLE = ("failed", "cancelled")
COUNTS = ("pages", "created", "updated", "unchanged", "deleted")
#: The number of pages that a run's page shows; a link leads to the list of all.
LATEST = 10


class StatusFilter(admin.SimpleListFilter):
    """A filter by status with fixed choices: Django would read them from all runs."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        return [(status, status.capitalize()) for status in get_args(RunStatus)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(status=self.value()) if self.value() else queryset


@admin.register(Sync)
class SyncAdmin(EngineAdmin):
    """Declared syncs of connections: pausing, resuming and resetting them."""

    views = (
        View("pause", "<path:object_id>/pause/", needs="change"),
        View("resume", "<path:object_id>/resume/", needs="change"),
        View("reset", "<path:object_id>/reset/", needs="change"),
    )
    list_display = ("sync", "connection_id", "mode", "last_succeeded_at", "paused_at")
    search_fields = ("sync", "connection_id")
    search_help_text = "The beginning of a sync name or a connection ID"
    lookups = frozenset({"entity__id__exact"})
    facts = (*list_display, "created_at", "updated_at")
    documents = ("checkpoints",)

    def heading(self, request: HttpRequest, row: Sync) -> str:
        return f"{row.sync} of {row.connection_id}"

    def tools(self, request: HttpRequest, row: Sync) -> list[Link]:
        links = [Link("Entity", self.url("entity_change", row.entity_id))]
        if row.last_run_id is not None:
            links.append(Link("Last run", self.url("syncrun_change", row.last_run_id)))
        if self.may(request, "change"):
            name, label = ("pause", "Pause") if row.paused_at is None else ("resume", "Resume")
            links.append(Link(label, self.url(name, row.pk)))
            links.append(Link("Reset", self.url("reset", row.pk), danger=True))
        return links

    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a sync."""
        return self._change(
            request,
            object_id,
            engine.pause_sync,
            label="Pause",
            question="A running run ends after its next page; no new runs begin.",
            success="The sync is paused.",
        )

    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resume a paused sync."""
        return self._change(
            request,
            object_id,
            engine.resume_sync,
            label="Resume",
            question="New runs may begin again; the next one begins at the checkpoint.",
            success="The sync is resumed.",
        )

    def reset(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Delete the checkpoints of a sync."""
        return self._change(
            request,
            object_id,
            engine.reset_sync,
            label="Reset",
            question="The checkpoints are deleted, so the next run begins at the start.",
            success="The sync was reset.",
        )

    def _change(
        self,
        request: HttpRequest,
        object_id: str,
        change: Callable[..., object],
        *,
        label: str,
        question: str,
        success: str,
    ) -> HttpResponse:
        """Show a question; on POST, change the sync."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=question,
            label=label,
            act=lambda: change(row.sync, connection_id=row.connection_id),
            success=success,
        )


@admin.register(SyncRun)
class SyncRunAdmin(EngineAdmin):
    """Sync runs with their counts, checkpoints and errors."""

    views = (
        View("progress", "<path:object_id>/progress/"),
        View("retry", "<path:object_id>/retry/", needs="change"),
        View("cancel", "<path:object_id>/cancel/", needs="change"),
    )
    list_display = (
        *("sync", "connection_id", "status"),
        *("created", "updated", "deleted", "started_at"),
    )
    list_filter = (StatusFilter,)
    search_fields = ("sync", "connection_id")
    search_help_text = "The beginning of a sync name or a connection ID"
    lookups = frozenset({"status", "entity__id__exact"})
    facts = (
        *("sync", "connection_id", "mode", "attempts", "created_at"),
        *("started_at", "finished_at", "lease_expires_at"),
    )
    documents = ("params", "checkpoint")
    template = "run.html"

    def heading(self, request: HttpRequest, row: SyncRun) -> str:
        return f"{row.sync} of {row.connection_id}"

    def tools(self, request: HttpRequest, row: SyncRun) -> list[Link]:
        links = [
            Link("Entity", self.url("entity_change", row.entity_id)),
            Link("Changes", self.url("changes", row.entity_id, after=row.start_rev or 0)),
        ]
        if self.may(request, "change"):
            if row.status in _RETRYABLE:
                links.append(Link("Retry", self.url("retry", row.pk)))
            if row.status in ACTIVE:
                links.append(Link("Cancel", self.url("cancel", row.pk), danger=True))
        return links

    def details(self, request: HttpRequest, row: SyncRun) -> dict[str, Any]:
        return {
            "counts": [fact._replace(help="") for fact in self.labelled(row, COUNTS)],
            "duration": _duration(row),
            "active": row.status in ACTIVE,
            "latest": self.rows(SyncPage)
            .filter(run_id=row.pk)
            .defer("checkpoint", "unchanged_revs")
            .order_by("-number")[:LATEST],
            "pages_url": self.url("syncpage_changelist", run__id__exact=row.pk),
        }

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
            question="The run will resume from its checkpoint.",
            label="Retry",
            act=lambda: engine.retry_sync_run(id=row.pk),
            success="The run was queued again.",
        )

    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel a run that is queued or running."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question="Committed pages stay. Its worker will not write any more.",
            label="Cancel run",
            act=lambda: engine.cancel_sync_run(id=row.pk),
            success="The run was cancelled.",
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
        return f"Page {row.number:,}"

    def tools(self, request: HttpRequest, row: SyncPage) -> list[Link]:
        return [Link("Sync run", self.url("syncrun_change", row.run_id))]


def _duration(run: SyncRun) -> timedelta | None:
    """Return the duration of a run so far, rounded to seconds; None before its start."""
    if run.started_at is None:
        return None
    duration = (run.finished_at or timezone.now()) - run.started_at
    return timedelta(seconds=round(duration.total_seconds()))
