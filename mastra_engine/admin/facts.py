"""Facts with the timeline of their claim, and their sources."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.handler import engine
from mastra_engine.models import Fact, FactReading, FactSource


@admin.register(Fact)
class FactAdmin(EngineAdmin):
    """Facts; deleting one forgets its claim."""

    list_display = (
        *("subject", "predicate", "object", "resource_id"),
        *("valid_from", "valid_to", "created_at", "superseded_at", "retracted_at"),
    )
    content_columns = ("subject", "predicate", "object")
    search_fields = ("resource_id",)
    search_help_text = "The beginning of a resource ID"
    lookups = frozenset(
        {"resource_id__exact", *(f"{of}_key__exact" for of in ("subject", "predicate", "object"))}
    )
    ordering = ("resource_id", "created_at", "id")
    facts = (
        *("resource_id", "valid_from", "valid_to", "created_at", "superseded_at", "retracted_at"),
        *("confidence", "pinned", "many", "source_count", "is_indexed"),
    )
    documents = ("subject", "predicate", "object", "reason")
    unread = ("aliases",)
    deleted_with = "all versions of its claim, their sources and their vectors"

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Fact) -> None:
        engine.facts.forget(id=obj.id)

    def tools(self, request: HttpRequest, row: Fact) -> list[Link]:
        claim = {
            "resource_id__exact": row.resource_id,
            "subject_key__exact": row.subject_key,
            "predicate_key__exact": row.predicate_key,
            "object_key__exact": row.object_key,
        }
        return [
            Link("Timeline", self.url("fact_changelist", **claim)),
            Link("Sources", self.url("factsource_changelist", fact__id__exact=row.id)),
            Link("Resource", self.url("resources", resource_id=row.resource_id)),
        ]


@admin.register(FactSource)
class FactSourceAdmin(EngineAdmin):
    """The messages and records that facts rest on; the page of a fact leads to its own."""

    list_display = ("id", "fact_id", "message_id", "record_id")
    lookups = frozenset({"fact__id__exact"})
    listed = False
    facts = ("fact_id", "message_id", "record_id")
    documents = ("quote",)

    def tools(self, request: HttpRequest, row: FactSource) -> list[Link]:
        links = [Link("Fact", self.url("fact_change", row.fact_id))]
        if row.message_id is not None:
            links.append(Link("Message", self.url("message_change", row.message_id)))
        if row.record_id is not None:
            links.append(Link("Record", self.url("record_change", row.record_id)))
        return links


@admin.register(FactReading)
class FactReadingAdmin(EngineAdmin):
    """How far the messages of each thread were read for facts."""

    list_display = ("thread_id", "position", "claimed_until")
    listed = False
    facts = ("thread_id", "position", "claimed_until")

    def tools(self, request: HttpRequest, row: FactReading) -> list[Link]:
        return [Link("Thread", self.url("thread_change", row.thread_id))]
