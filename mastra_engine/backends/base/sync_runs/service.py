"""Declared syncs and their runs."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Self, get_args
from uuid import UUID

from mastra_engine import failpoints
from mastra_engine.backends.base.records.service import Records
from mastra_engine.backends.base.scope import (
    UNRESTRICTED,
    Scope,
    connection_in,
)
from mastra_engine.backends.base.sync_runs.lease import Lease, LeaseLost, RunPaused, WorkersLost
from mastra_engine.backends.base.sync_runs.redaction import described
from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewRun, RunStore
from mastra_engine.backends.base.sync_runs.worker import Watch, Worker
from mastra_engine.exceptions import (
    EntityNotFound,
    InvalidInput,
    SyncAborted,
    SyncConflict,
    SyncNotFound,
    SyncPaused,
    Unavailable,
)
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.protocols import RunQueue
from mastra_engine.registry import SyncDeclaration, registry
from mastra_engine.types import (
    ACTIVE,
    Order,
    Page,
    RunStatus,
    Sync,
    SyncLogLine,
    SyncPage,
    SyncRun,
    SyncStatus,
)
from mastra_engine.validation.inputs import choice, count, descends, moment, name, uuid
from mastra_engine.validation.sync_params import parse_params, validated_params

logger = logging.getLogger("mastra_engine.syncs")

#: How often to retry when the active run ends between the insert and the lookup.
RACES = 20
#: Seconds until a failed run is tried again; they double with each attempt, up to an hour.
FIRST_DELAY, LONGEST_DELAY = 10.0, 3_600.0


class SyncRuns:
    """Runs of the syncs that the project declares with `@sync`, available as `engine.sync_runs`."""

    def __init__(
        self,
        store: RunStore,
        records: Records,
        *,
        lease_seconds: float,
        history: int,
        queue: RunQueue | None = None,
    ) -> None:
        self.store = store
        self.records = records
        #: Seconds after which another worker may take over the run of a silent worker.
        self.lease_seconds = lease_seconds
        #: How many runs of a sync and connection are kept, with their pages.
        self.history = history
        #: Sends enqueued runs to workers. Without a queue they are performed in this process after
        #: the commit.
        self.queue = queue
        self.scope = UNRESTRICTED

    def in_scope(self, scope: Scope) -> Self:
        """Return a copy of this service that is restricted to a scope's connections."""
        scoped = copy(self)
        scoped.scope = scope
        return scoped

    def run_sync(
        self,
        sync: str,
        *,
        connection_id: str,
        params: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        reset: bool = False,
        watch: Watch | None = None,
    ) -> SyncRun:
        """Run a declared sync now and return its run, `failed` if its source or a page failed.

        If the last worker of a run died, the run resumes from its checkpoint, with its own
        parameters. If a run is queued, it begins. A new incremental run resumes from the checkpoint
        of the last run with the same parameters, unless `reset` is true. With `dry_run` all changes
        are rolled back at the end. `watch` is called with the run after each page.

        Raises SyncNotFound if the sync is not declared, InvalidInput for its parameters, and
        SyncConflict while another worker performs the run or when a run with other parameters is
        queued.
        """
        if dry_run:
            with self.store.undone():
                run = self.run_sync(
                    sync, connection_id=connection_id, params=params, reset=reset, watch=watch
                )
                return replace(run, dry_run=True)
        declared, run = self._opened(sync, connection_id, params, reset=reset)
        lease = self._lease(run)
        if lease is None:
            raise SyncConflict(f"{_label(run)} is running")
        return self._perform(declared, lease, watch=watch)

    def enqueue_sync(
        self,
        sync: str,
        *,
        connection_id: str,
        params: Mapping[str, Any] | None = None,
        reset: bool = False,
    ) -> SyncRun:
        """Queue a run of a declared sync for a worker and return the run.

        The worker receives it after the current transaction is committed. If a run with the same
        parameters is queued already, it is returned. If the last worker of a run died, that run is
        queued again, with its checkpoint. Raises the same errors as run_sync, and EngineConfigError
        if the database does not report commits.
        """
        self.store.require_commit_hooks()
        _, run = self._opened(sync, connection_id, params, reset=reset)
        if run.status == "running":
            expired = Guard("running", lease="expired")
            if not self.store.update(run.id, expired, status="queued", lease_token=None):
                raise SyncConflict(f"{_label(run)} is running")
        return self._sent(run.id)

    def perform_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Perform a run that is queued or that lost its worker; return any other run unchanged.

        Tasks call this method, and may call it twice. If the queue supports delays, a failed run
        is queued again with a delay, as often as its sync allows. A task that finds the run leased
        to another worker is sent again after the duration of the lease, because that worker may be
        dead although its lease has not expired yet.
        """
        run = self.get_sync_run(id=id)
        declared = registry.sync(run.sync)
        if run.status not in ACTIVE:
            return run
        lease = self._lease(run)
        if lease is None:
            if self._can_wait():
                self._sent(run.id, delay=self.lease_seconds)
            return run
        if run.status == "running" and run.attempts >= declared.max_attempts:
            error = WorkersLost(f"{run.attempts} workers died or were stopped")
            logger.error("%s failed: %s", _label(run), error)
            self._failed(run, declared, lease, error, retry=False)
            return self.store.find(run.id)
        return self._perform(declared, lease, retry=True)

    def list_sync_runs(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        status: RunStatus | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[SyncRun]:
        """Return a page of runs, the newest first."""
        limit = count(limit, "/limit")
        created_for = fingerprint("sync runs", sync, connection_id, status)
        before = None
        if cursor is not None:
            created_at, id = decode(cursor, created_for, str, str)
            before = moment(created_at, "/cursor"), uuid(id, "/cursor")
        runs = self.store.select(
            sync=None if sync is None else name(sync, "/sync"),
            connection_id=None if connection_id is None else name(connection_id, "/connection_id"),
            statuses=() if status is None else (choice(status, "/status", *get_args(RunStatus)),),  # type: ignore[arg-type]
            connection_ids=self.scope.connection_ids,
            before=before,
            limit=limit + 1,
        )
        return page_of(
            runs,
            limit,
            lambda run: encode(created_for, run.created_at.isoformat(), str(run.id)),
        )

    def get_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Return a run; raises SyncNotFound."""
        return self.store.find(uuid(id, "/id"), connection_ids=self.scope.connection_ids)

    def list_sync_pages(
        self,
        *,
        run_id: UUID | str,
        limit: int = 100,
        cursor: str | None = None,
        order: Order = "asc",
    ) -> Page[SyncPage]:
        """Return a page of the list of pages that a run committed; raises SyncNotFound.

        A page of a run is committed together with its records. A commit that contains only a
        checkpoint does not count as a page.
        """
        id = uuid(run_id, "/run_id")
        limit = count(limit, "/limit")
        descending = descends(order)
        made_by = fingerprint("sync pages", id, descending)
        after = None if cursor is None else decode(cursor, made_by, int)[0]
        self.store.find(id, connection_ids=self.scope.connection_ids)
        pages = self.store.pages(id, after=after, descending=descending, limit=limit + 1)
        return page_of(pages, limit, lambda page: encode(made_by, page.number))

    def get_sync_log(self, *, run_id: UUID | str) -> list[SyncLogLine]:
        """Return the lines that a run's sync wrote with `ctx.log`, oldest first.

        Of INFO and above, the newest 500 lines of at most 50,000 characters together are kept, for
        all attempts of the run. They are stored with the run's pages and at its end, without
        possible secrets. Raises SyncNotFound.
        """
        return self.store.log(self.get_sync_run(id=uuid(run_id, "/run_id")).id)

    def cancel_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Cancel a run and return it; its worker, if any, can write nothing more.

        Raises SyncNotFound, and SyncConflict if the run has ended already.
        """
        run = self.get_sync_run(id=id)
        ended = {"lease_token": None, "lease_expires_at": None, "finished_at": FromNow()}
        for status in ACTIVE:
            self.store.update(run.id, Guard(status), status="cancelled", **ended)
        run = self.get_sync_run(id=run.id)
        if run.status != "cancelled":
            raise SyncConflict(f"{_label(run)} has {run.status}")
        return run

    def retry_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Queue a failed or cancelled run again, so that it resumes from its checkpoint.

        Raises SyncNotFound, SyncConflict if the run has another status or is not the latest, and
        EngineConfigError as enqueue_sync.
        """
        self.store.require_commit_hooks()
        run = self.get_sync_run(id=id)
        registry.sync(run.sync)
        if run.status not in ("failed", "cancelled"):
            raise SyncConflict(f"{_label(run)} is {run.status}")
        state = self.get_sync(run.sync, connection_id=run.connection_id)
        if state.paused_at is not None:
            raise SyncPaused(name=run.sync, connection_id=run.connection_id)
        again = Guard(run.status)
        if state.last_run_id != run.id or not self.store.update(
            run.id, again, status="queued", finished_at=None
        ):
            raise SyncConflict(f"{_label(run)} was run again since")
        return self._sent(run.id)

    # Syncs of connections

    def list_syncs(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        status: SyncStatus | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Sync]:
        """Return a page of syncs that have been run, ordered by name and connection."""
        limit = count(limit, "/limit")
        created_for = fingerprint("syncs", sync, connection_id, status)
        syncs = self.store.list_syncs(
            sync=None if sync is None else name(sync, "/sync"),
            connection_id=None if connection_id is None else name(connection_id, "/connection_id"),
            connection_ids=self.scope.connection_ids,
            status=None if status is None else choice(status, "/status", *get_args(SyncStatus)),  # type: ignore[arg-type]
            after=None if cursor is None else _position(cursor, created_for),
            limit=limit + 1,
        )
        return page_of(syncs, limit, lambda row: encode(created_for, row.sync, row.connection_id))

    def get_sync(self, sync: str, *, connection_id: str) -> Sync:
        """Return a sync of a connection; raises SyncNotFound if it has not been run yet."""
        sync_name, connection = name(sync, "/sync"), name(connection_id, "/connection_id")
        syncs = self.store.list_syncs(
            sync=sync_name,
            connection_id=connection,
            connection_ids=self.scope.connection_ids,
            limit=1,
        )
        if not syncs:
            raise SyncNotFound(name=sync_name, connection_id=connection)
        return syncs[0]

    def pause_sync(self, sync: str, *, connection_id: str) -> Sync:
        """Pause a sync of a connection, and return it; new runs raise SyncPaused.

        A queued run is cancelled; a running one ends as cancelled after its next page. Raises
        SyncNotFound.
        """
        state = self.get_sync(sync, connection_id=connection_id)
        self.store.set_paused(state.sync, state.connection_id, paused=True)
        if state.last_run_id is not None:
            self.store.update(
                state.last_run_id, Guard("queued"), status="cancelled", finished_at=FromNow()
            )
        return self.get_sync(sync, connection_id=connection_id)

    def resume_sync(self, sync: str, *, connection_id: str) -> Sync:
        """Resume a paused sync of a connection, and return it; raises SyncNotFound.

        The next run begins at the checkpoint.
        """
        state = self.get_sync(sync, connection_id=connection_id)
        self.store.set_paused(state.sync, state.connection_id, paused=False)
        return self.get_sync(sync, connection_id=connection_id)

    def reset_sync(self, sync: str, *, connection_id: str) -> Sync:
        """Delete the checkpoints of a sync of a connection, and return it.

        The next run begins at the start. Raises SyncNotFound, and SyncConflict while a run is
        queued or running, since it would store its checkpoint again.
        """
        state = self.get_sync(sync, connection_id=connection_id)
        active = self.store.select(
            sync=state.sync, connection_id=state.connection_id, statuses=ACTIVE
        )
        if active:
            raise SyncConflict(f"{_label(active[0])} is {active[0].status}; cancel it first")
        self.store.clear_checkpoints(state.sync, state.connection_id)
        return self.get_sync(sync, connection_id=connection_id)

    # Steps

    def _opened(
        self, sync: str, connection_id: str, params: Mapping[str, Any] | None, *, reset: bool
    ) -> tuple[SyncDeclaration, SyncRun]:
        """Return the active run of a sync and connection, after creating it if necessary."""
        declared = registry.sync(name(sync, "/sync"))
        connection = connection_in(self.scope, name(connection_id, "/connection_id"))
        requested_params = parse_params(params)
        validated_params(declared.params, requested_params)
        for _ in range(RACES):
            new = self._insert_run(declared, connection, requested_params, reset=reset)
            if new is not None:
                return declared, new
            active = self.store.select(
                sync=declared.name, connection_id=connection, statuses=ACTIVE
            )
            queued = bool(active) and active[0].status == "queued"
            if queued and active[0].params != requested_params:
                raise SyncConflict(f"{_label(active[0])} is queued with other parameters")
            if active:
                return declared, active[0]
        raise Unavailable("Runs of this sync begin and end all the time")

    def _insert_run(
        self, declared: SyncDeclaration, connection: str, params: dict[str, Any], *, reset: bool
    ) -> SyncRun | None:
        entity, _ = self.records.get_or_create_entity(
            name=declared.entity, connection_id=connection
        )
        try:
            return self.store.insert(
                NewRun(
                    sync=declared.name,
                    connection_id=connection,
                    entity_id=entity.id,
                    mode=declared.mode,
                    params=params,
                    resume=declared.mode == "incremental" and not reset,
                ),
                keep=self.history,
            )
        except EntityNotFound:
            return None  # The entity was deleted meanwhile; the caller tries again.

    def _sent(self, id: UUID, *, delay: float = 0) -> SyncRun:
        """Send a queued run to a worker after the commit, when other processes can see it."""
        run = self.store.find(id)
        if self.queue is None:
            self.store.after_commit(partial(self.perform_sync_run, id=id))  # type: ignore[arg-type]
        else:
            self.store.after_commit(partial(self.queue.send, id, delay=delay))
        return run

    def _can_wait(self) -> bool:
        return self.queue is not None and self.queue.can_wait

    def _lease(self, run: SyncRun) -> Lease | None:
        """Acquire the lease of a run; return None while another worker holds it."""
        lease = Lease(self.store, run.id, self.lease_seconds)
        start_rev = self.records.get_entity_by_id(id=run.entity_id).rev
        return lease if lease.take(run, start_rev=start_rev) else None

    def _perform(
        self,
        declared: SyncDeclaration,
        lease: Lease,
        *,
        watch: Watch | None = None,
        retry: bool = False,
    ) -> SyncRun:
        failpoints.hit("run_claimed")
        run = self.store.find(lease.run_id)
        worker = Worker(declared, run, lease, write=self.records.write, watch=watch)
        try:
            with lease.heartbeat():
                worker.work()
        except LeaseLost:
            logger.warning("%s was cancelled, taken over or stopped for too long", _label(run))
        except RunPaused:
            logger.info("%s ends after a page, because it was paused", _label(run))
            with suppress(LeaseLost):  # cancelled at the same time
                lease.end(worker.log.unstored(), status="cancelled", finished_at=FromNow())
        except Exception as error:
            logger.exception("%s failed", _label(run))
            log = worker.log.unstored()
            self._failed(worker.run, declared, lease, error, retry=retry, log=log)
        except BaseException:
            lease.release(worker.log.unstored())
            raise
        return self.store.find(lease.run_id)

    def _failed(
        self,
        run: SyncRun,
        declared: SyncDeclaration,
        lease: Lease,
        error: Exception,
        *,
        retry: bool,
        log: list[SyncLogLine] | None = None,
    ) -> None:
        description = described(error, declared.function.__module__)
        again = (
            retry
            and run.attempts < declared.max_attempts
            and self._can_wait()
            and not isinstance(error, InvalidInput | SyncAborted)  # These would fail again.
        )
        try:
            if again:
                lease.end(log, status="queued", error=description)
                self._sent(run.id, delay=_delay(run.attempts))
            else:
                lease.end(log, status="failed", error=description, finished_at=FromNow())
        except LeaseLost:
            logger.warning("%s was cancelled or taken over before it failed", _label(run))


def _position(cursor: str, created_for: str) -> tuple[str, str]:
    sync, connection_id = decode(cursor, created_for, str, str)
    return sync, connection_id


def _delay(attempts: int) -> float:
    """Return the seconds to wait after a number of attempts, with jitter."""
    delay = min(FIRST_DELAY * 2.0 ** (attempts - 1), LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


def _label(run: SyncRun) -> str:
    return f"The sync {run.sync!r} of {run.connection_id!r}"
