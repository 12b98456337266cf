"""Threads, messages and working memory."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from mastra_engine.admin.base import EngineAdmin, database
from mastra_engine.admin.paging import table_rows
from mastra_engine.handler import engine
from mastra_engine.models import Append, Message, Thread, WorkingMemory

#: Up to so many threads are listed by when they were last used, for which there is no index.
SORTED_BY_USE = 100_000


@admin.register(Thread)
class ThreadAdmin(EngineAdmin):
    """Conversations."""

    list_display = ("id", "resource_id", "title", "message_count", "total_tokens", "updated_at")
    content_columns = ("title",)
    search_fields = ("id", "resource_id")
    search_help_text = "How the id of a thread or of a resource begins"
    lookups = frozenset({"resource_id__exact"})
    facts = (
        "resource_id",
        "message_count",
        "total_tokens",
        "version",
        "created_at",
        "updated_at",
    )
    documents = ("title", "metadata")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        few = table_rows(Thread, database()) <= SORTED_BY_USE
        return ("-updated_at", "-id") if few else ("-id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Thread) -> None:
        engine.memory.delete_thread(thread_id=obj.id)


@admin.register(Message)
class MessageAdmin(EngineAdmin):
    """Messages, each on a page of its own; they are listed by the transcript of their thread."""

    list_display = ("id", "thread_id", "position", "role", "tokens", "created_at")
    search_fields = ("id",)
    search_help_text = "How the id of a message begins"
    lookups = frozenset({"thread__id__exact"})
    listed = False
    facts = ("thread_id", "position", "role", "tokens", "embedded_at", "created_at")
    documents = ("content", "metadata")


@admin.register(WorkingMemory)
class WorkingMemoryAdmin(EngineAdmin):
    """What agents keep in mind."""

    list_display = ("id", "resource_id", "thread_id", "version", "updated_at")
    search_fields = ("resource_id",)
    search_help_text = "How the id of a resource begins"
    lookups = frozenset({"resource_id__exact", "thread__id__exact"})
    facts = ("resource_id", "thread_id", "version", "created_at", "updated_at")
    documents = ("content", "data")


@admin.register(Append)
class AppendAdmin(EngineAdmin):
    """Idempotency keys that were used."""

    list_display = ("id", "thread_id", "idempotency_key", "message_count", "created_at")
    lookups = frozenset({"thread__id__exact"})
    listed = False
    facts = ("thread_id", "idempotency_key", "message_count", "last_position", "created_at")
