"""Runs of syncs."""

from __future__ import annotations

from django.contrib import admin

from mastra_engine.admin.base import EngineAdmin
from mastra_engine.models import SyncPage, SyncRun


@admin.register(SyncRun)
class SyncRunAdmin(EngineAdmin):
    """What syncs did and do."""

    list_display = ("id", "sync", "connection_id", "status", "attempts", "created_at")
    search_fields = ("sync", "connection_id")
    search_help_text = "How the name of a sync or of a connection begins"
    lookups = frozenset({"entity__id__exact"})
    facts = (
        "sync",
        "connection_id",
        "mode",
        "status",
        "attempts",
        "created_at",
        "started_at",
        "finished_at",
    )
    documents = ("params", "checkpoint", "error")


@admin.register(SyncPage)
class SyncPageAdmin(EngineAdmin):
    """What unfinished full runs know of what they saw."""

    list_display = ("id", "run_id")
    listed = False
    facts = ("run_id",)
