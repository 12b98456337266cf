"""Threads, messages and working memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

from django import forms
from django.contrib import admin
from django.db import connections
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse

from mastra_engine.admin.base import EngineAdmin, Link, View, asked
from mastra_engine.admin.forms import PageForm
from mastra_engine.admin.paging import counted, table_rows
from mastra_engine.admin.reading import database, reads_content
from mastra_engine.admin.sources import passages
from mastra_engine.admin.transcript import stretch
from mastra_engine.handler import engine
from mastra_engine.models import Embedding, Entity, IdempotentAppend, Message, Thread, WorkingMemory
from mastra_engine.postgres.samples import resource_ids
from mastra_engine.types import COUNTED

#: Up to so many threads are listed by when they were last used, for which there is no index.
SORTED_BY_USE = 100_000
#: How many things of a kind a page lists that is not about them.
SOME = 50
#: How many messages of a context window are shown; it may have very many.
SHOWN = 200


class WindowForm(PageForm):
    """What a context window is asked for."""

    max_tokens = forms.IntegerField(label="Budget in tokens", min_value=0, max_value=2**31 - 1)
    format = forms.ChoiceField(
        choices=[("raw", "As stored"), ("openai", "OpenAI"), ("anthropic", "Anthropic")]
    )
    working_memory = forms.BooleanField(label="With working memory", required=False)


@admin.register(Thread)
class ThreadAdmin(EngineAdmin):
    """Conversations, whose pages are their transcripts."""

    views = (
        View("context", "<path:object_id>/context/", content=True),
        View("resources", "resources/", label="Resources"),
    )
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
    template = "thread.html"
    takes_along = "its messages, the vectors made from them, and its working memory"

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        few = table_rows(Thread, database()) <= SORTED_BY_USE
        return ("-updated_at", "-id") if few else ("-id",)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Thread) -> None:
        engine.memory.delete_thread(thread_id=obj.id)

    def heading(self, request: HttpRequest, row: Thread) -> str:
        return row.title if row.title and reads_content(request) else str(row)

    def tools(self, request: HttpRequest, row: Thread) -> list[Link]:
        whose = Link("Resource", self.url("resources", resource_id=row.resource_id))
        if not reads_content(request):
            return [whose]
        return [Link("Context window", self.url("context", row.id)), whose]

    def about(self, request: HttpRequest, row: Thread) -> dict[str, Any]:
        messages = self.rows(Message).filter(thread=row)
        at, before = asked(request, "at"), asked(request, "before")
        found = stretch(messages, row, at=at, before=before)
        made_of = passages(self, found.messages) if reads_content(request) else repeat([])
        return {
            "stretch": found,
            "transcript": zip(found.messages, made_of, strict=False),
            "last": row.last_position,
        }

    def context(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the model would see at a budget."""
        thread = self.row(request, object_id)
        form = WindowForm({"max_tokens": 4_000, "format": "raw", **request.GET.dict()})
        window = None
        if form.is_valid():
            window = engine.memory.get_context_window(thread_id=thread.id, **form.cleaned_data)
        return self.page(
            request,
            "context.html",
            title=f"Context window of {thread}",
            heading=f"Context window of {self.heading(request, thread)}",
            row=thread,
            form=form,
            window=window,
            newest=window.messages[-SHOWN:] if window else [],
            tools=[Link("Transcript", self.url("thread_change", thread.id))],
        )

    def resources(self, request: HttpRequest) -> HttpResponse:
        """Whom memory is about, or what one of them has."""
        if (resource_id := request.GET.get("resource_id", "")) and "\0" not in resource_id:
            return self._resource(request, resource_id)
        begins = request.GET.get("q", "").replace("\0", "")
        after = request.GET.get("after", "").replace("\0", "")
        found = resource_ids(connections[database()], begins=begins, after=after, limit=SOME + 1)
        return self.page(
            request,
            "resources.html",
            title="Resources",
            begins=begins,
            resources=found[:SOME],
            more=self.url("resources", q=begins, after=found[SOME - 1])
            if len(found) > SOME
            else None,
        )

    def _resource(self, request: HttpRequest, resource_id: str) -> HttpResponse:
        """Show what there is of it, counted up to a limit."""
        of_it = self.rows(Thread).filter(resource_id=resource_id)
        threads = list(of_it.order_by("-updated_at", "-id")[:SOME])
        held = Q(thread=None) | Q(thread__in=[thread.pk for thread in threads])
        memories = self.rows(WorkingMemory).filter(held, resource_id=resource_id)
        vectors = self.rows(Embedding).filter(
            vector_index__name=engine.memory.index_name, namespace=resource_id
        )
        return self.page(
            request,
            "resource.html",
            title=f"Resource {resource_id}",
            facts=[("threads", counted(of_it)), *_sums(of_it), ("vectors", counted(vectors))],
            resource_id=resource_id,
            threads=threads,
            memories=memories.order_by("-updated_at"),
            entities=self.rows(Entity).filter(connection_id=resource_id).order_by("name")[:SOME],
        )


def _sums(threads: QuerySet[Thread]) -> Iterator[tuple[str, Any]]:
    """Yield how much was said in threads, unless they are very many."""
    some = threads.order_by()[: COUNTED + 1]
    sums = some.aggregate(
        threads=Count("id"),
        messages=Sum("message_count", default=0),
        tokens=Sum("total_tokens", default=0),
    )
    if sums.pop("threads") <= COUNTED:
        yield from sums.items()


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

    def tools(self, request: HttpRequest, row: Message) -> list[Link]:
        return [Link("Transcript", self.url("thread_change", row.thread_id, at=row.position))]


@admin.register(WorkingMemory)
class WorkingMemoryAdmin(EngineAdmin):
    """What agents keep in mind."""

    list_display = ("resource_id", "thread_id", "version", "updated_at")
    search_fields = ("resource_id",)
    search_help_text = "How the id of a resource begins"
    lookups = frozenset({"resource_id__exact", "thread__id__exact"})
    facts = ("resource_id", "thread_id", "version", "created_at", "updated_at")
    documents = ("content", "data")

    def heading(self, request: HttpRequest, row: WorkingMemory) -> str:
        return f"Working memory of {row.resource_id}"

    def tools(self, request: HttpRequest, row: WorkingMemory) -> list[Link]:
        found = [Link("Resource", self.url("resources", resource_id=row.resource_id))]
        if row.thread_id is not None:
            found.append(Link("Transcript", self.url("thread_change", row.thread_id)))
        return found


@admin.register(IdempotentAppend)
class AppendAdmin(EngineAdmin):
    """Idempotency keys that were used."""

    list_display = ("id", "thread_id", "idempotency_key", "message_count", "created_at")
    lookups = frozenset({"thread__id__exact"})
    listed = False
    facts = ("thread_id", "idempotency_key", "message_count", "last_position", "created_at")
