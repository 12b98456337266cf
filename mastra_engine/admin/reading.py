"""What the admin reads: tables of one database, in lists of bounded cost, by those who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.contrib.admin import ShowFacets
from django.contrib.auth import get_permission_codename
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from mastra_engine.admin.paging import BoundedPaginator
from mastra_engine.handler import engine

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    Themed = ModelAdmin[Any]
elif apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin as Themed
else:
    from django.contrib.admin import ModelAdmin as Themed

APP = "mastra_engine"
READ_CONTENT = f"{APP}.read_content"
#: So many rows a search of a list finds by each column.
FOUND = 1_000


class ReadOnlyAdmin(Themed):
    """A table that nobody writes to here: rows are written by engines."""

    #: The parameters that a list's address may select by.
    lookups: frozenset[str] = frozenset()
    #: Columns that only those see who may read content.
    content_columns: tuple[str, ...] = ()
    #: Whether the app's index leads to its list; else only other pages do.
    listed = True

    actions = None
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    sortable_by = ()
    list_per_page = list_max_show_all = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.rows(self.model).order_by(*self.ordering)  # which autocompletion relies on

    def rows(self, model: type[Model]) -> QuerySet[Any]:
        """Return the rows of a table in the default engine's database."""
        return model._default_manager.using(database())

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def get_list_display(self, request: HttpRequest) -> Any:
        hidden = () if reads_content(request) else self.content_columns
        return [column for column in self.list_display if column not in hidden]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse all that is not in `lookups`: selecting by a column tells what it holds."""
        return lookup in self.lookups and "\0" not in value

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by how a column begins.

        Each column is searched apart, by its index, which OR would often leave unused. The rows
        found are listed by a second query: in one, the planner may walk along the list's order
        until it meets them.
        """
        if "\0" in search_term:  # which no column holds
            return queryset.none(), False
        if search_term and self.search_fields:
            rows = queryset.order_by()
            first, *others = (
                rows.filter(**{f"{field}__startswith": search_term}).values_list("pk")[:FOUND]
                for field in self.search_fields
            )
            found = {pk for (pk,) in first.union(*others, all=True)}
            queryset = queryset.filter(pk__in=found)
        return queryset, False

    # Permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.listed and super().has_module_permission(request)

    def may(self, request: HttpRequest, action: str) -> bool:
        """Say whether a user has the model's permission: view, add, change or delete."""
        return request.user.has_perm(f"{APP}.{get_permission_codename(action, self.opts)}")


def database() -> str:
    """Return the alias of the database that the default engine keeps its tables in."""
    return engine.database or DEFAULT_DB_ALIAS


def reads_content(request: HttpRequest) -> bool:
    """Say whether a user may read what conversations, records and vectors hold."""
    return request.user.has_perm(READ_CONTENT)
