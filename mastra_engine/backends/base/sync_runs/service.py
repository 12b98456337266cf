"""Declared syncs and their runs."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
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
from mastra_engine.backends.base.sync_runs.lease import Lease, LeaseLost, WorkersLost
from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewRun, RunStore
from mastra_engine.backends.base.sync_runs.worker import Watch, Worker
from mastra_engine.exceptions import (
    EntityNotFound,
    InvalidInput,
    SyncAborted,
    SyncConflict,
    Unavailable,
)
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.protocols import RunQueue
from mastra_engine.redaction import described
from mastra_engine.registry import SyncDeclaration, registry
from mastra_engine.types import ACTIVE, Order, Page, RunStatus, SyncPage, SyncRun
from mastra_engine.validation.inputs import choice, count, descends, name, uuid
from mastra_engine.validation.sync_params import parse_params, validated_params

logger = logging.getLogger("mastra_engine.syncs")

#: How often a run may end between being met and being looked at.
RACES = 20
#: Seconds before a failed run is tried again; they double each time, up to an hour.
FIRST_DELAY, LONGEST_DELAY = 10.0, 3_600.0


class SyncRuns:
    """Runs of the syncs that the project declares with `@sync`, reached as `engine.sync_runs`."""

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
        #: Carries enqueued runs to workers; without one they are performed in this process, after
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

        A run whose worker died is taken over, from its checkpoint and with its own parameters; a
        queued one is begun. A new incremental run goes on from where the last one with the same
        parameters got to, unless `reset`. `dry_run` takes everything back at the end. `watch` is
        called with the run after each page.

        Raises SyncNotFound for a sync that is not declared, InvalidInput for its parameters, and
        SyncConflict while another worker is at it, or when other parameters are queued.
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
            raise SyncConflict(f"{_named(run)} is running")
        return self._perform(declared, lease, watch=watch)

    def enqueue_sync(
        self,
        sync: str,
        *,
        connection_id: str,
        params: Mapping[str, Any] | None = None,
        reset: bool = False,
    ) -> SyncRun:
        """Have a worker run a declared sync, once this is committed; return the queued run.

        One that is queued already with the same parameters is returned; one whose worker died is
        queued again, with its checkpoint. Raises like run_sync.
        """
        _, run = self._opened(sync, connection_id, params, reset=reset)
        if run.status == "running":
            expired = Guard("running", lease="expired")
            if not self.store.update(run.id, expired, status="queued", lease_token=None):
                raise SyncConflict(f"{_named(run)} is running")
        return self._sent(run.id)

    def perform_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Perform a run that is queued, or whose worker died; return it as it is otherwise.

        This is what a task calls; calling it twice does no harm. If the queue can wait, a failed
        run is queued again, with a delay, as often as its sync allows; and a task that finds
        another worker at it comes again, since that worker may be dead and its lease not over yet.
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
            died = WorkersLost(f"{run.attempts} workers died or were stopped")
            logger.error("%s failed: %s", _named(run), died)
            self._failed(run, declared, lease, died, retry=False)
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
        made_by = fingerprint("sync runs", sync, connection_id, status)
        found = self.store.select(
            sync=None if sync is None else name(sync, "/sync"),
            connection_id=None if connection_id is None else name(connection_id, "/connection_id"),
            statuses=() if status is None else (choice(status, "/status", *get_args(RunStatus)),),  # type: ignore[arg-type]
            connection_ids=self.scope.connection_ids,
            before=None if cursor is None else uuid(decode(cursor, made_by, str)[0], "/cursor"),
            limit=limit + 1,
        )
        return page_of(found, limit, lambda run: encode(made_by, str(run.id)))

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
        """Return a page of what a run committed, page by page; raises SyncNotFound.

        A page is there from the moment its records are. A commit of nothing but a checkpoint is
        none.
        """
        id = uuid(run_id, "/run_id")
        limit = count(limit, "/limit")
        descending = descends(order)
        made_by = fingerprint("sync pages", id, descending)
        after = None if cursor is None else decode(cursor, made_by, int)[0]
        self.store.find(id, connection_ids=self.scope.connection_ids)
        found = self.store.pages(id, after=after, descending=descending, limit=limit + 1)
        return page_of(found, limit, lambda page: encode(made_by, page.number))

    def cancel_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Cancel a run; its worker, if any, writes nothing more. Raises SyncNotFound.

        Raises SyncConflict when it has ended already.
        """
        run = self.get_sync_run(id=id)
        ended = {"lease_token": None, "lease_expires_at": None, "finished_at": FromNow()}
        for status in ACTIVE:
            self.store.update(run.id, Guard(status), status="cancelled", **ended)
        run = self.get_sync_run(id=run.id)
        if run.status != "cancelled":
            raise SyncConflict(f"{_named(run)} has {run.status}")
        return run

    def retry_sync_run(self, *, id: UUID | str) -> SyncRun:
        """Queue a run that failed or was cancelled again, to go on from its checkpoint.

        Raises SyncNotFound, and SyncConflict for any other run, or when a later one was begun.
        """
        run = self.get_sync_run(id=id)
        registry.sync(run.sync)
        if run.status not in ("failed", "cancelled"):
            raise SyncConflict(f"{_named(run)} is {run.status}")
        (latest,) = self.store.select(sync=run.sync, connection_id=run.connection_id)
        again = Guard(run.status)
        if latest.id != run.id or not self.store.update(
            run.id, again, status="queued", finished_at=None
        ):
            raise SyncConflict(f"{_named(run)} was run again since")
        return self._sent(run.id)

    # Steps

    def _opened(
        self, sync: str, connection_id: str, params: Mapping[str, Any] | None, *, reset: bool
    ) -> tuple[SyncDeclaration, SyncRun]:
        """Return the active run of a sync and connection, which is a new one if there is none."""
        declared = registry.sync(name(sync, "/sync"))
        connection = connection_in(self.scope, name(connection_id, "/connection_id"))
        given = parse_params(params)
        validated_params(declared.params, given)
        for _ in range(RACES):
            new = self._insert_run(declared, connection, given, reset=reset)
            if new is not None:
                return declared, new
            active = self.store.select(
                sync=declared.name, connection_id=connection, statuses=ACTIVE
            )
            if active and active[0].status == "queued" and active[0].params != given:
                raise SyncConflict(f"{_named(active[0])} is queued with other parameters")
            if active:
                return declared, active[0]
        raise Unavailable("Runs of this sync begin and end all the time")

    def _insert_run(
        self, declared: SyncDeclaration, connection: str, params: dict[str, Any], *, reset: bool
    ) -> SyncRun | None:
        entity, _ = self.records.get_or_create_entity(
            name=declared.entity, connection_id=connection
        )
        last: list[SyncRun] = []
        if declared.mode == "incremental" and not reset:
            last = self.store.select(sync=declared.name, connection_id=connection, params=params)
        try:
            return self.store.insert(
                NewRun(
                    sync=declared.name,
                    connection_id=connection,
                    entity_id=entity.id,
                    mode=declared.mode,
                    params=params,
                    checkpoint=last[0].checkpoint if last else None,
                ),
                keep=self.history,
            )
        except EntityNotFound:
            return None  # deleted since

    def _sent(self, id: UUID, *, delay: float = 0) -> SyncRun:
        """Have a queued run performed when it is there for others to see."""
        run = self.store.find(id)
        if self.queue is None:
            self.store.after_commit(partial(self.perform_sync_run, id=id))  # type: ignore[arg-type]
        else:
            self.store.after_commit(partial(self.queue.send, id, delay=delay))
        return run

    def _can_wait(self) -> bool:
        return self.queue is not None and self.queue.can_wait

    def _lease(self, run: SyncRun) -> Lease | None:
        """Return the right to go on with a run, or None while another worker has it."""
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
            logger.warning("%s was cancelled, taken over or stopped for too long", _named(run))
        except Exception as error:
            logger.exception("%s failed", _named(run))
            self._failed(worker.run, declared, lease, error, retry=retry)
        except BaseException:
            lease.release()
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
    ) -> None:
        kept = described(error, declared.function.__module__)
        again = (
            retry
            and run.attempts < declared.max_attempts
            and self._can_wait()
            and not isinstance(error, InvalidInput | SyncAborted)  # would fail again
        )
        try:
            if again:
                lease.end(status="queued", error=kept)
                self._sent(run.id, delay=_delay(run.attempts))
            else:
                lease.end(status="failed", error=kept, finished_at=FromNow())
        except LeaseLost:
            logger.warning("%s was cancelled or taken over before it failed", _named(run))


def _delay(attempts: int) -> float:
    """Return how long to wait after so many attempts, with some chance in it."""
    delay = min(FIRST_DELAY * 2.0 ** (attempts - 1), LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter


def _named(run: SyncRun) -> str:
    return f"The sync {run.sync!r} of {run.connection_id!r}"
