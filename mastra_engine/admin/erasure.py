"""Exporting a resource, and erasing it after a preview of the data to delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Link, Text, View
from mastra_engine.admin.names import RESOURCE
from mastra_engine.admin.reading import Reads, database
from mastra_engine.admin.wording import number_text
from mastra_engine.backends.base.own_indexes import own_indexes
from mastra_engine.exceptions import EngineError, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import (
    Embedding,
    FactSource,
    Message,
    StateItem,
    Thread,
    VectorIndex,
    WorkingMemory,
)
from mastra_engine.models import Fact as FactRow
from mastra_engine.validation.inputs import name
from mastra_engine.web import APP

#: The models of rows that an erasure deletes by permission, and of those that an export reads.
ERASED: tuple[type[Model], ...] = (Thread, Message, WorkingMemory, StateItem, FactRow)
EXPORTED: tuple[type[Model], ...] = (*ERASED, FactSource)
#: The words for the rows of a resource that the engine counts.
NOUNS: dict[str, Text] = {
    "threads": gettext_lazy("threads"),
    "messages": gettext_lazy("messages"),
    "working_memory": gettext_lazy("working memory"),
    "state_items": gettext_lazy("state items"),
    "facts": gettext_lazy("facts"),
    "vectors": gettext_lazy("vectors"),
}


class ResourceActions(EngineAdmin):
    """The export of a resource, and its erasure."""

    views: tuple[View, ...] = (
        View("erasure", "resources/erasure/"),
        View("erase", "resources/erase/", needs="delete"),
        View("export", "resources/export/", needs="view"),
    )

    def resource_tools(self, request: HttpRequest, resource_id: str) -> list[Link]:
        """Return the links to the actions on a resource that the user may take."""
        preview = Link(_("Erase"), self.url("erasure", resource_id=resource_id), danger=True)
        if not _may_export(request):
            return [preview]
        return [Link(_("Export"), self.url("export", resource_id=resource_id)), preview]

    def erasure(self, request: HttpRequest) -> HttpResponse:
        """Show the data to delete, and a form that erases it for users who may delete it."""
        resource_id = _resource_id(request.GET)
        rows_by_noun = self._rows_of(resource_id)
        own = (RESOURCE, resource_id)
        return self.page(
            request,
            "erasure.html",
            name=self.names(request, [own])[own],
            title=_("Erase a resource"),
            resource_id=resource_id,
            facts=self.counts(
                request, [(NOUNS[noun], rows) for noun, rows in rows_by_noun.items()]
            ),
            may_erase=_may_erase(request),
            back=self.url("resources", resource_id=resource_id),
        )

    def erase(self, request: HttpRequest) -> HttpResponse:
        """Erase a resource if the user has typed its ID."""
        if request.method != "POST":
            return redirect(self.url("resources"))
        resource_id = _resource_id(request.POST)
        if not _may_erase(request):
            return self._refused(request, _("You do not have the permissions to delete all of it."))
        back = self.url("erasure", resource_id=resource_id)
        if request.POST.get("confirmation", "").strip() != resource_id.strip():
            messages.error(request, _("This is not the ID of the resource. Nothing was erased."))
            return redirect(back)
        try:
            erased = engine.erase(resource_id=resource_id)
        except EngineError as error:
            messages.error(request, str(error))
            return redirect(back)
        success = _in_words(asdict(erased))
        _log(request, resource_id, DELETION, success)
        messages.success(request, success)
        return redirect(self.url("resources"))

    def export(self, request: HttpRequest) -> HttpResponse:
        """Ask, then send everything of a resource as a file of JSON Lines."""
        if not _may_export(request):
            return self._refused(request, _("You do not have the permissions to read all of it."))
        if request.method != "POST":
            resource_id = _resource_id(request.GET)
            return self.page(
                request,
                "export.html",
                title=_("Export a resource"),
                resource_id=resource_id,
                back=self.url("resources", resource_id=resource_id),
            )
        resource_id = _resource_id(request.POST)
        lines = engine.export_resource(resource_id=resource_id)
        _log(request, resource_id, CHANGE, _("Exported."))
        response = StreamingHttpResponse(
            (f"{line}\n" for line in lines), content_type="application/jsonl; charset=utf-8"
        )
        filename = f"{resource_id[:100]}.jsonl"
        response["Content-Disposition"] = content_disposition_header(True, filename)
        return cast(HttpResponse, response)  # as far as the admin's views use it

    def _rows_of(self, resource_id: str) -> dict[str, QuerySet[Any]]:
        """Return the rows that an erasure deletes, by noun."""
        indexes = self.rows(VectorIndex).filter(name__in=own_indexes(engine))
        vectors = self.rows(Embedding).filter(
            vector_index__in=list(indexes.values_list("pk", flat=True)), namespace=resource_id
        )
        return {
            "threads": self.rows(Thread).filter(resource_id=resource_id),
            "messages": self.rows(Message).filter(thread__resource_id=resource_id),
            "working_memory": self.rows(WorkingMemory).filter(resource_id=resource_id),
            "state_items": StateItem.objects.using(database())
            .under(resource_id)
            .filter(value__isnull=False),
            "facts": self.rows(FactRow).filter(resource_id=resource_id),
            "vectors": vectors,
        }

    def _refused(self, request: HttpRequest, text: str) -> HttpResponse:
        return self.page(request, "error.html", title=_("Error"), status=403, error=text)


def _resource_id(parameters: Any) -> str:
    """Return the resource that a request names; raises InvalidInput."""
    resource_id = parameters.get("resource_id", "")
    if not resource_id:
        raise InvalidInput("must name a resource", path="/resource_id")
    return name(resource_id, "/resource_id")


def _may_erase(request: HttpRequest) -> bool:
    permissions = [f"{APP}.delete_{model._meta.model_name}" for model in ERASED]
    return request.user.has_perms(permissions)


def _may_export(request: HttpRequest) -> bool:
    reads = Reads(request)
    return all(reads[model._meta.model_name or ""] for model in EXPORTED)


def _in_words(amounts: dict[str, int]) -> str:
    words = [
        f"{word}: {number_text(amounts[noun])}" for noun, word in NOUNS.items() if amounts[noun]
    ]
    if not words:
        return _("Nothing was stored of the resource.")
    return _("The resource was erased (%(amounts)s).") % {"amounts": ", ".join(words)}


def _log(request: HttpRequest, resource_id: str, flag: int, text: str) -> None:
    """Add an entry to the admin's log; a resource has no row, so it stands with the threads."""
    LogEntry.objects.create(
        user_id=cast(int, request.user.pk),
        content_type=ContentType.objects.get_for_model(Thread),
        object_id=resource_id,
        object_repr=(_("Resource %(id)s") % {"id": resource_id})[:200],
        action_flag=flag,
        change_message=text,
    )
