"""Entities and records."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.handler import engine
from mastra_engine.models import Entity, Record


@admin.register(Entity)
class EntityAdmin(EngineAdmin):
    """Kinds of things that connections have."""

    list_display = ("id", "name", "connection_id", "rev", "updated_at")
    search_fields = ("connection_id", "name")
    search_help_text = "How the name of a connection or of an entity begins"
    facts = ("name", "connection_id", "rev", "last_sync_id", "created_at", "updated_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Entity) -> None:
        engine.delete_entity_by_id(id=obj.id)


@admin.register(Record)
class RecordAdmin(EngineAdmin):
    """Records, tombstones too."""

    list_display = ("id", "entity_id", "external_id", "rev", "updated_at", "deleted_at")
    lookups = frozenset({"entity__id__exact"})
    listed = False
    facts = (
        "external_id",
        "rev",
        "created_rev",
        "created_at",
        "updated_at",
        "deleted_at",
    )
    documents = ("data",)
