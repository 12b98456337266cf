"""Reading the tables of one database: lists of bounded cost, permissions, hidden content."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.contrib.admin import ShowFacets, display
from django.contrib.auth import get_permission_codename
from django.db import DEFAULT_DB_ALIAS
from django.db.models import DateTimeField, Model, QuerySet
from django.http import HttpRequest

from mastra_engine.admin.paging import BoundedPaginator, table_rows
from mastra_engine.admin.times import time_tag
from mastra_engine.admin.wording import term
from mastra_engine.handler import engine
from mastra_engine.web import APP, READ_CONTENT, READS, allowed

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.views.main import ChangeList

    Themed = ModelAdmin[Any]
elif apps.is_installed("unfold"):
    from unfold.admin import ModelAdmin as Themed
    from unfold.views import ChangeList
else:
    from django.contrib.admin import ModelAdmin as Themed
    from django.contrib.admin.views.main import ChangeList

#: The permission to read the content of a model, by the model's name, as the API has it.
READ_PERMISSIONS = {kind.__name__.lower(): permission for kind, permission in READS.items()}
#: The name of a resource, which is no model, is content.
READ_PERMISSIONS["resource"] = READ_CONTENT
#: The most rows that a search finds by each column.
MATCHES = 1_000
#: The most rows of a table that its list sorts without an index.
SORTED = 100_000


class BoundedChangeList(ChangeList):
    """A list that is sorted only by the columns that its headers offer."""

    def get_ordering_field(self, field_name: Any) -> Any:
        """Ignore any other column of an address: Django hides only the links to sort by it."""
        name = getattr(field_name, "__name__", field_name)
        if self.sortable_by is not None and name not in self.sortable_by:
            return None
        return super().get_ordering_field(field_name)


class ReadOnlyAdmin(Themed):
    """A table that the admin reads and does not edit: only engines write rows."""

    #: The parameters by which the address of a list may filter.
    lookups: frozenset[str] = frozenset()
    #: Columns of the list that need the permission to read content.
    content_columns: tuple[str, ...] = ()
    #: Columns of any size that need the permission to read content. Lists do not read them.
    documents: tuple[str, ...] = ()
    #: Further columns that pages do not read.
    unread: tuple[str, ...] = ()
    #: The columns with words of the engine, such as a status.
    terms: tuple[str, ...] = ()
    #: Whether the app's index has a link to the list; otherwise only other pages have one.
    listed = True

    actions = None
    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    #: The columns by which a large table may be sorted, because an index has their order.
    sortable_by: ClassVar[tuple[str, ...]] = ()
    list_per_page = list_max_show_all = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    paginator = BoundedPaginator

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = self.rows(self.model).defer(*self.documents, *self.unread)
        return rows.order_by(*self.ordering)  # autocomplete fields need an order

    def rows(self, model: type[Model]) -> QuerySet[Any]:
        """Return the rows of a table in the default engine's database."""
        return rows_of(model)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def get_list_display(self, request: HttpRequest) -> Any:
        hidden = () if self.reads(request, self.model) else self.content_columns
        texts: dict[str, Callable[[Any], str]] = {
            **{
                field.name: time_tag
                for field in self.opts.concrete_fields
                if isinstance(field, DateTimeField)
            },
            **dict.fromkeys(self.terms, term),
        }
        return [
            self._text_column(column, texts[column]) if column in texts else column
            for column in self.list_display
            if column not in hidden
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BoundedChangeList

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """Allow to sort a small table by any column, which None stands for."""
        return None if self.is_small(request) else self.sortable_by

    def is_small(self, request: HttpRequest) -> bool:
        """Say whether the list may sort the table without an index; it is estimated once."""
        if not hasattr(request, "small_table"):
            small = table_rows(self.model, database()) <= SORTED
            request.small_table = small  # type: ignore[attr-defined]
        return bool(request.small_table)  # type: ignore[attr-defined]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the parameters in `lookups` only: a filter by a column reveals its values."""
        return lookup in self.lookups and "\0" not in value

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the rows of which a search field begins with the term, or that have its words.

        Each field is searched by a statement of its own, because PostgreSQL often does not use
        the indexes for an OR. A second query lists the rows: in a single one, the planner may
        scan the whole list in its order to find few rows.
        """
        if "\0" in search_term:  # PostgreSQL's text cannot hold it
            return queryset.none(), False
        if search_term and self.search_fields:
            keys = self.beginning_with(queryset, search_term)
            if self.reads(request, self.model):
                keys |= self.with_words(request, queryset, search_term)
            queryset = queryset.filter(pk__in=keys)
        return queryset, False

    def beginning_with(self, rows: QuerySet[Any], search_term: str) -> set[Any]:
        """Return the keys of rows of which a search field begins with a term."""
        rows = rows.order_by()
        first, *others = (
            rows.filter(**{f"{field}__startswith": search_term}).values_list("pk")[:MATCHES]
            for field in self.search_fields
        )
        return {pk for (pk,) in first.union(*others, all=True)}

    def with_words(self, request: HttpRequest, rows: QuerySet[Any], search_term: str) -> set[Any]:
        """Return the keys of a bounded number of rows with the words of a term in their content."""
        return set()

    def _text_column(self, name: Any, text: Callable[[Any], str]) -> Callable[[Any], str | None]:
        """Return a column that shows its values by a function, which Django's formats lack."""

        @display(description=self.opts.get_field(name).verbose_name, ordering=name)  # type: ignore[union-attr]
        def column(row: Any) -> str | None:
            value = getattr(row, name)
            return None if value is None else text(value)

        column.__name__ = name
        return column

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
        """Say whether the user has a permission on the model: view, add, change or delete."""
        return request.user.has_perm(f"{APP}.{get_permission_codename(action, self.opts)}")

    def reads(self, request: HttpRequest, model: type[Model]) -> bool:
        """Say whether the user may read the content of a model's rows, as the API would say."""
        return Reads(request)[model._meta.model_name or ""]


class Reads:
    """Whether the user of a request may read the content of a model, by the model's name."""

    def __init__(self, request: HttpRequest) -> None:
        self.user = request.user

    def __getitem__(self, model_name: str) -> bool:
        return allowed(self.user, READ_PERMISSIONS.get(model_name, f"view_{model_name}"))

    def views(self, model_name: str) -> bool:
        """Say whether the user may view the rows of a model, without their content."""
        return bool(self.user.has_perm(f"{APP}.view_{model_name}"))


def rows_of(model: type[Model]) -> QuerySet[Any]:
    """Return the rows of a table in the default engine's database."""
    return model._default_manager.using(database())


def database() -> str:
    """Return the alias of the database that has the default engine's tables."""
    return engine.database or DEFAULT_DB_ALIAS
