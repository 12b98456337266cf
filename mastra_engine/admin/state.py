"""Items of agent state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.handler import engine
from mastra_engine.models import StateItem


@admin.register(StateItem)
class StateItemAdmin(EngineAdmin):
    """Items of agent state; a search lists those below a namespace."""

    list_display = ("key", "path", "resource_id", "version", "updated_at", "expires_at")
    search_fields = ("namespace",)
    search_help_text = gettext_lazy(
        'The beginning of a namespace, such as ann/prefs or ["ann", "prefs"]'
    )
    ordering = ("namespace", "key")
    facts = (
        *("resource_id", "path", "key", "version", "is_pending"),
        *("created_at", "updated_at", "expires_at"),
    )
    documents = ("value",)
    deleted_with = gettext_lazy("its vector")

    @admin.display(description=gettext_lazy("namespace"), ordering="namespace")
    def path(self, row: StateItem) -> str:
        return path_of(row.namespace)

    @admin.display(description=gettext_lazy("resource"))
    def resource_id(self, row: StateItem) -> str:
        """Return the owner of an item, which pages show by name."""
        return str(row.namespace[0])

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(value__isnull=False)  # without tombstones

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the items in the namespaces that begin with the elements of the term."""
        if "\0" in search_term:  # PostgreSQL's text cannot hold it
            return queryset.none(), False
        return queryset.under(*elements_of(search_term)), False  # type: ignore[attr-defined]

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: StateItem) -> None:
        engine.state.delete(namespace=obj.namespace, key=obj.key)

    def heading(self, request: HttpRequest, row: StateItem) -> str:
        return _("%(key)s in %(namespace)s") % {
            "key": row.key,
            "namespace": path_of(row.namespace),
        }

    def tools(self, request: HttpRequest, row: StateItem) -> list[Link]:
        namespace = json.dumps(row.namespace)
        return [
            Link(_("Resource"), self.url("resources", resource_id=row.namespace[0])),
            Link(_("Namespace"), self.url("stateitem_changelist", q=namespace)),
        ]


def path_of(namespace: Sequence[str]) -> str:
    """Return a namespace as text, its elements separated by slashes."""
    return "/".join(namespace)


def elements_of(term: str) -> list[str]:
    """Return the elements that a search names: a JSON list, or text separated by slashes."""
    try:
        elements = json.loads(term)
    except ValueError:
        elements = None
    if isinstance(elements, list) and all(isinstance(element, str) for element in elements):
        return elements
    return [element for element in term.split("/") if element]
