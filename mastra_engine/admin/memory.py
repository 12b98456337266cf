"""Threads, messages and working memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR
from django.db import connections
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mastra_engine.admin.addresses import linked
from mastra_engine.admin.base import EngineAdmin, Fact, Link, View, query_number
from mastra_engine.admin.beginnings import as_text
from mastra_engine.admin.content import tool_names
from mastra_engine.admin.context import ContextWindows
from mastra_engine.admin.editing import MessageDeletion, ThreadEditing, WorkingMemoryEditing
from mastra_engine.admin.erasure import ResourceActions
from mastra_engine.admin.facts import facts_of_resource
from mastra_engine.admin.filters import DayFilter, ResourceFilter, RoleFilter, by_day
from mastra_engine.admin.names import RESOURCE, Name, message_title, tool_of_message
from mastra_engine.admin.openable import may_open
from mastra_engine.admin.paging import counted
from mastra_engine.admin.reading import Reads, database
from mastra_engine.admin.sources import sources
from mastra_engine.admin.transcript import load_content, message_range, note_gaps
from mastra_engine.admin.why import Reasons, context_before, reasons_for
from mastra_engine.admin.word_search import (
    distinct_words,
    excerpt_of,
    in_messages,
    marked,
    scanned,
)
from mastra_engine.handler import engine
from mastra_engine.models import (
    Embedding,
    Entity,
    IdempotentAppend,
    Message,
    StateItem,
    Thread,
    WorkingMemory,
)
from mastra_engine.postgres.samples import resource_ids
from mastra_engine.types import COUNTED
from mastra_engine.web import APP

#: The most related rows of each kind that a page lists.
RELATED = 50
#: The most characters of working memory on the page of a resource.
EXCERPT = 10_000


@admin.register(Thread)
class ThreadAdmin(ContextWindows, ThreadEditing, ResourceActions):
    """Threads; the page of a thread is its transcript."""

    views = (
        *ContextWindows.views,
        *ThreadEditing.views,
        *ResourceActions.views,
        View("resources", "resources/", label=_("Resources")),
    )
    list_display = (
        *("id", "resource_id"),
        *("message_count", "total_tokens", "updated_at"),
    )
    search_fields = ("id", "resource_id")
    search_help_text = _(
        "Words of the title or of a message, or the beginning of a thread ID or a resource ID"
    )
    list_filter = (ResourceFilter, ("updated_at", DayFilter))
    lookups = frozenset({"resource_id__exact", *by_day("updated_at")})
    facts = (
        "resource_id",
        "message_count",
        "total_tokens",
        "version",
        "created_at",
        "updated_at",
    )
    documents = ("title", "metadata")
    names_sorted_by = "title"
    template = "thread.html"
    deleted_with = _(
        "its messages, the vectors made from them, its working memory, and the facts that rest on "
        "its messages alone"
    )

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ("-updated_at", "-id") if self.is_small(request) else ("-id",)

    def with_words(self, request: HttpRequest, rows: QuerySet[Any], search_term: str) -> set[Any]:
        """Find the threads with the words in the title, or in a message that the user may read."""
        words = distinct_words(search_term)
        if not words:
            return set()
        titled = scanned(rows.order_by("-pk"), "title", words)
        if not self.reads(request, Message):
            return titled
        messages = self.rows(Message)
        if rows.query.where:
            messages = messages.filter(thread__in=rows.order_by().values("pk"))
        return titled | in_messages(messages, words, "thread_id")

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Thread) -> None:
        engine.memory.delete_thread(thread_id=obj.id)

    def tools(self, request: HttpRequest, row: Thread) -> list[Link]:
        links = [Link(gettext("Resource"), self.url("resources", resource_id=row.resource_id))]
        if self.reads(request, Message):
            links.insert(0, Link(gettext("Context window"), self.url("context", row.id)))
        if self.may_open(request, "rename_thread"):
            links.append(Link(gettext("Rename"), self.url("rename_thread", row.id)))
        return links

    def details(self, request: HttpRequest, row: Thread) -> dict[str, Any]:
        messages = self.rows(Message).filter(thread=row)
        at, before = query_number(request, "at"), query_number(request, "before")
        page_range = message_range(messages, row, at=at, before=before)
        links: Iterable[list[Name]] = repeat([])
        tools: dict[str, str] = {}
        if self.reads(request, Message):
            load_content(messages, page_range.messages)
            links = sources(self, request, page_range.messages)
            tools = tool_names(message.content for message in page_range.messages)
            for message in page_range.messages:
                message.reasons = list(reasons_for(self, message))  # type: ignore[attr-defined]
        note_gaps(page_range.messages)
        return {
            "message_range": page_range,
            "transcript": zip(page_range.messages, links, strict=False),
            "last": row.last_position,
            "delete_messages": self.url("delete_messages")
            if request.user.has_perm(f"{APP}.delete_message")
            else "",
            "tool_names": tools,
        }

    def resources(self, request: HttpRequest) -> HttpResponse:
        """List resources, or show the threads and the memory of one or of the only match."""
        if (resource_id := request.GET.get("resource_id", "")) and "\0" not in resource_id:
            return self._resource(request, resource_id)
        begins = request.GET.get("q", "").replace("\0", "")
        after = request.GET.get("after", "").replace("\0", "")
        ids = resource_ids(connections[database()], begins=begins, after=after, limit=RELATED + 1)
        if begins and not after and len(ids) == 1:
            return redirect(self.url("resources", resource_id=ids[0]))
        references = [(RESOURCE, resource_id) for resource_id in ids[:RELATED]]
        names = self.names(request, references)
        return self.page(
            request,
            "resources.html",
            title=gettext("Resources"),
            begins=begins,
            other=self.url("resources", resource_id=begins) if begins and not ids else "",
            resources=[names[reference] for reference in references],
            more=self.url("resources", q=begins, after=ids[RELATED - 1])
            if len(ids) > RELATED
            else None,
        )

    def _resource(self, request: HttpRequest, resource_id: str) -> HttpResponse:
        """Show the threads, the working memory and the entities of a resource."""
        all_threads = self.rows(Thread).filter(resource_id=resource_id)
        newest = all_threads.order_by("-updated_at", "-id")
        threads = list(newest.defer(*self.documents)[:RELATED])
        own = (RESOURCE, resource_id)
        names = self.names(request, [own, *map(self.reference, threads)])
        listed = Q(thread=None) | Q(thread__in=[thread.pk for thread in threads])
        memories = (
            self.rows(WorkingMemory)
            .filter(listed, resource_id=resource_id)
            .defer("content", "data")
            .annotate(
                text=Left("content", EXCERPT), json=Left(as_text("data", WorkingMemory), EXCERPT)
            )
        )
        vectors = self.rows(Embedding).filter(
            vector_index__name=engine.memory.index_name, namespace=resource_id
        )
        state = StateItem.objects.using(database()).under(resource_id).live()
        related = [(gettext("vectors"), vectors), (gettext("state items"), state)]
        entities = self.rows(Entity).filter(connection_id=resource_id).order_by("name")
        return self.page(
            request,
            "resource.html",
            title=gettext("Resource %(id)s") % {"id": resource_id},
            heading=names[own],
            facts=[
                Fact(gettext("threads"), counted(all_threads)),
                *_sums(all_threads),
                *self.counts(request, related),
            ],
            resource_id=resource_id,
            tools=self.resource_tools(request, resource_id),
            **facts_of_resource(self, request, resource_id),
            state=self.url("stateitem_changelist", q=json.dumps([resource_id])),
            threads=[(thread, names[self.reference(thread)]) for thread in threads],
            memories=memories.order_by("-updated_at"),
            entities=entities[:RELATED] if Reads(request).views("entity") else [],
        )


def _sums(threads: QuerySet[Thread]) -> Iterator[Fact]:
    """Yield the number of messages and tokens of threads, up to COUNTED threads."""
    first_threads = threads.order_by()[: COUNTED + 1]
    sums = first_threads.aggregate(
        threads=Count("id"),
        messages=Sum("message_count", default=0),
        tokens=Sum("total_tokens", default=0),
    )
    if sums.pop("threads") <= COUNTED:
        yield Fact(gettext("messages"), sums["messages"])
        yield Fact(gettext("tokens"), sums["tokens"])


@admin.register(Message)
class MessageAdmin(Reasons, MessageDeletion):
    """Messages, each with a link to its place in the transcript of its thread."""

    views = (*Reasons.views, *MessageDeletion.views)
    list_display = ("place", "role", "thread_id", "tokens", "created_at")
    list_display_links = None
    terms = ("role",)
    search_fields = ("id",)
    search_help_text = _("Words of a message, or the beginning of a message ID")
    list_filter = (RoleFilter, ("created_at", DayFilter))
    lookups = frozenset(
        {"thread__id__exact", "thread__resource_id__exact", "role", *by_day("created_at")}
    )
    facts = ("thread_id", "position", "role", "tokens", "embedded_at", "created_at")
    documents = ("content", "metadata")
    unread = ("text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        words = distinct_words(request.GET.get(SEARCH_VAR, ""))
        rows = super().get_queryset(request)
        with_excerpts: QuerySet[Any] = rows.annotate(
            excerpt=excerpt_of("text", words), tool=tool_of_message()
        )
        return with_excerpts

    def get_list_display(self, request: HttpRequest) -> Any:
        """Add the text of each message, with the words of the search marked, and its context."""
        words = distinct_words(request.GET.get(SEARCH_VAR, ""))

        @admin.display(description=_("text"))
        def text(row: Any) -> SafeString:
            address = self.url("thread_change", row.thread_id, at=row.position)
            title = marked(row.excerpt, words) or message_title(row.role, row.tool)
            return linked(f"{address}#m{row.position}" if address else "", title)

        columns = super().get_list_display(request)
        if not self.reads(request, Message):
            return columns
        has_context = may_open(self, request, Thread, "context")
        return [text, *columns, *([self.context] if has_context else [])]

    @admin.display(description=_("context"))
    def context(self, row: Message) -> SafeString:
        links = ((link.url, link.label) for link in context_before(self, row))
        return format_html_join(" ", '<a href="{}">{}</a>', links)

    @admin.display(description=_("place"))
    def place(self, row: Message) -> SafeString:
        return linked(self.url("message_change", row.pk), f"#{row.position}")

    def with_words(self, request: HttpRequest, rows: QuerySet[Any], search_term: str) -> set[Any]:
        words = distinct_words(search_term)
        return in_messages(rows, words, "pk") if words else set()

    def tools(self, request: HttpRequest, row: Message) -> list[Link]:
        links = [
            Link(gettext("Transcript"), self.url("thread_change", row.thread_id, at=row.position))
        ]
        if self.reads(request, Message):
            links += [Link(gettext("Why?"), self.url("why", row.pk)), *context_before(self, row)]
        return links


@admin.register(WorkingMemory)
class WorkingMemoryAdmin(WorkingMemoryEditing):
    """Working memory of resources and of threads."""

    list_display = ("resource_id", "thread_id", "version", "updated_at")
    search_fields = ("resource_id",)
    search_help_text = _("The beginning of a resource ID")
    lookups = frozenset({"resource_id__exact", "thread__id__exact"})
    facts = ("resource_id", "thread_id", "version", "created_at", "updated_at")
    documents = ("content", "data")
    template = "working_memory.html"

    def heading(self, request: HttpRequest, row: WorkingMemory) -> str:
        owner = self.names(request, [(RESOURCE, row.resource_id)])[RESOURCE, row.resource_id]
        return gettext("Working memory of %(resource)s") % {"resource": owner}

    def tools(self, request: HttpRequest, row: WorkingMemory) -> list[Link]:
        links = [Link(gettext("Resource"), self.url("resources", resource_id=row.resource_id))]
        if row.thread_id is not None:
            links.append(Link(gettext("Transcript"), self.url("thread_change", row.thread_id)))
        if self.may_open(request, "edit_memory"):
            links.append(Link(gettext("Edit"), self.url("edit_memory", row.pk)))
        return links


@admin.register(IdempotentAppend)
class IdempotentAppendAdmin(EngineAdmin):
    """Idempotency keys that save_memory() was called with."""

    list_display = ("id", "thread_id", "idempotency_key", "message_count", "created_at")
    lookups = frozenset({"thread__id__exact"})
    listed = False
    facts = ("thread_id", "idempotency_key", "message_count", "last_position", "created_at")
