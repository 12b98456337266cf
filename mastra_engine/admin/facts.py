"""Facts: those of a resource now and at a time, the timeline of a claim, and their sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mastra_engine import types
from mastra_engine.admin.actions import form_page
from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.forms import PageForm
from mastra_engine.handler import engine
from mastra_engine.models import Fact, FactReading, FactSource

#: The most facts, versions of a claim, and sources that a page lists.
LISTED = 50
#: The most characters of a subject, predicate or object in a list, and of a quote or a reason.
BRIEF, QUOTED = 200, 2_000
#: The most ends of a version that its place in the timeline names.
ENDS = 5


class MomentField(forms.DateTimeField):
    """A time to the second, in the time zone of the admin; empty for now."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateTimeInput(
            attrs={"type": "datetime-local", "step": 1}, format="%Y-%m-%dT%H:%M:%S"
        )
        super().__init__(required=False, widget=widget, **options)


class FactsForm(PageForm):
    """The arguments of a list of facts."""

    resource_id = forms.CharField(label=_("Resource ID"), strip=False)
    valid_at = MomentField(label=_("True at"), help_text=_("Empty for now."))
    known_at = MomentField(
        label=_("Known at"), help_text=_("Only facts remembered by then. Empty for now.")
    )
    include_superseded = forms.BooleanField(
        label=_("All versions"), required=False, help_text=_("Whenever they were true.")
    )


class RetractionForm(PageForm):
    """The arguments of a retraction."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("It is kept in the history."),
    )
    at = MomentField(
        label=_("True until"),
        help_text=_("Empty for now. A time before its beginning means that it was never true."),
    )


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a claim in its timeline, with the ends that became known after its creation."""

    fact: Fact
    ends: list[tuple[datetime, datetime]]
    was_never_true: bool


@dataclass(frozen=True, slots=True)
class Source:
    """A source of a fact: a link to its message or record, and the text that is quoted."""

    row: FactSource
    link: Link


