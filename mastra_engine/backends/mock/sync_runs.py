"""Runs of declared syncs in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewPage, NewRun, RunStore
from mastra_engine.backends.mock.store import RunRow, Store, now
from mastra_engine.exceptions import EntityNotFound, SyncNotFound
from mastra_engine.types import ACTIVE, RunStatus, SyncPage, SyncRun


class MockRunStore(RunStore):
    """The runs as immutable rows, which are replaced under the store's lock."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        with self.store.lock:
            entity = self.store.entities.get(new.entity_id)
            if entity is None:
                raise EntityNotFound(id=new.entity_id)
            if self._active(new.sync, new.connection_id):
                return None
            values = {field.name: deepcopy(getattr(new, field.name)) for field in fields(new)}
            run = SyncRun(id=uuid7(), entity=entity.name, created_at=now(), **values, **_INITIAL)
            self.store.runs[run.id] = RunRow(run)
            self._expire(run, keep=keep)
            return deepcopy(run)

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
        before: UUID | None = None,
        limit: int = 1,
    ) -> list[SyncRun]:
        with self.store.lock:
            runs = [
                row.run
                for id, row in sorted(self.store.runs.items(), reverse=True)
                if sync in (None, row.run.sync)
                and connection_id in (None, row.run.connection_id)
                and (connection_ids is None or row.run.connection_id in connection_ids)
                and params in (None, row.run.params)
                and (not statuses or row.run.status in statuses)
                and (before is None or id < before)
            ]
            return deepcopy(runs[:limit])

    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        with self.store.lock:
            row = self.store.runs.get(id)
            if row is None or not _holds(guard, row):
                return False
            values = {field: _stored(value) for field, value in changes.items()}
            token = values.pop("lease_token", row.lease_token)
            run = replace(row.run, **values)
            others = self._active(run.sync, run.connection_id) - {id}
            if others and run.status in ACTIVE:
                return False
            self.store.runs[id] = replace(row, run=run, lease_token=token)
            return True

    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        return self.update(id, guard, lease_expires_at=FromNow(seconds))

    def advance(
        self, run: SyncRun, guard: Guard, page: NewPage | None, *, lease: float | None
    ) -> bool:
        changes: dict[str, Any] = {field: getattr(run, field) for field in _ADVANCING}
        if lease is None:
            changes |= {"status": "succeeded", "error": None, "finished_at": FromNow()}
            changes |= {"lease_token": None, "lease_expires_at": None}
        else:
            changes["lease_expires_at"] = FromNow(lease)
        with self.store.lock:
            advanced = self.update(run.id, guard, **changes)
            if advanced and page is not None:
                self._add(run.id, page)
            return advanced

    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        with self.store.lock:
            row = self.store.runs.get(id)
            pages = () if row is None else row.pages
            if after is not None:
                beyond = range(after) if descending else range(after + 1, len(pages) + 1)
                pages = tuple(page for page in pages if page.number in beyond)
            return deepcopy(list(pages[::-1] if descending else pages)[:limit])

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
            runs = dict(self.store.runs)  # A shallow copy: rows are replaced, never changed.
            try:
                yield
            finally:
                for row, before in entities:
                    row.restore(before)
                self.store.entities = {row.id: row for row, _ in entities}
                self.store.runs = runs

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
        key = latest.sync, latest.connection_id
        rows = sorted(self.store.runs.items(), reverse=True)
        runs = [row.run for _, row in rows if (row.run.sync, row.run.connection_id) == key]
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
