"""Filters of lists, with choices that are fixed or few: Django's own read them from all rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mastra_engine.admin.names import RESOURCE, Names
from mastra_engine.admin.reading import Reads, database
from mastra_engine.admin.wording import number_text
from mastra_engine.models import Entity, Thread
from mastra_engine.postgres.samples import connection_ids, resource_ids

#: The most values that a filter offers.
FEW = 20
#: The messages that are searched for a role.
LATEST = 100_000


class RoleFilter(admin.SimpleListFilter):
    """A filter of messages by their role.

    There is no index of roles. In a large table that no other filter narrows, the newest LATEST
    messages are searched, since a role that is rare would be looked for in all of them.
    """

    title: Any = _("role")
    parameter_name = "role"

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        others = {SEARCH_VAR, *model_admin.lookups} - {self.parameter_name}
        self.is_bounded = not model_admin.is_small(request) and others.isdisjoint(request.GET)
        if self.is_bounded:
            self.title = gettext("role, of the newest %(number)s") % {"number": number_text(LATEST)}
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [
            ("user", _("User")),
            ("assistant", _("Assistant")),
            ("tool", _("Tool")),
            ("system", _("System")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if self.is_bounded:
            # The planner chooses the index of the key for a value that it knows.
            ids = queryset.model._default_manager.using(queryset.db).order_by("-pk")
            for first in ids.values_list("pk", flat=True)[LATEST - 1 : LATEST]:
                queryset = queryset.filter(pk__gte=first)
        return queryset.filter(role=self.value())


class FewFilter(admin.SimpleListFilter):
    """A filter with the values of a column as its choices, if there are few.

    Where there are many, it only shows the value that an address has.
    """

    #: The model from which the values are read, which the user must have permission to view.
    source: type[Model]

    def values(self, request: HttpRequest, limit: int) -> list[tuple[str, str]]:
        """Return up to `limit` values of the parameter, with their labels."""
        raise NotImplementedError

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        may_view = Reads(request).views(str(self.source._meta.model_name))
        values = self.values(request, FEW + 1) if may_view else []
        if values and len(values) <= FEW:
            return values
        value = self.value()
        return [(value, value)] if value else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        try:
            return (
                queryset.filter(**{self.parameter_name or "": self.value()})
                if self.value()
                else queryset
            )
        except (ValidationError, ValueError) as error:
            raise IncorrectLookupParameters(error) from error


class ConnectionFilter(FewFilter):
    """A filter by connection, of those that have entities."""

    title = _("connection")
    source = Entity
    parameter_name = "connection_id__exact"

    def values(self, request: HttpRequest, limit: int) -> list[tuple[str, str]]:
        return [(id, id) for id in connection_ids(connections[database()], limit=limit)]


class EntityFilter(FewFilter):
    """A filter of rows by their entity."""

    title = _("entity")
    source = Entity
    parameter_name = "entity__id__exact"

    def values(self, request: HttpRequest, limit: int) -> list[tuple[str, str]]:
        entities = Entity.objects.using(database()).order_by("connection_id", "name")
        rows = entities.values_list("pk", "name", "connection_id")[:limit]
        return [(str(pk), f"{name} ({connection})") for pk, name, connection in rows]


class ResourceFilter(FewFilter):
    """A filter of threads by their resource."""

    title = _("resource")
    source = Thread
    parameter_name = "resource_id__exact"

    def values(self, request: HttpRequest, limit: int) -> list[tuple[str, str]]:
        ids = resource_ids(connections[database()], begins="", after="", limit=limit)
        names = Names(request)
        names.read((RESOURCE, id) for id in ids)
        return [(id, names[RESOURCE, id].with_id()) for id in ids]


class DayFilter(admin.DateFieldListFilter):
    """Django's filter by date, with yesterday among the choices."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        any_date, (today_label, today), *longer = self.links
        begin: Any = today[self.lookup_kwarg_since]
        yesterday = {
            self.lookup_kwarg_since: begin - timedelta(days=1),
            self.lookup_kwarg_until: begin,
        }
        self.links = (any_date, (today_label, today), (_("Yesterday"), yesterday), *longer)


def on_day_of(moment: datetime, column: str) -> dict[str, str]:
    """Return the parameters that filter by the day of a time, as the links of DayFilter do."""
    begin = timezone.localtime(moment).replace(hour=0, minute=0, second=0, microsecond=0)
    return {f"{column}__gte": str(begin), f"{column}__lt": str(begin + timedelta(days=1))}


def by_day(column: str) -> frozenset[str]:
    """Return the parameters of an address that filter by the days of a column."""
    return frozenset({f"{column}__gte", f"{column}__lt"})
