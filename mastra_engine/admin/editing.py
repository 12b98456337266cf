"""Editing conversations: titles of threads, messages, working memory."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from mastra_engine.admin.actions import form_page
from mastra_engine.admin.base import EngineAdmin, View
from mastra_engine.admin.beginnings import size_of
from mastra_engine.admin.forms import JSONObjectField, PageForm
from mastra_engine.admin.reading import database
from mastra_engine.admin.transcript import PAGE
from mastra_engine.exceptions import InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import Message, Thread, WorkingMemory

#: The most characters of working memory that a page edits: as a form they have at most 2 MB.
EDITED = 200_000
#: The number of positions before a deleted message from which its thread is shown.
BEFORE = 10
#: The most characters of a message on the page that asks whether to delete it.
EXCERPT = 200


class VersionedForm(PageForm):
    """A form with the version of the row that its values were read from."""

    version = forms.IntegerField(min_value=0, max_value=2**63 - 1, widget=forms.HiddenInput)


class TitleForm(VersionedForm):
    """The title of a thread."""

    title = forms.CharField(label=gettext_lazy("Title"), required=False)


class WorkingMemoryForm(VersionedForm):
    """The text and the JSON of working memory."""

    content = forms.CharField(
        label=gettext_lazy("Text"),
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 12}),
    )
    document = JSONObjectField(label=gettext_lazy("JSON"), required=False)


class ThreadEditing(EngineAdmin):
    """Renaming threads."""

    views: tuple[View, ...] = (
        View("rename_thread", "<path:object_id>/rename/", content="thread", needs="change"),
    )

    def rename_thread(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change the title of a thread."""
        row = self.row(request, object_id)
        stored = {"title": row.title, "version": row.version}
        form = _versioned(TitleForm, request, stored)

        def act() -> Thread:
            values = form.cleaned_data
            engine.memory.update_thread(
                thread_id=row.id, title=values["title"], if_version=values["version"]
            )
            return cast(Thread, row)

        return form_page(
            self,
            request,
            form,
            title=_("Rename %(thread)s") % {"thread": row},
            heading=_("Rename a thread"),
            label=_("Rename"),
            act=act,
            success=_("The thread was renamed."),
            back=self.url("thread_change", row.pk),
            current=row.title if form.errors else None,
        )


class MessageDeletion(EngineAdmin):
    """Deleting messages, one or several."""

    views: tuple[View, ...] = (View("delete_messages", "delete/", needs="delete"),)
    deleted_with = gettext_lazy("its vector, and the facts that rest on it alone")

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: Message) -> None:
        engine.memory.delete_messages(ids=[obj.id])

    def after_deletion(self, row: Message) -> str:
        return self.url("thread_change", row.thread_id, at=max(1, row.position - BEFORE))

    def delete_messages(self, request: HttpRequest) -> HttpResponse:
        """Ask whether to delete the messages that a form names, and delete them."""
        parameters = request.POST if request.method == "POST" else request.GET
        ids = [id for id in parameters.getlist("id") if "\0" not in id]
        if not 0 < len(ids) <= PAGE:
            raise InvalidInput(f"must name 1 to {PAGE} messages, got {len(ids)}", path="/id")
        rows = list(
            self.rows(Message)
            .filter(id__in=ids)
            .annotate(beginning=Left("text", EXCERPT))
            .defer(*self.documents, *self.unread)
            .order_by("thread_id", "position")
        )
        if not rows:
            messages.warning(request, _("The messages were deleted already."))
            return redirect(self.url("message_changelist"))
        if request.method != "POST":
            return self.page(
                request,
                "delete_messages.html",
                title=_("Delete messages"),
                rows=rows,
                back=self.after_deletion(rows[0]),
            )
        deleted = engine.memory.delete_messages(ids=[row.id for row in rows])
        self.log_deletions(request, cast("QuerySet[Any]", rows))
        text = ngettext(
            "%(number)d message was deleted.", "%(number)d messages were deleted.", deleted
        )
        messages.success(request, text % {"number": deleted})
        return redirect(self.after_deletion(rows[0]))


class WorkingMemoryEditing(EngineAdmin):
    """Editing working memory."""

    views: tuple[View, ...] = (
        View("edit_memory", "<path:object_id>/edit/", content="workingmemory", needs="change"),
    )

    def edit_memory(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change the text and the JSON of working memory; the schema of the settings applies."""
        row = self.row(request, object_id)
        ((size,),) = self.only(row).values_list(size_of(WorkingMemory, "content", "data"))
        if size > EDITED:
            raise InvalidInput(
                f"the working memory has {size:,} characters; a page edits at most {EDITED:,}. "
                "Change it with update_working_memory()"
            )
        stored = {"content": row.content, "document": row.data, "version": row.version}
        form = _versioned(WorkingMemoryForm, request, stored)

        def act() -> WorkingMemory:
            _store(row, **form.cleaned_data)
            return cast(WorkingMemory, row)

        return form_page(
            self,
            request,
            form,
            title=_("Edit %(memory)s") % {"memory": row},
            heading=_("Edit: %(memory)s") % {"memory": self.heading(request, row)},
            label=_("Save"),
            act=act,
            success=_("The working memory was changed."),
            back=self.url("workingmemory_change", row.pk),
            current={"text": row.content, "JSON": row.data} if form.errors else None,
            schema=engine.memory.context.working_memory_schema,
        )


def _versioned(
    kind: type[VersionedForm], request: HttpRequest, stored: dict[str, Any]
) -> VersionedForm:
    """Return a form for a row as it is stored, or the user's, with an error if the row changed.

    Such a form has the new version, so that sending it again overwrites the row.
    """
    if request.method != "POST":
        return kind(initial=stored)
    values = request.POST.copy()
    changed = values.get("version") != str(stored["version"])
    values["version"] = str(stored["version"])
    form = kind(values)
    if changed:
        form.is_valid()
        message = _(
            "It was changed meanwhile, and has version %(version)d now, as shown below. Compare, "
            "and send this form again to overwrite it."
        )
        form.add_error(None, message % {"version": stored["version"]})
    return form


def _store(row: WorkingMemory, *, content: str, document: dict[str, Any], version: int) -> None:
    """Store the text and the JSON of working memory as far as they changed, both or none."""
    holder: dict[str, Any] = {"resource_id": row.resource_id}
    if row.thread_id is not None:
        holder = {"thread_id": row.thread_id}
    with transaction.atomic(using=database()):
        if document != row.data:
            updated = engine.memory.update_working_memory(
                **holder, content=document, if_version=version
            )
            version = updated.version
        if _lines(content) != _lines(row.content):
            engine.memory.update_working_memory(
                **holder, content=_lines(content), if_version=version
            )


def _lines(text: str) -> str:
    """Return a text with the line ends that it had before a browser sent it."""
    return text.replace("\r\n", "\n")
