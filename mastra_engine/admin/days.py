"""The records of a connection that changed on a day."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import connections
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, View
from mastra_engine.admin.forms import PageForm
from mastra_engine.admin.paging import table_rows
from mastra_engine.admin.reading import database
from mastra_engine.models import Entity, Record
from mastra_engine.postgres.record_days import revisions_at

#: The days that can be asked for; midnight must be a time in every time zone.
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9000, 1, 1)
#: The most records of a day that the page lists.
SHOWN = 200
#: The most entities of a connection for which it reads records.
ENTITIES = 100
#: The most connections that it offers, and the most entities that it sorts to find them.
OFFERED, SORTED = 20, 100_000


class DayForm(PageForm):
    """A connection and a day."""

    connection_id = forms.CharField(label=gettext_lazy("Connection ID"))
    day = forms.DateField(
        label=gettext_lazy("Day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        validators=[MinValueValidator(FIRST_DAY), MaxValueValidator(LAST_DAY)],
    )


class ChangesOfDays(EngineAdmin):
    """The page of the records that changed on a day."""

    views: tuple[View, ...] = (
        View("changed_records", "changed-records/", label=gettext_lazy("Changes of a day")),
    )

    def changed_records(self, request: HttpRequest) -> HttpResponse:
        """List the records of a connection that were written or deleted on a day."""
        today = timezone.localdate()
        yesterday = today - timedelta(days=1)
        connection_id = request.GET.get("connection_id", request.GET.get("q", ""))
        day = request.GET.get("day", yesterday.isoformat())
        form = DayForm({"connection_id": connection_id, "day": day})
        records: list[Any] | None = None
        if connection_id and form.is_valid():
            records = self._changed(**form.cleaned_data)
            names = self.names(request, [("record", record.pk) for record in records])
            for record in records:
                record.name = names["record", record.pk]
        elif not connection_id:
            form = DayForm(initial={"day": yesterday})
        return self.page(
            request,
            "changed_records.html",
            title=_("Changes of a day"),
            form=form,
            records=None if records is None else records[:SHOWN],
            more=records is not None and len(records) > SHOWN,
            zone=timezone.get_current_timezone_name(),
            days=[(_("Today"), today.isoformat()), (_("Yesterday"), yesterday.isoformat())],
            connections=[] if connection_id else self._last_changed(),
        )

    def _changed(self, *, connection_id: str, day: date) -> list[Any]:
        """Return the records that changed on a day, the last ones first, and one more than shown.

        A record stands in the revision of its last change only, so it is listed on one day.
        """
        entities = self.rows(Entity).filter(connection_id=connection_id).order_by("name")
        names = dict(entities.values_list("pk", "name")[:ENTITIES])
        begin = timezone.make_aware(datetime.combine(day, time.min))
        end = timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min))
        connection = connections[database()]
        first, following = (revisions_at(connection, names, moment) for moment in (begin, end))
        ranges = Q()
        for entity_id, rev in first.items():
            if rev < following.get(entity_id, rev):
                ranges |= Q(entity_id=entity_id, rev__gte=rev, rev__lt=following[entity_id])
        if not ranges:
            return []
        rows = self.rows(Record).filter(ranges, rev__gte=0).defer("data")
        records: list[Any] = list(rows.order_by("-updated_at", "entity_id", "-rev")[: SHOWN + 1])
        for record in records:
            record.entity_name = names[record.entity_id]
            record.action = _action(record, first[record.entity_id])
        return records

    def _last_changed(self) -> list[tuple[str, datetime]]:
        """Return the connections of the entities that changed last, with the time."""
        if table_rows(Entity, database()) > SORTED:
            return []
        rows = self.rows(Entity).order_by("-updated_at").values_list("connection_id", "updated_at")
        newest: dict[str, datetime] = {}
        for connection_id, updated_at in rows[: 5 * OFFERED]:
            newest.setdefault(connection_id, updated_at)
        return list(newest.items())[:OFFERED]


def _action(record: Record, first_rev: int) -> str:
    """Return the word for the change of a record from a revision on."""
    if record.deleted_at is not None:
        return _("deleted")
    return _("added") if record.created_rev >= first_rev else _("updated")
