"""Runs of declared syncs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Exists, Func, OuterRef, Q, QuerySet

from mastra_engine.backends.base.sync_runs.store import FromNow, Guard, NewPage, NewRun, RunStore
from mastra_engine.backends.postgres.session import Session
from mastra_engine.exceptions import EntityNotFound, SyncNotFound
from mastra_engine.models import SyncPage as PageRow
from mastra_engine.models import SyncRun as RunRow
from mastra_engine.postgres.sync_runs import advance
from mastra_engine.types import RunStatus, SyncPage, SyncRun

#: The current time of the server, which all workers share; it advances within a transaction.
CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


class PostgresRunStore(RunStore):
    """The runs as rows, each changed by one conditional UPDATE."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        row = RunRow(**{field.name: getattr(new, field.name) for field in fields(new)})

        def insert() -> RunRow | None:
            self._rows().bulk_create([row], ignore_conflicts=True)
            inserted = self._rows().filter(id=row.id).first()
            if inserted is not None:
                self._expire(inserted, keep=keep)
            return inserted

        try:
            inserted = self.session.run(insert)
        except IntegrityError as error:
            raise EntityNotFound(id=new.entity_id) from error
        return None if inserted is None else inserted.to_value()

    def find(self, id: UUID, *, connection_ids: Collection[str] | None = None) -> SyncRun:
        with self.session.translated():
            row = self._rows(connection_ids).filter(id=id).first()
        if row is None:
            raise SyncNotFound(run_id=id)
        return row.to_value()

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
        filters = {
            "sync": sync,
            "connection_id": connection_id,
            "params": params,
            "status__in": statuses or None,
            "id__lt": before,
        }
        rows = self._rows(connection_ids).filter(
            **{column: value for column, value in filters.items() if value is not None}
        )
        with self.session.translated():
            return [row.to_value() for row in rows.order_by("-id")[:limit]]

    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        rows = RunRow.objects.using(self.session.alias).filter(_holds(guard), id=id)
        values = {field: _stored(value) for field, value in changes.items()}
        try:
            return bool(self.session.run(lambda: rows.update(**values)))
        except IntegrityError:
            return False  # Another run of the sync and connection is active.

    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        try:
            return self.update(id, guard, lease_expires_at=FromNow(seconds))
        finally:
            self.session.connection.close()

    def advance(
        self, run: SyncRun, guard: Guard, page: NewPage | None, *, lease: float | None
    ) -> bool:
        return advance(
            self.session.connection,
            run,
            {} if page is None else asdict(page),
            token=guard.token,
            alive=guard.lease == "alive",
            lease=lease,
        )

    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        rows = self._pages(id).order_by("-number" if descending else "number")
        if after is not None:
            rows = rows.filter(**{"number__lt" if descending else "number__gt": after})
        with self.session.translated():
            return [row.to_value() for row in rows.defer("unchanged_revs")[:limit]]

    def unchanged_revs(self, id: UUID) -> list[bytes]:
        with self.session.translated():
            rows = self._pages(id).values_list("unchanged_revs", flat=True)
            return [bytes(packed) for packed in rows if packed is not None]

    def forget(self, id: UUID) -> None:
        self._pages(id).exclude(unchanged_revs=None).update(unchanged_revs=None)

    def shared(self) -> bool:
        with self.session.translated():
            return self.session.connection.get_autocommit()

    def after_commit(self, act: Callable[[], None]) -> None:
        transaction.on_commit(act, using=self.session.alias)

    @contextmanager
    def undone(self) -> Iterator[None]:
        with self.session.translated(), self.session.transaction():
            yield
            transaction.set_rollback(True, using=self.session.alias)

    def _rows(self, connection_ids: Collection[str] | None = None) -> QuerySet[RunRow]:
        rows = RunRow.objects.using(self.session.alias).select_related("entity")
        return rows if connection_ids is None else rows.filter(connection_id__in=connection_ids)

    def _pages(self, run_id: UUID) -> QuerySet[PageRow]:
        return PageRow.objects.using(self.session.alias).filter(run_id=run_id)

    def _expire(self, latest: RunRow, *, keep: int) -> None:
        runs = self._rows().filter(sync=latest.sync, connection_id=latest.connection_id)
        newer = runs.filter(params=OuterRef("params"), id__gt=OuterRef("id"))
        old = runs.order_by("-id").values("id")[keep:]
        runs.filter(Exists(newer), id__in=old).delete()


def _holds(guard: Guard) -> Q:
    condition = Q(status=guard.status)
    if guard.token is not None:
        condition &= Q(lease_token=guard.token)
    if guard.lease == "alive":
        condition &= Q(lease_expires_at__gt=CLOCK)
    if guard.lease == "expired":
        condition &= Q(lease_expires_at__lte=CLOCK)
    return condition


def _stored(value: Any) -> Any:
    if isinstance(value, FromNow):
        return CLOCK + timedelta(seconds=value.seconds) if value.seconds else CLOCK
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
