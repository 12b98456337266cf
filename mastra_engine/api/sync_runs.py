"""Views of syncs and of the runs of declared syncs."""

from __future__ import annotations

from typing import Any

from mastra_engine.api.operations import Example, operation
from mastra_engine.api.parsers import JsonLinesParser, JsonParser
from mastra_engine.api.views import EngineView, route
from mastra_engine.backends.base import MastraEngine
from mastra_engine.types import Page, Sync, SyncPage, SyncResult, SyncRun

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
_OF: dict[str, str] = {"connection_id": "7"}
_SYNC: dict[str, Any] = {
    "sync": "leads",
    "connection_id": "7",
    "entity_id": _ID,
    "entity": "Contacts",
    "mode": "incremental",
    "status": "idle",
    "checkpoint": "page-1",
    "last_run_id": _ID,
    "last_succeeded_at": _TIME,
    "paused_at": None,
    "created_at": _TIME,
    "updated_at": _TIME,
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
    def post(self, **arguments: Any) -> SyncResult:
        """Sync records into an entity.

        Records, deletions and the sync cursor are written in one transaction; an entity that does
        not exist is created. With `mode=full` the records are the complete set: all other records
        of the entity are deleted. As JSON Lines, one record per line, a request can have any number
        of records; the other arguments are then in the URL. A body without lines would delete all
        records: it is refused with 409 unless `allow_empty` is true.
        """
        return self.engine.sync_records(**arguments)


class RunsView(EngineView):
    @operation(
        MastraEngine.list_sync_runs,
        "view_syncrun",
        example=Example(
            query={"sync": "contacts", "status": "queued"},
            answer={"items": [_RUN], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> Page[SyncRun]:
        """List sync runs.

        The newest comes first.
        """
        return self.engine.list_sync_runs(**arguments)

    @operation(
        MastraEngine.enqueue_sync,
        "add_syncrun",
        fills=("connection_id",),
        status=202,
        example=Example(body={"sync": "contacts", "connection_id": "7"}, answer=_RUN),
    )
    def post(self, **arguments: Any) -> SyncRun:
        """Queue a run of a declared sync.

        The default access policy allows it to staff with the permission `add_syncrun` only. A
        worker runs the sync. If a run with the same parameters is queued already, that run is
        returned.
        """
        return self.engine.enqueue_sync(**arguments)


class RunView(EngineView):
    @operation(
        MastraEngine.get_sync_run,
        "view_syncrun",
        variables={"id": "run_id"},
        example=Example(path={"run_id": _ID}, answer=_RUN),
    )
    def get(self, run_id: str) -> SyncRun:
        """Read a sync run.

        The response has its status, numbers of changed records, progress and error.
        """
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
    def get(self, run_id: str, **arguments: Any) -> Page[SyncPage]:
        """List the pages of a sync run.

        A page is the changes of one commit, with their numbers, the attempt and the checkpoint.
        """
        return self.engine.list_sync_pages(run_id=run_id, **arguments)


class CancelView(EngineView):
    @operation(
        MastraEngine.cancel_sync_run,
        "change_syncrun",
        variables={"id": "run_id"},
        example=Example(
            path={"run_id": _ID}, answer={**_RUN, "status": "cancelled", "finished_at": _TIME}
        ),
    )
    def post(self, run_id: str) -> SyncRun:
        """Cancel a sync run.

        Its worker writes nothing more. A run that ended already is refused with 409.
        """
        return self.engine.cancel_sync_run(id=run_id)


class RetryView(EngineView):
    @operation(
        MastraEngine.retry_sync_run,
        "add_syncrun",
        "change_syncrun",
        variables={"id": "run_id"},
        status=202,
        example=Example(path={"run_id": _ID}, answer={**_RUN, "sync": "deals"}),
    )
    def post(self, run_id: str) -> SyncRun:
        """Retry a sync run.

        A run that failed or was cancelled is queued again and resumes from its checkpoint. Any
        other run is refused with 409.
        """
        return self.engine.retry_sync_run(id=run_id)


class SyncsView(EngineView):
    @operation(
        MastraEngine.list_syncs,
        "view_sync",
        example=Example(
            query={"sync": "leads", "status": "idle"},
            answer={"items": [_SYNC], "next_cursor": None},
        ),
    )
    def get(self, **arguments: Any) -> Page[Sync]:
        """List the declared syncs of connections.

        A sync is listed once it has been run on a connection. The order is by name and connection.
        """
        return self.engine.list_syncs(**arguments)


class DeclaredSyncView(EngineView):
    @operation(
        MastraEngine.get_sync,
        "view_sync",
        fills=("connection_id",),
        example=Example(path={"sync": "leads"}, query=_OF, answer=_SYNC),
    )
    def get(self, sync: str, connection_id: str) -> Sync:
        """Read a declared sync of a connection.

        The response has its status, its checkpoint and its last run.
        """
        return self.engine.get_sync(sync, connection_id=connection_id)


class PauseView(EngineView):
    @operation(
        MastraEngine.pause_sync,
        "change_sync",
        fills=("connection_id",),
        example=Example(
            path={"sync": "leads"},
            body=_OF,
            answer={**_SYNC, "status": "paused", "paused_at": _TIME},
        ),
    )
    def post(self, sync: str, connection_id: str) -> Sync:
        """Pause a declared sync of a connection.

        A queued run is cancelled, and a running one ends as cancelled after its next page. New
        runs are refused with 409 until the sync is resumed.
        """
        return self.engine.pause_sync(sync, connection_id=connection_id)


class ResumeView(EngineView):
    @operation(
        MastraEngine.resume_sync,
        "change_sync",
        fills=("connection_id",),
        example=Example(path={"sync": "leads"}, body=_OF, answer=_SYNC),
    )
    def post(self, sync: str, connection_id: str) -> Sync:
        """Resume a paused sync of a connection.

        This starts no run. The next run begins at the checkpoint.
        """
        return self.engine.resume_sync(sync, connection_id=connection_id)


class ResetView(EngineView):
    @operation(
        MastraEngine.reset_sync,
        "change_sync",
        fills=("connection_id",),
        example=Example(path={"sync": "leads"}, body=_OF, answer={**_SYNC, "checkpoint": None}),
    )
    def post(self, sync: str, connection_id: str) -> Sync:
        """Delete the checkpoints of a declared sync of a connection.

        The next run begins at the start. Records are not changed. While a run is queued or
        running, the request is refused with 409.
        """
        return self.engine.reset_sync(sync, connection_id=connection_id)


urlpatterns = [
    route("sync/", SyncView, name="sync"),
    route("syncs/", SyncsView, name="syncs"),
    route("syncs/<str:sync>/", DeclaredSyncView, name="declared-sync"),
    route("syncs/<str:sync>/pause/", PauseView, name="sync-pause"),
    route("syncs/<str:sync>/resume/", ResumeView, name="sync-resume"),
    route("syncs/<str:sync>/reset/", ResetView, name="sync-reset"),
    route("sync-runs/", RunsView, name="sync-runs"),
    route("sync-runs/<str:run_id>/", RunView, name="sync-run"),
    route("sync-runs/<str:run_id>/pages/", PagesView, name="sync-run-pages"),
    route("sync-runs/<str:run_id>/cancel/", CancelView, name="sync-run-cancel"),
    route("sync-runs/<str:run_id>/retry/", RetryView, name="sync-run-retry"),
]
