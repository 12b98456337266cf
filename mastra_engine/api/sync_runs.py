"""Syncs of whole sets of records, and the runs of declared syncs."""

from __future__ import annotations

from typing import Any

from django.urls import path

from mastra_engine.api.operations import Example, operation
from mastra_engine.api.parsers import JsonLinesParser, JsonParser
from mastra_engine.api.views import EngineView
from mastra_engine.backends.base import MastraEngine
from mastra_engine.types import Page, SyncPage, SyncResult, SyncRun

_ID = "0196b7d2-2f4b-7c1e-9a53-0242ac120002"
_TIME = "2026-01-02T03:04:05Z"
_RUN: dict[str, Any] = {
    "id": _ID,
    "sync": "contacts",
    "connection_id": "7",
    "entity_id": _ID,
    "entity": "Contacts",
    "mode": "incremental",
    "status": "queued",
    "params": {},
    "checkpoint": None,
    "progress": None,
    "pages": 0,
    "created": 0,
    "updated": 0,
    "unchanged": 0,
    "deleted": 0,
    "attempts": 0,
    "error": None,
    "start_rev": None,
    "lease_expires_at": None,
    "created_at": _TIME,
    "started_at": None,
    "finished_at": None,
    "dry_run": False,
}


class SyncView(EngineView):
    parser_classes = [JsonParser, JsonLinesParser]

    @operation(
        MastraEngine.sync_records,
        "add_entity",
        "add_record",
        "change_record",
        "delete_record",
        fills=("connection_id",),
        lines="records",
        example=Example(
            body={
                "name": "Contacts",
                "records": [{"external_id": "c1", "data": {"name": "Alice", "age": 35}}],
                "mode": "full",
                "if_last_sync_id": "page-1",
                "last_sync_id": "page-2",
            },
            answer={
                "entity": {
                    "id": _ID,
                    "name": "Contacts",
                    "connection_id": "7",
                    "last_sync_id": "page-2",
                    "rev": 4,
                    "created_at": _TIME,
                    "updated_at": _TIME,
                },
                "created": 0,
                "updated": 1,
                "unchanged": 0,
                "deleted": 1,
                "run_id": None,
            },
        ),
    )
    def post(self, **given: Any) -> SyncResult:
        """Write records, deletions and the sync cursor in one transaction.

        `full` takes the records for the complete set, so that whatever else there is goes. As JSON
        Lines, one record per line, there may be any number of them; the rest is in the URL then.
        """
        return self.engine.sync_records(**given)


class RunsView(EngineView):
    @operation(
        MastraEngine.list_sync_runs,
        "view_syncrun",
        example=Example(
            query={"sync": "contacts", "status": "queued"},
            answer={"items": [_RUN], "next_cursor": None},
        ),
    )
    def get(self, **given: Any) -> Page[SyncRun]:
        """List runs, the newest first."""
        return self.engine.list_sync_runs(**given)

    @operation(
        MastraEngine.enqueue_sync,
        "add_syncrun",
        fills=("connection_id",),
        status=202,
        example=Example(body={"sync": "contacts"}, answer=_RUN),
    )
    def post(self, **given: Any) -> SyncRun:
        """Have a worker run a declared sync; one that is queued already is not queued again."""
        return self.engine.enqueue_sync(**given)


class RunView(EngineView):
    @operation(
        MastraEngine.get_sync_run,
        "view_syncrun",
        without=("id",),
        example=Example(path={"run_id": _ID}, answer=_RUN),
    )
    def get(self, run_id: str) -> SyncRun:
        """Read a run: its status, counts, progress and error."""
        return self.engine.get_sync_run(id=run_id)


class PagesView(EngineView):
    @operation(
        MastraEngine.list_sync_pages,
        "view_syncrun",
        without=("run_id",),
        example=Example(
            path={"run_id": _ID},
            query={"limit": "1", "order": "desc"},
            answer={
                "items": [
                    {
                        "number": 1,
                        "attempt": 1,
                        "created": 0,
                        "updated": 0,
                        "unchanged": 1,
                        "deleted": 0,
                        "checkpoint": "page-1",
                        "committed_at": _TIME,
                    }
                ],
                "next_cursor": None,
            },
        ),
    )
    def get(self, run_id: str, **given: Any) -> Page[SyncPage]:
        """List what a run committed, page by page: counts, attempt and the checkpoint after it."""
        return self.engine.list_sync_pages(run_id=run_id, **given)


class CancelView(EngineView):
    @operation(
        MastraEngine.cancel_sync_run,
        "change_syncrun",
        without=("id",),
        example=Example(
            path={"run_id": _ID}, answer={**_RUN, "status": "cancelled", "finished_at": _TIME}
        ),
    )
    def post(self, run_id: str) -> SyncRun:
        """Cancel a run; its worker, if any, writes nothing more."""
        return self.engine.cancel_sync_run(id=run_id)


class RetryView(EngineView):
    @operation(
        MastraEngine.retry_sync_run,
        "change_syncrun",
        without=("id",),
        status=202,
        example=Example(path={"run_id": _ID}, answer={**_RUN, "sync": "deals"}),
    )
    def post(self, run_id: str) -> SyncRun:
        """Queue a run that failed or was cancelled again, to go on from its checkpoint."""
        return self.engine.retry_sync_run(id=run_id)


urlpatterns = [
    path("sync/", SyncView.as_view()),
    path("sync-runs/", RunsView.as_view()),
    path("sync-runs/<str:run_id>/", RunView.as_view()),
    path("sync-runs/<str:run_id>/pages/", PagesView.as_view()),
    path("sync-runs/<str:run_id>/cancel/", CancelView.as_view()),
    path("sync-runs/<str:run_id>/retry/", RetryView.as_view()),
]
