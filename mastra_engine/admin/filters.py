"""Filters of lists, with choices that are fixed or few: Django's own read them from all rows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class RoleFilter(admin.SimpleListFilter):
    """A filter of messages by their role."""

    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [
            ("user", _("User")),
            ("assistant", _("Assistant")),
            ("tool", _("Tool")),
            ("system", _("System")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(role=self.value()) if self.value() else queryset


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


def by_day(column: str) -> frozenset[str]:
    """Return the parameters of an address that filter by the days of a column."""
    return frozenset({f"{column}__gte", f"{column}__lt"})
