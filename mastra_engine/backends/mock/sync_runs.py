"""Runs of declared syncs in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.sync_runs.store import (
    Advanced,
    FromNow,
    Guard,
    NewPage,
    NewRun,
    RunStore,
)
from mastra_engine.backends.mock.rows import RunRow, SyncRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.exceptions import EntityNotFound, SyncNotFound, SyncPaused
from mastra_engine.types import (
    ACTIVE,
    RunStatus,
    Sync,
    SyncLogLine,
    SyncPage,
    SyncRun,
    SyncStatus,
    sync_status,
)


class MockRunStore(RunStore):
    """The runs as immutable rows, which are replaced under the store's lock."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        with self.store.lock:
            entity = self.store.entities.get(new.entity_id)
            if entity is None:
                raise EntityNotFound(id=new.entity_id)
            if self._sync(new).paused_at is not None:
                raise SyncPaused(name=new.sync, connection_id=new.connection_id)
            if self._active(new.sync, new.connection_id):
                return None
            values = {field.name: deepcopy(getattr(new, field.name)) for field in fields(new)}
            sync = self._sync(new)
            own = [value for params, value in sync.checkpoints if params == new.params]
            checkpoint = deepcopy(own[0]) if own and values.pop("resume") else None
            values.pop("resume", None)
            run = SyncRun(
                id=uuid7(),
                entity=entity.name,
                created_at=now(),
                checkpoint=checkpoint,
                **values,
                **_INITIAL,
            )
            self.store.runs[run.id] = RunRow(run)
            self.store.syncs[new.sync, new.connection_id] = sync.with_checkpoint(
                run.params, checkpoint, entity_id=entity.id, mode=new.mode, last_run_id=run.id
            )
            self._expire(run, keep=keep)
            return deepcopy(run)

    def list_syncs(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        status: SyncStatus | None = None,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Sync]:
        with self.store.lock:
            syncs = [
                self._sync_value(row)
                for key, row in sorted(self.store.syncs.items())
                if sync in (None, row.sync)
                and connection_id in (None, row.connection_id)
                and (connection_ids is None or row.connection_id in connection_ids)
                and (after is None or key > after)
            ]
        return [value for value in syncs if status in (None, value.status)][:limit]

    def set_paused(self, sync: str, connection_id: str, *, paused: bool) -> None:
        with self.store.lock:
            row = self.store.syncs[sync, connection_id]
            since = (row.paused_at or now()) if paused else None
            self.store.syncs[sync, connection_id] = replace(row, paused_at=since, updated_at=now())

    def clear_checkpoints(self, sync: str, connection_id: str) -> None:
        with self.store.lock:
            row = self.store.syncs[sync, connection_id]
            cleared = replace(row, checkpoints=(), updated_at=now())
            self.store.syncs[sync, connection_id] = cleared

    def find(self, id: UUID, *, connection_ids: Collection[str] | None = None) -> SyncRun:
        with self.store.lock:
            row = self.store.runs.get(id)
            if row is None or (
                connection_ids is not None and row.run.connection_id not in connection_ids
            ):
                raise SyncNotFound(run_id=id)
            return deepcopy(row.run)

    def select(
        self,
        *,
        sync: str | None = None,
        connection_id: str | None = None,
        connection_ids: Collection[str] | None = None,
        params: dict[str, Any] | None = None,
        statuses: tuple[RunStatus, ...] = (),
        before: tuple[datetime, UUID] | None = None,
        limit: int = 1,
    ) -> list[SyncRun]:
        with self.store.lock:
            runs = [
                row.run
                for row in sorted(self.store.runs.values(), key=_age, reverse=True)
                if sync in (None, row.run.sync)
                and connection_id in (None, row.run.connection_id)
                and (connection_ids is None or row.run.connection_id in connection_ids)
                and params in (None, row.run.params)
                and (not statuses or row.run.status in statuses)
                and (before is None or _age(row) < before)
            ]
            return deepcopy(runs[:limit])

    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        with self.store.lock:
            row = self.store.runs.get(id)
            if row is None or not _holds(guard, row):
                return False
            values = {field: _stored(value) for field, value in changes.items()}
            token = values.pop("lease_token", row.lease_token)
            log = values.pop("log", row.log)
            run = replace(row.run, **values)
            others = self._active(run.sync, run.connection_id) - {id}
            if others and run.status in ACTIVE:
                return False
            self.store.runs[id] = replace(row, run=run, lease_token=token, log=log)
            return True

    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        return self.update(id, guard, lease_expires_at=FromNow(seconds))

    def advance(
        self,
        run: SyncRun,
        guard: Guard,
        page: NewPage | None,
        *,
        lease: float | None,
        log: list[SyncLogLine] | None,
    ) -> Advanced:
        changes: dict[str, Any] = {field: getattr(run, field) for field in _ADVANCING}
        if lease is None:
            changes |= {"status": "succeeded", "error": None, "finished_at": FromNow()}
            changes |= {"lease_token": None, "lease_expires_at": None}
        else:
            changes["lease_expires_at"] = FromNow(lease)
        if log is not None:
            changes["log"] = log
        with self.store.lock:
            if not self.update(run.id, guard, **changes):
                return "lost"
            if page is not None:
                self._add(run.id, page)
            return "paused" if self._store_checkpoint(run, ends=lease is None) else "advanced"

    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        with self.store.lock:
            row = self.store.runs.get(id)
            pages = () if row is None else row.pages
            if after is not None:
                beyond = range(after) if descending else range(after + 1, len(pages) + 1)
                pages = tuple(page for page in pages if page.number in beyond)
            return deepcopy(list(pages[::-1] if descending else pages)[:limit])

    def log(self, id: UUID) -> list[SyncLogLine]:
        with self.store.lock:
            row = self.store.runs.get(id)
            return [] if row is None else list(row.log)

    def unchanged_revs(self, id: UUID) -> list[bytes]:
        with self.store.lock:
            row = self.store.runs.get(id)
            return [] if row is None else list(row.unchanged_revs)

    def forget(self, id: UUID) -> None:
        with self.store.lock:
            self.store.runs[id] = replace(self.store.runs[id], unchanged_revs=())

    def shared(self) -> bool:
        return True

    def after_commit(self, act: Callable[[], None]) -> None:
        self.store.after_commit(act)

    @contextmanager
    def undone(self) -> Iterator[None]:
        with self.store.transaction(undone=True):
            entities = [(row, row.copy()) for row in self.store.entities.values()]
            # Rows of runs and syncs are replaced, never changed.
            runs, syncs = dict(self.store.runs), dict(self.store.syncs)
            try:
                yield
            finally:
                for row, before in entities:
                    row.restore(before)
                self.store.entities = {row.id: row for row, _ in entities}
                self.store.runs, self.store.syncs = runs, syncs

    def _sync(self, new: NewRun) -> SyncRow:
        """Return the row of a run's sync, which is created if it does not exist."""
        moment = now()
        row = SyncRow(
            sync=new.sync,
            connection_id=new.connection_id,
            entity_id=new.entity_id,
            mode=new.mode,
            created_at=moment,
            updated_at=moment,
        )
        return self.store.syncs.setdefault((new.sync, new.connection_id), row)

    def _store_checkpoint(self, run: SyncRun, *, ends: bool) -> bool:
        """Store the checkpoint of the last run in its sync; return whether the sync is paused."""
        key = run.sync, run.connection_id
        row = self.store.syncs[key]
        if row.last_run_id != run.id:
            return False
        succeeded = {"last_succeeded_at": now()} if ends else {}
        self.store.syncs[key] = row.with_checkpoint(
            run.params, deepcopy(run.checkpoint), **succeeded
        )
        return row.paused_at is not None

    def _sync_value(self, row: SyncRow) -> Sync:
        last = None if row.last_run_id is None else self.store.runs.get(row.last_run_id)
        status = sync_status(
            paused=row.paused_at is not None, last_status=last.run.status if last else None
        )
        return Sync(
            sync=row.sync,
            connection_id=row.connection_id,
            entity_id=row.entity_id,
            entity=self.store.entities[row.entity_id].name,
            mode=row.mode,
            status=status,
            checkpoint=deepcopy(row.checkpoints[-1][1]) if row.checkpoints else None,
            last_run_id=row.last_run_id,
            last_succeeded_at=row.last_succeeded_at,
            paused_at=row.paused_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _add(self, id: UUID, new: NewPage) -> None:
        row = self.store.runs[id]
        page = SyncPage(
            number=row.run.pages,
            attempt=row.run.attempts,
            created=new.created,
            updated=new.updated,
            unchanged=new.unchanged,
            deleted=new.deleted,
            checkpoint=row.run.checkpoint,
            committed_at=now(),
        )
        unchanged_revs = () if new.unchanged_revs is None else (new.unchanged_revs,)
        self.store.runs[id] = replace(
            row, pages=(*row.pages, page), unchanged_revs=(*row.unchanged_revs, *unchanged_revs)
        )

    def _expire(self, latest: SyncRun, *, keep: int) -> None:
        of = latest.sync, latest.connection_id
        rows = sorted(self.store.runs.values(), key=_age, reverse=True)
        runs = [row.run for row in rows if (row.run.sync, row.run.connection_id) == of]
        for number, run in enumerate(runs[keep:], start=keep):
            if any(newer.params == run.params for newer in runs[:number]):
                del self.store.runs[run.id]

    def _active(self, sync: str, connection_id: str) -> set[UUID]:
        runs = self.select(sync=sync, connection_id=connection_id, statuses=ACTIVE, limit=2)
        return {run.id for run in runs}


_ADVANCING = ("pages", "created", "updated", "unchanged", "deleted", "checkpoint", "progress")

_INITIAL: dict[str, Any] = {
    "status": "queued",
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
    "started_at": None,
    "finished_at": None,
}


def _age(row: RunRow) -> tuple[datetime, UUID]:
    """Return the key by which runs are ordered."""
    return row.run.created_at, row.run.id


def _holds(guard: Guard, row: RunRow) -> bool:
    expires = row.run.lease_expires_at
    if row.run.status != guard.status or guard.token not in (None, row.lease_token):
        return False
    if guard.lease is None:
        return True
    return expires is not None and (expires > now()) == (guard.lease == "alive")


def _stored(value: Any) -> Any:
    if isinstance(value, FromNow):
        return now() + timedelta(seconds=value.seconds)
    return deepcopy(value)