@admin.register(Fact)
class FactAdmin(EngineAdmin):
    """Facts; the page of one has the timeline of its claim. They are retracted or forgotten."""

    views = (
        View("resource_facts", "resource/", content="fact"),
        View("retract", "<path:object_id>/retract/", needs="change"),
        View("forget", "<path:object_id>/forget/", needs="delete"),
    )
    list_display = (
        *("brief_subject", "brief_predicate", "brief_object", "resource_id"),
        *("valid_from", "valid_to", "created_at", "state"),
    )
    content_columns = ("brief_subject", "brief_predicate", "brief_object")
    search_fields = ("resource_id",)
    search_help_text = _("The beginning of a resource ID")
    lookups = frozenset(
        {"resource_id__exact", *(f"{of}_key__exact" for of in ("subject", "predicate", "object"))}
    )
    ordering = ("resource_id", "created_at", "id")
    facts = ("resource_id", "confidence", "pinned", "many", "source_count", "is_indexed")
    documents = ("subject", "predicate", "object", "reason")
    unread = ("aliases", "alias_keys")
    template = "fact.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        brief: QuerySet[Any] = rows.annotate(
            **{f"{name}_start": Left(name, BRIEF) for name in ("subject", "predicate", "object")}
        )
        return brief

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow to filter by the parts of a fact, which are content, for users who may read it."""
        is_content = lookup.endswith("_key__exact")
        may_read = request is not None and self.reads(request, Fact)
        return super().lookup_allowed(lookup, value, request) and (may_read or not is_content)

    @admin.display(description=_("subject"))
    def brief_subject(self, row: Any) -> str:
        return str(row.subject_start)

    @admin.display(description=_("predicate"))
    def brief_predicate(self, row: Any) -> str:
        return str(row.predicate_start)

    @admin.display(description=_("object"))
    def brief_object(self, row: Any) -> str:
        return str(row.object_start)

    @admin.display(description=_("state"))
    def state(self, row: Fact) -> str:
        return state_of(row)

    def heading(self, request: HttpRequest, row: Any) -> str:
        if not self.reads(request, Fact):
            return str(row)
        return f"{row.subject_start} {row.predicate_start} {row.object_start}"

    def tools(self, request: HttpRequest, row: Fact) -> list[Link]:
        links = [Link(_("Resource"), self.url("resources", resource_id=row.resource_id))]
        if self.reads(request, Fact):
            address = self.url("resource_facts", resource_id=row.resource_id)
            links.append(Link(_("Facts of the resource"), address))
        if self.may(request, "change") and row.retracted_at is None:
            links.append(Link(_("Retract"), self.url("retract", row.pk), danger=True))
        if self.may(request, "delete"):
            links.append(Link(_("Forget"), self.url("forget", row.pk), danger=True))
        return links

    def details(self, request: HttpRequest, row: Fact) -> dict[str, Any]:
        claim = {
            "resource_id__exact": row.resource_id,
            "subject_key__exact": row.subject_key,
            "predicate_key__exact": row.predicate_key,
            "object_key__exact": row.object_key,
        }
        versions = list(self._versions(claim))
        has_more = bool(versions[LISTED:]) and self.reads(request, Fact)
        return {
            "state": state_of(row),
            "aliases": self._aliases(row) if self.reads(request, Fact) else (),
            "timeline": [_version(version) for version in reversed(versions[:LISTED])],
            "all_versions": self.url("fact_changelist", **claim) if has_more else "",
            "sources": list(self._sources(request, row)),
            "all_sources": self.url("factsource_changelist", fact__id__exact=row.pk),
        }

    def resource_facts(self, request: HttpRequest) -> HttpResponse:
        """List the facts of a resource, those that are true now or at a time."""
        form = FactsForm(request.GET or None)
        page = None
        if form.is_valid():
            cursor = request.GET.get("cursor") or None
            page = engine.facts.list_facts(**form.cleaned_data, limit=LISTED, cursor=cursor)
        more = {**request.GET.dict(), "cursor": page.next_cursor} if page else {}
        return self.page(
            request,
            "resource_facts.html",
            title=gettext("Facts of a resource"),
            form=form,
            listed_facts=None if page is None else page.items,
            more=self.url("resource_facts", **more) if more.get("cursor") else "",
            time_zone=timezone.get_current_timezone_name(),
        )

    def retract(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for the reason of a retraction; on POST, retract the fact."""
        row: Fact = self.row(request, object_id)
        form = RetractionForm(request.POST if request.method == "POST" else None)

        def act() -> Fact:
            engine.facts.retract(id=row.pk, **form.cleaned_data)
            return row

        label = gettext("Retract")
        return form_page(
            self,
            request,
            form,
            title=f"{label}: {row}",
            heading=f"{label}: {self.heading(request, row)}",
            label=label,
            act=act,
            success=gettext("The fact was retracted."),
            back=self.url("fact_change", row.pk),
            note=gettext(
                "The fact ends, and stays in the history of its claim. Times are in the time zone "
                "%(name)s."
            )
            % {"name": timezone.get_current_timezone_name()},
        )

    def forget(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to forget the claim of a fact; on POST, erase its versions."""
        row = self.row(request, object_id)
        return self.confirm(
            request,
            row,
            question=gettext(
                "All versions of its claim are erased for good, with their sources and vectors. "
                "Retract the fact instead to keep its history."
            ),
            label=gettext("Forget"),
            act=lambda: engine.facts.forget(id=row.pk),
            success=gettext("The fact and its history were forgotten."),
            deletes=True,
        )

    def _versions(self, claim: dict[str, Any]) -> QuerySet[Fact]:
        """Return the versions of a claim that were remembered last, and one more."""
        versions = self.rows(Fact).filter(**claim).defer(*self.documents, *self.unread)
        brief: QuerySet[Any] = versions.annotate(
            object_start=Left("object", BRIEF), reason_start=Left("reason", QUOTED)
        )
        return brief.order_by("-created_at", "-id")[: LISTED + 1]

    def _aliases(self, row: Fact) -> list[str]:
        return list(self.only(row).values_list("aliases", flat=True).get())

    def _sources(self, request: HttpRequest, row: Fact) -> Iterator[Source]:
        rows = self.rows(FactSource).filter(fact=row).defer("quote")
        rows = rows.annotate(quote_start=Left("quote", QUOTED))
        rows = rows.select_related("message", "record").only(
            *("fact_id", "message__thread_id", "message__position", "record__external_id")
        )
        sources = list(rows.order_by("id")[:LISTED])
        messages = [("message", source.message_id) for source in sources]
        records = [("record", source.record_id) for source in sources]
        names = self.names(request, [*messages, *records])
        for source in sources:
            if (message := source.message) is not None:
                address = self.url("thread_change", message.thread_id, at=message.position)
                label = f"#{message.position} {names['message', message.pk]}"
                yield Source(source, Link(label, address and f"{address}#m{message.position}"))
            elif (record := source.record) is not None:
                label = str(names["record", record.pk])
                yield Source(source, Link(label, self.url("record_change", record.pk)))


@admin.register(FactSource)
class FactSourceAdmin(EngineAdmin):
    """The messages and records that facts rest on; the page of a fact leads to its own."""

    list_display = ("id", "fact_id", "message_id", "record_id")
    lookups = frozenset({"fact__id__exact"})
    listed = False
    facts = ("fact_id", "message_id", "record_id")
    documents = ("quote",)

    def tools(self, request: HttpRequest, row: FactSource) -> list[Link]:
        links = [Link(_("Fact"), self.url("fact_change", row.fact_id))]
        if row.message_id is not None:
            links.append(Link(_("Message"), self.url("message_change", row.message_id)))
        if row.record_id is not None:
            links.append(Link(_("Record"), self.url("record_change", row.record_id)))
        return links


@admin.register(FactReading)
class FactReadingAdmin(EngineAdmin):
    """How far the messages of each thread were read for facts."""

    list_display = ("thread_id", "position", "claimed_until")
    listed = False
    facts = ("thread_id", "position", "claimed_until")

    def tools(self, request: HttpRequest, row: FactReading) -> list[Link]:
        return [Link(gettext("Thread"), self.url("thread_change", row.thread_id))]


def state_of(fact: Fact | types.Fact) -> str:
    """Return in a word whether a version of a claim holds now."""
    if fact.retracted_at is not None:
        return gettext("retracted")
    if fact.superseded_at is not None:
        return gettext("superseded")
    now = timezone.now()
    if fact.valid_from > now:
        return gettext("not yet true")
    if fact.valid_to is not None and fact.valid_to <= now:
        return gettext("no longer true")
    return gettext("current")


def _version(fact: Fact) -> Version:
    ends = zip(fact.ends, fact.ends_known_at, strict=True)
    later = [(end, known_at) for end, known_at in ends if known_at > fact.created_at]
    never = fact.valid_to is not None and fact.valid_to <= fact.valid_from
    return Version(fact, later[-ENDS:], never)


def facts_of_resource(page: EngineAdmin, request: HttpRequest, resource_id: str) -> dict[str, Any]:
    """Return the facts that are true now as context for the page of a resource."""
    address = page.url("resource_facts", resource_id=resource_id)
    facts: list[types.Fact] = []
    if address and page.reads(request, Fact):
        facts = engine.facts.list_facts(resource_id=resource_id, limit=LISTED).items
    return {"facts_url": address, "listed_facts": facts}
