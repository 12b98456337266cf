"""What waits to be done, and how the runs of syncs fare."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Now

from mastra_engine.models import Entity, IndexProgress, Message, Record, SyncRun
from mastra_engine.registry import IndexDeclaration, registry
from mastra_engine.types import ACTIVE, COUNTED

#: Among how many of the latest runs failures are looked for, and how many are told.
_LATEST, _TOLD = 1_000, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits for a worker: messages for their vectors, counted up to `COUNTED`, and changes of
    records for the indexes that are declared, the first of them since `changes_since`.
    """

    messages: int
    changes: int
    changes_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A failed run. The message is the exception's, without secrets."""

    id: UUID
    sync: str
    connection_id: str
    finished_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """How many runs there are now; `stalled` ones are running, but their worker is silent.

    `failures` are the last ones among the latest 1,000 runs.
    """

    queued: int
    running: int
    stalled: int
    failures: list[Run]


def read_waiting(alias: str) -> Waiting:
    """Return how much waits."""
    # The condition is that of a partial index, which holds nothing else.
    messages = Message.objects.using(alias).filter(~Q(text=""), embedded_at=None)
    unread = [_unread(alias, declared) for declared in registry.indexes.values()]
    return Waiting(
        messages=_counted(messages),
        changes=sum(number for number, _ in unread),
        changes_since=min((since for _, since in unread if since), default=None),
    )


def read_runs(alias: str) -> Runs:
    """Return how many runs are active, and the last failures."""
    runs = SyncRun.objects.using(alias)
    silent = Q(status="running", lease_expires_at__lte=Now())
    counts = runs.filter(status__in=ACTIVE).aggregate(
        queued=Count("id", filter=Q(status="queued")),
        running=Count("id", filter=Q(status="running")),
        stalled=Count("id", filter=silent),
    )
    latest = runs.order_by("-id").values("id")[:_LATEST]
    failed = runs.filter(id__in=latest, status="failed").order_by("-id")[:_TOLD]
    return Runs(**counts, failures=[_failure(run) for run in failed])


def _failure(run: SyncRun) -> Run:
    error = run.error or {}
    return Run(
        id=run.id,
        sync=run.sync,
        connection_id=run.connection_id,
        finished_at=run.finished_at or run.created_at,
        error=f"{error.get('type', '')}: {error.get('message', '')}",
    )


def _unread(alias: str, declared: IndexDeclaration) -> tuple[int, datetime | None]:
    """Return by how much an index is behind the entities it is to hold, and since when.

    Those it never saw are among them.
    """
    marks = IndexProgress.objects.filter(entity=OuterRef("id"), vector_index__name=declared.index)
    # The index on `rev` is partial, on a condition that always holds.
    after = Record.objects.filter(entity=OuterRef("id"), rev__gt=OuterRef("read"), rev__gte=0)
    entities = Entity.objects.using(alias).filter(name=declared.entity)
    behind = entities.annotate(
        read=Coalesce(Subquery(marks.values("rev")), 0),
        since=Subquery(after.order_by("rev").values("updated_at")[:1]),
    ).filter(rev__gt=F("read"))
    found = behind.aggregate(number=Sum(F("rev") - F("read")), first=Min("since"))
    return int(found["number"] or 0), found["first"]


def _counted(rows: QuerySet[Any]) -> int:
    return rows[:COUNTED].count()
