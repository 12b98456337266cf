"""Pending work of workers, and the state of sync runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Now

from mastra_engine.models import Entity, Fact, IndexProgress, Message, Record, StateItem, SyncRun
from mastra_engine.registry import IndexDeclaration, registry
from mastra_engine.types import ACTIVE, COUNTED

#: The number of runs that ended last, which are searched for failures, and the most to report.
_LATEST, _LISTED = 1_000, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """The changes of an entity that a declared index has not read, and the time of the oldest."""

    index: str
    entity: str
    changes: int
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Pending work: messages without vectors, items, facts and changes that are not indexed.

    Messages, items of state and facts are counted up to `COUNTED`.
    `changes_since` is the time of the oldest such change. `lagging` names the declared indexes
    that have not read all changes.
    """

    messages: int
    state_items: int
    facts: int
    changes: int
    changes_since: datetime | None
    lagging: list[Lag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A failed run; `error` is the message of the exception, without secrets."""

    id: UUID
    sync: str
    connection_id: str
    finished_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SilentRun:
    """A run with a silent worker, which lost the run at `lease_expired_at`."""

    id: UUID
    sync: str
    connection_id: str
    lease_expired_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The number of active runs; the lease of a `stalled` one has expired.

    `failures` are the last failed runs among the 1,000 runs that ended last, `silent` the stalled
    runs that began last.
    """

    queued: int
    running: int
    stalled: int
    failures: list[Run]
    silent: list[SilentRun]


def read_waiting(alias: str) -> Waiting:
    """Return the pending work of an alias."""
    # This is the condition of a partial index, which contains no other rows.
    messages = Message.objects.using(alias).filter(~Q(text=""), embedded_at=None)
    facts = Fact.objects.using(alias).filter(is_indexed=False)
    items = StateItem.objects.using(alias).filter(is_pending=True)
    lags = read_lags(alias)
    return Waiting(
        messages=_counted(messages),
        state_items=_counted(items),
        facts=_counted(facts),
        changes=sum(lag.changes for lag in lags),
        changes_since=min((lag.since for lag in lags if lag.since), default=None),
        lagging=lags,
    )


def read_lags(alias: str) -> list[Lag]:
    """Return the declared indexes that have not read all changes of an entity."""
    lags = (_lag(alias, declared) for declared in registry.indexes.values())
    return [lag for lag in lags if lag.changes]


def read_runs(alias: str) -> Runs:
    """Return the number of active runs, the last failures and the runs of silent workers."""
    runs = SyncRun.objects.using(alias)
    silent = Q(status="running", lease_expires_at__lte=Now())
    counts = runs.filter(status__in=ACTIVE).aggregate(
        queued=Count("id", filter=Q(status="queued")),
        running=Count("id", filter=Q(status="running")),
        stalled=Count("id", filter=silent),
    )
    ended = runs.filter(finished_at__isnull=False).order_by("-finished_at", "-id")
    failed = ended.filter(id__in=ended.values("id")[:_LATEST], status="failed")[:_LISTED]
    stalled = runs.filter(silent).order_by("-id")[:_LISTED]
    return Runs(
        **counts,
        failures=[_failure(run) for run in failed],
        silent=[_silent(run) for run in stalled],
    )


def _failure(run: SyncRun) -> Run:
    error = run.error or {}
    return Run(
        id=run.id,
        sync=run.sync,
        connection_id=run.connection_id,
        finished_at=run.finished_at or run.created_at,
        error=f"{error.get('type', '')}: {error.get('message', '')}",
    )


def _silent(run: SyncRun) -> SilentRun:
    return SilentRun(
        id=run.id,
        sync=run.sync,
        connection_id=run.connection_id,
        lease_expired_at=run.lease_expires_at or run.created_at,
    )


def _lag(alias: str, declared: IndexDeclaration) -> Lag:
    """Return the number of changes that an index has not read, and the time of the oldest one.

    Changes of entities without an IndexProgress count too.
    """
    marks = IndexProgress.objects.filter(entity=OuterRef("id"), vector_index__name=declared.index)
    # The index on `rev` is partial; its condition is true for all rows and must be repeated.
    after = Record.objects.filter(entity=OuterRef("id"), rev__gt=OuterRef("read"), rev__gte=0)
    entities = Entity.objects.using(alias).filter(name=declared.entity)
    behind = entities.annotate(
        read=Coalesce(Subquery(marks.values("rev")), 0),
        since=Subquery(after.order_by("rev").values("updated_at")[:1]),
    ).filter(rev__gt=F("read"))
    totals = behind.aggregate(number=Sum(F("rev") - F("read")), first=Min("since"))
    return Lag(
        index=declared.index,
        entity=declared.entity,
        changes=int(totals["number"] or 0),
        since=totals["first"],
    )


def _counted(rows: QuerySet[Any]) -> int:
    return rows[:COUNTED].count()
