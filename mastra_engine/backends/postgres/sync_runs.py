"""Runs of declared syncs in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, Exists, Func, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now

from mastra_engine.backends.base.sync_runs.store import (
    Advanced,
    FromNow,
    Guard,
    NewPage,
    NewRun,
    RunStore,
)
from mastra_engine.backends.postgres.session import RACES, Session
from mastra_engine.exceptions import (
    EngineConfigError,
    EntityNotFound,
    SyncNotFound,
    SyncPaused,
    Unavailable,
)
from mastra_engine.models import Sync as SyncRow
from mastra_engine.models import SyncPage as PageRow
from mastra_engine.models import SyncRun as RunRow
from mastra_engine.postgres.sync_runs import advance
from mastra_engine.types import RunStatus, Sync, SyncLogLine, SyncPage, SyncRun, SyncStatus

#: The current time of the server, which all workers share; it advances within a transaction.
CLOCK = Func(function="clock_timestamp", output_field=DateTimeField())


class PostgresRunStore(RunStore):
    """The runs as rows, each changed by one conditional UPDATE."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def insert(self, new: NewRun, *, keep: int) -> SyncRun | None:
        row = RunRow(
            **{
                field.name: getattr(new, field.name)
                for field in fields(new)
                if field.name != "resume"
            }
        )

        def insert() -> RunRow | None:
            sync = self._locked_sync(new)
            if sync.paused_at is not None:
                raise SyncPaused(name=new.sync, connection_id=new.connection_id)
            others = [entry for entry in sync.checkpoints if entry["params"] != new.params]
            own = [entry for entry in sync.checkpoints if entry["params"] == new.params]
            row.checkpoint = own[0]["checkpoint"] if own and new.resume else None
            self._rows().bulk_create([row], ignore_conflicts=True)
            inserted = self._rows().filter(id=row.id).first()
            if inserted is None:
                return None
            checkpoint = {"params": new.params, "checkpoint": row.checkpoint}
            self._syncs().filter(id=sync.id).update(
                entity_id=new.entity_id,
                mode=new.mode,
                checkpoints=[*others, checkpoint],
                last_run_id=row.id,
                updated_at=Now(),
            )
            self._expire(inserted, keep=keep)
            return inserted

        try:
            inserted = self.session.run(insert)
        except IntegrityError as error:
            raise EntityNotFound(id=new.entity_id) from error
        return None if inserted is None else inserted.to_value()

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
        last_run = RunRow.objects.using(self.session.alias).filter(id=OuterRef("last_run_id"))
        rows = self._syncs().annotate(last_status=Subquery(last_run.values("status")))
        conditions = {
            "sync": sync,
            "connection_id": connection_id,
            "connection_id__in": connection_ids,
        }
        rows = rows.filter(
            **{lookup: value for lookup, value in conditions.items() if value is not None}
        )
        if status is not None:
            rows = rows.filter(_has_status(status))
        if after is not None:
            rows = rows.filter(Q(sync__gt=after[0]) | Q(sync=after[0], connection_id__gt=after[1]))
        with self.session.translated():
            return [
                row.to_value(row.last_status)
                for row in rows.order_by("sync", "connection_id")[:limit]
            ]

    def set_paused(self, sync: str, connection_id: str, *, paused: bool) -> None:
        rows = self._syncs().filter(sync=sync, connection_id=connection_id)
        since = Coalesce("paused_at", Now()) if paused else None
        self.session.run(lambda: rows.update(paused_at=since, updated_at=Now()), single=True)

    def clear_checkpoints(self, sync: str, connection_id: str) -> None:
        rows = self._syncs().filter(sync=sync, connection_id=connection_id)
        self.session.run(lambda: rows.update(checkpoints=[], updated_at=Now()), single=True)

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
        before: tuple[datetime, UUID] | None = None,
        limit: int = 1,
    ) -> list[SyncRun]:
        filters = {
            "sync": sync,
            "connection_id": connection_id,
            "params": params,
            "status__in": statuses or None,
        }
        rows = self._rows(connection_ids).filter(
            **{column: value for column, value in filters.items() if value is not None}
        )
        if before is not None:
            moment, id = before
            rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, id__lt=id))
        with self.session.translated():
            return [row.to_value() for row in rows.order_by("-created_at", "-id")[:limit]]

    def update(self, id: UUID, guard: Guard, **changes: Any) -> bool:
        rows = RunRow.objects.using(self.session.alias).filter(_holds(guard), id=id)
        values = {field: _stored(value) for field, value in changes.items()}
        try:
            return bool(self.session.run(lambda: rows.update(**values)))
        except IntegrityError:
            return False  # Another run of the sync and connection is active.

    def renew(self, id: UUID, guard: Guard, seconds: float) -> bool:
        # The syncs of other threads may hold all connections of Django's pool until they end.
        with self.session.separately():
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
        stored, paused = advance(
            self.session.connection,
            run,
            {} if page is None else asdict(page),
            token=guard.token,
            alive=guard.lease == "alive",
            lease=lease,
            log=None if log is None else _log_rows(log),
        )
        if not stored:
            return "lost"
        return "paused" if paused else "advanced"

    def pages(self, id: UUID, *, after: int | None, descending: bool, limit: int) -> list[SyncPage]:
        rows = self._pages(id).order_by("-number" if descending else "number")
        if after is not None:
            rows = rows.filter(**{"number__lt" if descending else "number__gt": after})
        with self.session.translated():
            return [row.to_value() for row in rows.defer("unchanged_revs")[:limit]]

    def log(self, id: UUID) -> list[SyncLogLine]:
        runs = RunRow.objects.using(self.session.alias).filter(id=id)
        with self.session.translated():
            lines = runs.values_list("log", flat=True).first() or []
        return [SyncLogLine(**{**line, "at": datetime.fromisoformat(line["at"])}) for line in lines]

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
        self.session.after_commit(act)

    def require_commit_hooks(self) -> None:
        with self.session.translated():
            reported = self.session.reports_commits()
        if not reported:
            raise EngineConfigError(
                f"No run can be queued: AUTOCOMMIT of the database {self.session.alias!r} is off, "
                "so Django does not report the commit after which its task is to be sent. Turn it "
                "on in DATABASES or for this call, with transaction.set_autocommit(True), or call "
                "run_sync()"
            )

    @contextmanager
    def undone(self) -> Iterator[None]:
        with self.session.translated(), self.session.transaction():
            yield
            transaction.set_rollback(True, using=self.session.alias)

    def _rows(self, connection_ids: Collection[str] | None = None) -> QuerySet[RunRow]:
        rows = RunRow.objects.using(self.session.alias).select_related("entity").defer("log")
        return rows if connection_ids is None else rows.filter(connection_id__in=connection_ids)

    def _syncs(self) -> QuerySet[SyncRow]:
        return SyncRow.objects.using(self.session.alias).select_related("entity")

    def _locked_sync(self, new: NewRun) -> SyncRow:
        """Lock the row of a run's sync, so that runs begin one after the other; create it first."""
        of = {"sync": new.sync, "connection_id": new.connection_id}
        for _ in range(RACES):
            row = SyncRow.objects.using(self.session.alias).filter(**of).select_for_update().first()
            if row is not None:
                return row
            created = SyncRow(**of, entity_id=new.entity_id, mode=new.mode)
            self._syncs().bulk_create([created], ignore_conflicts=True)
        raise Unavailable(
            f"The sync {new.sync!r} of connection {new.connection_id!r} was deleted by other "
            f"transactions {RACES} times in a row"
        )

    def _pages(self, run_id: UUID) -> QuerySet[PageRow]:
        return PageRow.objects.using(self.session.alias).filter(run_id=run_id)

    def _expire(self, latest: RunRow, *, keep: int) -> None:
        runs = self._rows().filter(sync=latest.sync, connection_id=latest.connection_id)
        same = runs.filter(params=OuterRef("params"))
        newer = same.filter(
            Q(created_at__gt=OuterRef("created_at"))
            | Q(created_at=OuterRef("created_at"), id__gt=OuterRef("id"))
        )
        old = runs.order_by("-created_at", "-id").values("id")[keep:]
        runs.filter(Exists(newer), id__in=old).delete()


def _has_status(status: SyncStatus) -> Q:
    if status == "paused":
        return Q(paused_at__isnull=False)
    if status == "idle":
        other = Q(last_status__in=("queued", "running", "failed"))
        return Q(paused_at=None) & (Q(last_status=None) | ~other)
    return Q(paused_at=None, last_status=status)


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
    if isinstance(value, list):
        return _log_rows(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _log_rows(lines: list[SyncLogLine]) -> list[dict[str, Any]]:
    """Return the lines of a log as JSON."""
    return [{**asdict(line), "at": line.at.isoformat()} for line in lines]
