"""Entities and records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from django.contrib import admin
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import content_disposition_header, urlencode
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Link, View, query_number
from mastra_engine.admin.beginnings import as_text
from mastra_engine.admin.bounds import bounded
from mastra_engine.admin.days import ChangesOfDays
from mastra_engine.admin.downloads import FORMATS
from mastra_engine.admin.filters import ConnectionFilter, EntityFilter
from mastra_engine.admin.names import embedding_key
from mastra_engine.admin.reading import MATCHES, Reads, database
from mastra_engine.admin.record_table import OFFERED, SHOWN, Table
from mastra_engine.admin.word_search import distinct_words, in_records, scanned
from mastra_engine.backends.base.vectors.search import ENTITY, RECORD
from mastra_engine.exceptions import CursorExpired, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import Embedding, Entity, IndexProgress, Record, SyncRun
from mastra_engine.postgres.word_search import records_beginning_with
from mastra_engine.types import COUNTED, Page
from mastra_engine.types import Record as RecordValue
from mastra_engine.validation.suggestions import unknown
from mastra_engine.web import Streamed

PAGE = 50
#: The records that a download reads at once.
DOWNLOADED = 1_000
#: The most indexes of an entity, and the most vectors of a record, that a page lists.
RELATED = 50


@dataclass(frozen=True, slots=True)
class Event:
    """A change of a record, and the sync run that made it, where there was one."""

    label: str
    time: datetime
    rev: int
    run: SyncRun | None = None


@admin.register(Entity)
class EntityAdmin(ChangesOfDays):
    """Entities; the page of an entity lists its records."""

    views = (
        *ChangesOfDays.views,
        View("changes", "<path:object_id>/changes/"),
        View("download", "<path:object_id>/download/", content="record"),
    )
    list_display = ("name", "connection_id", "rev", "updated_at")
    search_fields = ("connection_id", "name")
    search_help_text = gettext_lazy("The beginning of a connection ID or an entity name")
    list_filter = (ConnectionFilter,)
    sortable_by = ("connection_id",)
    lookups = frozenset({"connection_id__exact"})
    facts = ("name", "connection_id", "rev", "last_sync_id", "created_at", "updated_at")
    template = "entity.html"
    deleted_with = "its records, the vectors made from them, and its sync runs"

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Entity) -> None:
        engine.delete_entity_by_id(id=obj.id)

    def heading(self, request: HttpRequest, row: Entity) -> str:
        return _("%(name)s of %(connection)s") % {
            "name": row.name,
            "connection": row.connection_id,
        }

    def tools(self, request: HttpRequest, row: Entity) -> list[Link]:
        return [
            Link(_("Changes"), self.url("changes", row.pk)),
            Link(_("Sync runs"), self.url("syncrun_changelist", entity__id__exact=row.pk)),
        ]

    def details(self, request: HttpRequest, row: Entity) -> dict[str, Any]:
        """Show the records, as a table for users who may read content."""
        index_progress = self.rows(IndexProgress).filter(entity=row).select_related("vector_index")
        indexed = {"index_progress": index_progress.order_by("id")[:RELATED]}
        if not self.reads(request, Record):
            records = _records(row, {}, request.GET.get("cursor"))
            more = f"?{urlencode({'cursor': records.next_cursor or ''})}"
            return {"records": records, "more": more, **indexed}
        table = self._table(request, row)
        records = Page[RecordValue]([])
        if table.form.is_valid():
            try:
                records = _records(row, table.options, request.GET.get("cursor"))
            except InvalidInput as error:
                table.form.add_error(_field_of(error), str(error))
        return {
            "form": table.form,
            "table": table,
            "records": records,
            "rows": [(record, table.cells(record)) for record in records],
            "more": table.address(cursor=records.next_cursor) if records.next_cursor else "",
            "download": self.url("download", row.pk),
            **indexed,
        }

    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send the records that a filter selects, in the order of their external IDs."""
        entity = self.row(request, object_id)
        table = self._table(request, entity, limit=OFFERED)
        ending = request.GET.get("format", "")
        if ending not in FORMATS:
            raise InvalidInput(unknown("format", ending, FORMATS), path="/format")
        content_type, lines, is_complete = FORMATS[ending]
        try:
            if not table.form.is_valid():
                raise InvalidInput("has a fault", path="/filter")
            fields = None if is_complete else table.columns
            pages = _pages(entity, {"filters": table.options["filters"], "fields": fields})
            first = next(pages)
        except InvalidInput:  # the page of the entity says why
            return redirect(f"{self.url('entity_change', entity.pk)}?{request.GET.urlencode()}")
        self.log_change(
            request, entity, _("Downloaded records as %(format)s.") % {"format": ending.upper()}
        )
        response = Streamed(
            lines(chain([first], pages), table.columns),
            asynchronous=isinstance(request, ASGIRequest),
            content_type=content_type,
        )
        filename = get_valid_filename(f"{entity.name[:100]}.{ending}")
        response["Content-Disposition"] = content_disposition_header(True, filename)
        return response

    def _table(self, request: HttpRequest, entity: Entity, *, limit: int = SHOWN) -> Table:
        """Return the table that a request asks for, with the fields of the latest records."""
        latest = {"sort": [{"field": "@rev", "direction": "desc"}]}
        documents = [record.data for record in _records(entity, latest, None)]
        return Table(request.GET, documents, limit=limit)

    def changes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the changes after a revision; without one in the address, the latest changes."""
        entity = self.row(request, object_id)
        after = query_number(request, "after")
        if after is None:
            after = max(entity.rev - PAGE, entity.purged_rev)
        elif after < entity.purged_rev and after:
            raise CursorExpired(after=after, purged=entity.purged_rev)
        rows = self.rows(Record).filter(entity=entity, rev__gt=after).order_by("rev")
        changes = list(rows.defer("data")[: PAGE + 1])
        references = [("record", record.pk) for record in changes]
        names = self.names(request, references)
        for record, reference in zip(changes, references, strict=True):
            record.action, record.name = action_of(record, after), names[reference]
        return self.page(
            request,
            "changes.html",
            title=_("Changes of %(entity)s") % {"entity": entity},
            heading=_("Changes of %(entity)s") % {"entity": self.heading(request, entity)},
            row=entity,
            changes=changes[:PAGE],
            next=changes[PAGE - 1].rev if len(changes) > PAGE else None,
            earlier=max(after - PAGE, entity.purged_rev) if after > entity.purged_rev else None,
            tools=[Link(_("Records"), self.url("entity_change", entity.pk))],
        )


def action_of(record: Record, after: int) -> str:
    """Return the last change of a record after a revision, as the change feed names it."""
    if record.deleted_at is not None:
        return "deleted"
    return "added" if record.created_rev > after else "updated"


@admin.register(Record)
class RecordAdmin(EngineAdmin):
    """Records and tombstones."""

    list_display = ("id", "kind", "connection", "rev", "updated_at", "deleted_at")
    names_sorted_by = "external_id"
    list_select_related = ("entity",)
    list_filter = (EntityFilter,)
    search_fields = ("external_id",)
    search_help_text = gettext_lazy("Words of the data, or the beginning of an external ID")
    lookups = frozenset({"entity__id__exact"})
    facts = ("external_id", "rev", "created_rev", "created_at", "updated_at", "deleted_at")
    documents = ("data",)
    template = "record.html"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-rev",) if "entity__id__exact" in request.GET else self.ordering

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(rev__gte=0)  # as the index of revisions

    def beginning_with(self, rows: QuerySet[Any], search_term: str) -> set[Any]:
        ids = records_beginning_with(search_term, entities=COUNTED, limit=MATCHES)
        return set(rows.order_by().filter(pk__in=ids).values_list("pk", flat=True)[:MATCHES])

    def with_words(self, request: HttpRequest, rows: QuerySet[Any], search_term: str) -> set[Any]:
        words = distinct_words(search_term)
        if not words:
            return set()
        newest = rows.order_by(*self.get_ordering(request))
        return in_records(rows, words) | scanned(newest, as_text("data", Record), words)

    @admin.display(description=gettext_lazy("entity"), ordering="entity__name")
    def kind(self, row: Record) -> str:
        return row.entity.name

    @admin.display(description=gettext_lazy("connection"), ordering="entity__connection_id")
    def connection(self, row: Record) -> str:
        return row.entity.connection_id

    def details(self, request: HttpRequest, row: Record) -> dict[str, Any]:
        """List the vectors made from the record, in the indexes that read its entity."""
        indexes = self.rows(IndexProgress).filter(entity_id=row.entity_id)
        embeddings = self.rows(Embedding).filter(
            vector_index__in=list(indexes.values_list("vector_index_id", flat=True)[:RELATED]),
            namespace=row.entity.connection_id,
            metadata__contains={ENTITY: str(row.entity_id), RECORD: row.external_id},
        )
        vectors = embeddings.values_list("vector_index_id", "row_id", "vector_index__name")
        references = {
            ("embedding", embedding_key(index_id, row_id)): index_name
            for index_id, row_id, index_name in vectors[:RELATED]
        }
        names = self.names(request, references)
        return {
            "vectors": [(names[reference], index) for reference, index in references.items()],
            "history": self._history(row, with_runs=Reads(request).views("syncrun")),
        }

    def tools(self, request: HttpRequest, row: Record) -> list[Link]:
        return [
            Link(_("Entity"), self.url("entity_change", row.entity_id)),
            Link(_("Changes from here"), self.url("changes", row.entity_id, after=row.rev - 1)),
        ]

    def _history(self, record: Record, *, with_runs: bool) -> list[Event]:
        """Return the changes of a record that are kept, the first one and the last one."""
        created = Event(_("Created"), record.created_at, record.created_rev)
        last = _("Last updated") if record.deleted_at is None else _("Deleted")
        changes = [created, Event(last, record.updated_at, record.rev)]
        if record.rev == record.created_rev:
            changes = [created]
        if not with_runs:
            return changes
        return [replace(change, run=self._running_at(record, change)) for change in changes]

    def _running_at(self, record: Record, change: Event) -> SyncRun | None:
        """Return the sync run that was running when a record was changed, or None."""
        ended_later = Q(finished_at=None) | Q(finished_at__gte=change.time)
        runs = self.rows(SyncRun).filter(
            ended_later,
            entity_id=record.entity_id,
            start_rev__lt=change.rev,
            started_at__lte=change.time,
        )
        return runs.defer("params", "checkpoint", "log").order_by("-id").first()


def _field_of(error: InvalidInput) -> str | None:
    """Return the name of the form's field that caused an error of the engine, or None."""
    _, _, option = error.path.partition("/options/")
    return {"filters": "filter", "sort": "sort"}.get(option.partition("/")[0])


def _pages(entity: Entity, options: dict[str, Any]) -> Iterator[Page[RecordValue]]:
    """Yield the records of a filter, each page in a transaction with a time limit of its own.

    A slow client holds neither a transaction nor a snapshot. A failure breaks the transfer off, so
    that no part of a file is taken for all of it.
    """
    cursor = None
    while True:
        with bounded(database()):
            page = engine.get_records(
                entity_name=entity.name,
                connection_id=entity.connection_id,
                options={**options, "limit": DOWNLOADED, "cursor": cursor},
            )
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def _records(entity: Entity, options: dict[str, Any], cursor: str | None) -> Page[RecordValue]:
    return engine.get_records(
        entity_name=entity.name,
        connection_id=entity.connection_id,
        options={**options, "limit": PAGE, "cursor": cursor or None},
    )
