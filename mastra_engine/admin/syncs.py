"""Declared syncs of connections: starting, pausing, resuming and resetting them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.actions import form_page
from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.filters import ConnectionFilter
from mastra_engine.admin.forms import FilterField, PageForm
from mastra_engine.admin.sync_runs import duration_of, reason_of
from mastra_engine.admin.wording import term
from mastra_engine.handler import engine
from mastra_engine.models import Sync, SyncRun
from mastra_engine.registry import registry
from mastra_engine.types import sync_status

#: The number of runs that a sync's page shows; a link leads to the list of all.
LATEST = 20


class StartForm(PageForm):
    """The sync, the connection and the parameters of a run."""

    sync = forms.ChoiceField(label=gettext_lazy("Sync"))
    connection_id = forms.CharField(label=gettext_lazy("Connection ID"))
    params = FilterField(
        label=gettext_lazy("Parameters"),
        required=False,
        help_text=gettext_lazy("A JSON object; empty for none"),
    )
    reset = forms.BooleanField(
        label=gettext_lazy("From the start"),
        required=False,
        help_text=gettext_lazy("Without it, an incremental sync begins at its checkpoint."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["sync"].choices = [(name, name) for name in sorted(registry.syncs)]  # type: ignore[attr-defined]


@admin.register(Sync)
class SyncAdmin(EngineAdmin):
    """Syncs of connections with their runs, and actions on them."""

    views = (
        View("start_sync", "start/", label=gettext_lazy("Start a sync"), needs="change"),
        View("start", "<path:object_id>/start/", needs="change"),
        View("rerun", "<path:object_id>/rerun/", needs="change"),
        View("pause", "<path:object_id>/pause/", needs="change"),
        View("resume", "<path:object_id>/resume/", needs="change"),
        View("reset", "<path:object_id>/reset/", needs="change"),
    )
    list_display = ("sync", "connection_id", "mode", "status", "last_succeeded_at", "paused_at")
    search_fields = ("sync", "connection_id")
    search_help_text = gettext_lazy("The beginning of a sync name or a connection ID")
    list_filter = (ConnectionFilter,)
    lookups = frozenset({"entity__id__exact", "connection_id__exact"})
    facts = (
        *("sync", "connection_id", "mode", "last_succeeded_at", "paused_at"),
        *("created_at", "updated_at"),
    )
    documents = ("checkpoints",)
    template = "sync.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        last_run = self.rows(SyncRun).filter(pk=OuterRef("last_run_id")).values("status")
        rows: QuerySet[Any] = super().get_queryset(request).annotate(last_status=Subquery(last_run))
        return rows

    def status_of(self, row: Any) -> str:
        return sync_status(paused=row.paused_at is not None, last_status=row.last_status)

    @admin.display(description=gettext_lazy("status"))
    def status(self, row: Any) -> str:
        return term(self.status_of(row))

    def heading(self, request: HttpRequest, row: Sync) -> str:
        return _("%(sync)s of %(connection)s") % {
            "sync": row.sync,
            "connection": row.connection_id,
        }

    def tools(self, request: HttpRequest, row: Sync) -> list[Link]:
        links = [Link(_("Entity"), self.url("entity_change", row.entity_id))]
        if row.last_run_id is not None:
            links.append(Link(_("Last run"), self.url("syncrun_change", row.last_run_id)))
        if self.may(request, "change"):
            if row.paused_at is None:
                links.append(Link(_("Start"), self.url("start", row.pk)))
                links.append(Link(_("Run again from the start"), self.url("rerun", row.pk)))
                links.append(Link(_("Pause"), self.url("pause", row.pk)))
            else:
                links.append(Link(_("Resume"), self.url("resume", row.pk)))
            links.append(Link(_("Reset"), self.url("reset", row.pk), danger=True))
        return links

    def details(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        of = {"sync": row.sync, "connection_id": row.connection_id}
        runs = self.rows(SyncRun).filter(**of).order_by("-created_at", "-id")
        with_content = self.reads(request, SyncRun)
        listed = {f"{column}__exact": value for column, value in of.items()}
        return {
            "sync_status": self.status_of(row),
            "runs": [
                (run, duration_of(run), reason_of(run, with_content=with_content))
                for run in runs.defer("params", "checkpoint", "log")[:LATEST]
            ],
            "runs_url": self.url("syncrun_changelist", **listed),
        }

    def start_sync(self, request: HttpRequest) -> HttpResponse:
        """Start a declared sync of any connection."""
        form = StartForm(request.POST if request.method == "POST" else None)

        def act() -> Sync:
            run = engine.enqueue_sync(**form.cleaned_data)
            row: Sync = self.rows(Sync).get(sync=run.sync, connection_id=run.connection_id)
            return row

        return form_page(
            self,
            request,
            form,
            title=_("Start a sync"),
            heading=_("Start a sync"),
            label=_("Start"),
            act=act,
            success=_("The sync was started."),
            back=self.url("sync_changelist"),
        )

    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a run with the parameters of the last one."""
        return self._change(
            request,
            object_id,
            partial(self._enqueue, reset=False),
            label=_("Start"),
            question=_(
                "A run with the parameters of the last run is queued. An incremental sync begins "
                "at its checkpoint."
            ),
            success=_("The sync was started."),
        )

    def rerun(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a run with the parameters of the last one that begins without a checkpoint."""
        return self._change(
            request,
            object_id,
            partial(self._enqueue, reset=True),
            label=_("Run again from the start"),
            question=_(
                "A run with the parameters of the last run is queued. It reads the source from "
                "the start; records that did not change are not written."
            ),
            success=_("The sync was started from the start."),
        )

    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause a sync."""
        return self._change(
            request,
            object_id,
            engine.pause_sync,
            label=_("Pause"),
            question=_("A running run ends after its next page; no new runs begin."),
            success=_("The sync is paused."),
        )

    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Resume a paused sync."""
        return self._change(
            request,
            object_id,
            engine.resume_sync,
            label=_("Resume"),
            question=_("New runs may begin again; the next one begins at the checkpoint."),
            success=_("The sync is resumed."),
        )

    def reset(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Delete the checkpoints of a sync."""
        return self._change(
            request,
            object_id,
            engine.reset_sync,
            label=_("Reset"),
            question=_("The checkpoints are deleted, so the next run begins at the start."),
            success=_("The sync was reset."),
        )

    def _enqueue(self, sync: str, *, connection_id: str, reset: bool) -> None:
        last_runs = self.rows(SyncRun).filter(sync=sync, connection_id=connection_id)
        params = last_runs.order_by("-created_at", "-id").values_list("params", flat=True).first()
        engine.enqueue_sync(sync, connection_id=connection_id, params=params, reset=reset)

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
