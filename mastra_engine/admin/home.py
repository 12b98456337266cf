"""The home page of the section: the state of the engine, and where each question is answered.

It is the page of Django's admin that lists the models of this app, so the index and the sidebar of
every admin site lead to it. The site renders it; a tag of its template reads the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.admin.bounds import bounded
from mastra_engine.admin.lags import Behind, behind
from mastra_engine.admin.overview import cached_growth
from mastra_engine.admin.paging import bounded_count
from mastra_engine.admin.questions import QUESTIONS, Answer, answers
from mastra_engine.admin.reading import database
from mastra_engine.exceptions import EngineError
from mastra_engine.health import Health, read_health
from mastra_engine.models import (
    Embedding,
    Entity,
    Fact,
    Message,
    Record,
    StateItem,
    Sync,
    SyncRun,
    Thread,
    VectorIndex,
)

Admins = Mapping[type[Model], EngineAdmin]

#: An index is late when it has not read a change for longer.
LATE = timedelta(minutes=15)
#: The most indexes that the page lists.
SHOWN_INDEXES = 20
#: The time for which a failed run is a problem.
RECENT = timedelta(days=1)
#: The models that the page counts, each with the name of its growth, where that is known.
COUNTED_MODELS: dict[type[Model], str] = {
    Thread: "threads",
    Message: "messages",
    Record: "records",
    Embedding: "vectors",
    Fact: "",
    StateItem: "",
    Entity: "",
    Sync: "",
}
MODELS: set[type[Model]] = {*COUNTED_MODELS, SyncRun, *(question.model for question in QUESTIONS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A problem with its remedy, and the page that helps."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The number of a model's rows as text, and the rows that 30 days added, by `kind`."""

    label: str
    number: str
    url: str
    kind: str
    new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A sync run that failed, or that has a silent worker."""

    sync: str
    connection_id: str
    url: str
    status: str
    since: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A vector index, and how far it is behind the changes of its records."""

    name: str
    url: str
    status: str
    behind: Behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The content of the page; `error` is the reason why the state could not be read."""

    answers: list[Answer]
    error: str = ""
    notices: list[Notice] | None = None
    counts: list[Count] = field(default_factory=list)
    growth: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    indexes: list[Index] = field(default_factory=list)


def read_home(request: HttpRequest, site: AdminSite) -> Home:
    """Read the page, limited to the models that the user may view, in the time of one page."""
    admins = {}
    for model in MODELS:
        admin = site.get_model_admin(model) if site.is_registered(model) else None
        if isinstance(admin, EngineAdmin) and admin.has_view_permission(request):
            admins[model] = admin
    questions = list(answers(request, admins))
    try:
        with bounded(database()):
            return _read(request, admins, questions)
    except EngineError as error:
        return Home(answers=questions, error=str(error))


def _read(request: HttpRequest, admins: Admins, questions: list[Answer]) -> Home:
    health = read_health(database(), growth=cached_growth)
    runs = list(_runs(request, health, admins[SyncRun])) if SyncRun in admins else []
    indexes = _indexes(health, admins[VectorIndex]) if VectorIndex in admins else []
    kinds = {kind for model, kind in COUNTED_MODELS.items() if kind and model in admins}
    growth = [
        {"day": day.day, **{kind: getattr(day, kind) for kind in kinds}} for day in health.growth
    ]
    problems = health.problems if VectorIndex in admins else []
    return Home(
        answers=questions,
        notices=[*map(_problem, problems), *_failures(runs), *_lags(indexes)],
        counts=list(_counts(request, admins, growth)) if health.runs is not None else [],
        growth=growth,
        runs=runs,
        indexes=indexes[:SHOWN_INDEXES],
    )


def _problem(text: str) -> Notice:
    return Notice(text=text)


def _failures(runs: list[Run]) -> Iterator[Notice]:
    since = timezone.now() - RECENT
    failed = [run for run in runs if run.status == "failed" and run.since >= since]
    if failed:
        text = ngettext(
            "A sync run failed in the last 24 hours. Its page shows the error and retries it.",
            "Sync runs failed in the last 24 hours. Their pages show the errors and retry them.",
            len(failed),
        )
        yield Notice(text=text, url=failed[0].url)


def _lags(indexes: list[Index]) -> Iterator[Notice]:
    for index in indexes:
        since = index.behind.since
        if since is not None and since < timezone.now() - LATE:
            text = _(
                "The index %(index)s has not read all changes of its records: searches do not find "
                "them yet. Check that a worker is running, or run engine_index."
            )
            yield Notice(text=text % {"index": index.name}, url=index.url)


def _counts(request: HttpRequest, admins: Admins, growth: list[dict[str, Any]]) -> Iterator[Count]:
    for model, kind in COUNTED_MODELS.items():
        if model in admins:
            admin = admins[model]
            url = admin.url(f"{admin.opts.model_name}_changelist")
            label = str(admin.opts.verbose_name_plural)
            if model is Embedding:  # vectors are listed by index
                label = _("vectors")
                url = admin.url("vectorindex_changelist") if VectorIndex in admins else ""
            yield Count(
                label=capfirst(label),
                number=bounded_count(admin.get_queryset(request)),
                url=url,
                kind=kind,
                new=sum(day[kind] for day in growth) if kind else 0,
            )


def _runs(request: HttpRequest, health: Health, admin: EngineAdmin) -> Iterator[Run]:
    """Yield the runs of silent workers, then the last failures."""
    if health.runs is None:
        return
    for silent in health.runs.silent:
        yield Run(
            sync=silent.sync,
            connection_id=silent.connection_id,
            url=admin.url("syncrun_change", silent.id),
            status="silent",
            since=silent.lease_expired_at,
            error=_("Its worker is silent. Run the sync again to take it over."),
        )
    for failure in health.runs.failures:
        yield Run(
            sync=failure.sync,
            connection_id=failure.connection_id,
            url=admin.url("syncrun_change", failure.id),
            status="failed",
            since=failure.finished_at,
            error=failure.error if admin.reads(request, SyncRun) else "",
        )


def _indexes(health: Health, admin: EngineAdmin) -> list[Index]:
    """Return the vector indexes, those that need attention first."""
    lags = health.waiting.lagging if health.waiting is not None else []
    indexes = [
        Index(
            name=structure.name,
            url=admin.url("vectorindex_change", structure.id),
            status=structure.status,
            behind=behind(structure.name, lags),
        )
        for structure in health.indexes
    ]
    return sorted(indexes, key=lambda index: (not index.behind.changes, index.status == "ready"))
