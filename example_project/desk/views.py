"""The pages: conversations, and the sources that answers cite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views import View
from django.views.decorators.http import require_GET, require_POST

from example_project.desk import knowledge, model
from example_project.desk.presentation import facts, shown
from example_project.desk.streams import EVENTS, stream, told
from example_project.desk.turns import Turn
from mastra_engine import MastraEngine, engine
from mastra_engine.exceptions import InvalidInput, NotFound
from mastra_engine.types import Message

CONVERSATIONS, MESSAGES = 30, 200
EXAMPLES = (
    "Can a lambda contain several statements?",
    "What is the state of ticket #2?",
    "Remember that our servers run Python 3.11.",
)


class QuestionForm(forms.Form):
    """A question, and the browser's name for it: sent again, it is not asked again."""

    question = forms.CharField(
        label="Your question",
        max_length=4_000,
        widget=forms.Textarea(
            attrs={"rows": 2, "placeholder": "Ask about Python, or a ticket: #2"}
        ),
    )
    turn = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


class ConversationView(LoginRequiredMixin, View):
    """A conversation; whoever asks there begins it, unless it is somebody else's."""

    def get(self, request: HttpRequest, thread_id: str) -> HttpResponse:
        memory = desk(request).memory
        with named_by_address():
            thread = memory.get_thread(thread_id=thread_id)
        latest = memory.list_messages(thread_id=thread_id, limit=MESSAGES, order="desc").items[::-1]
        return page(request, thread_id, title=thread.title, said=latest)

    def post(self, request: HttpRequest, thread_id: str) -> HttpResponseBase:
        form = QuestionForm(request.POST)
        if not form.is_valid():
            return page(request, thread_id, form=form, status=400)
        turn = Turn(
            desk(request),
            resource_id=resource_id(request),
            thread_id=thread_id,
            key=str(form.cleaned_data["turn"]),
            question=form.cleaned_data["question"],
        )
        with named_by_address():
            turn.begin()
        if request.get_preferred_type(["text/html", EVENTS]) == EVENTS:
            return stream(request, turn)
        for event in told(turn):  # without JavaScript, the page comes with the whole answer
            if "error" in event:
                messages.error(request, event["error"])
        return redirect("conversation", thread_id)


@login_required
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """A conversation that has not begun."""
    return page(request, str(uuid.uuid4()))


@login_required
@require_GET
def source(request: HttpRequest, entity: str, external_id: str) -> HttpResponse:
    """A record that an answer cites, the passage marked, and the sync that brought it."""
    known = desk(request)
    with named_by_address():
        record = knowledge.get(known, entity, external_id)
    before, passage, after = knowledge.parted(record, request.GET.get("chunk", ""))
    run = knowledge.last_run(known, entity)
    context = {
        "title": knowledge.title(record),
        "record": record,
        "before": before,
        "passage": passage,
        "after": after,
        "run": run,
        "admin_url": admin_url(request, "record", record.id),
        "run_url": admin_url(request, "syncrun", run.id) if run else None,
    }
    return render(request, "desk/source.html", context)


@login_required
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Empty the working memory that is kept of the user."""
    desk(request).memory.update_working_memory(resource_id=resource_id(request), content={})
    return redirect("start")


@contextmanager
def named_by_address() -> Iterator[None]:
    """Say that there is no such page for what there is not, or what nothing can be called."""
    try:
        yield
    except (InvalidInput, NotFound):
        raise Http404 from None


def desk(request: HttpRequest) -> MastraEngine:
    """Return the engine as far as the user may reach: their memory, and the desk's records."""
    return engine.within(resource_ids=[resource_id(request)], connection_ids=[knowledge.CONNECTION])


def resource_id(request: HttpRequest) -> str:
    return str(request.user.pk)


def page(
    request: HttpRequest,
    thread_id: str,
    *,
    title: str = "",
    said: Sequence[Message] = (),
    form: QuestionForm | None = None,
    status: int = 200,
) -> HttpResponse:
    memory, resource = desk(request).memory, resource_id(request)
    last = said[-1] if said else None
    context = {
        "title": title,
        "thread_id": thread_id,
        "said": list(shown(said)),
        "unanswered": last if last and last.role == "user" else None,
        "conversations": memory.list_threads(resource_id=resource, limit=CONVERSATIONS),
        "kept": list(facts(memory.get_working_memory(resource_id=resource).data)),
        "form": form or QuestionForm(),
        "examples": EXAMPLES,
        "model": model.name(),
        "admin_url": admin_url(request, "thread", thread_id) if said else None,
    }
    return render(request, "desk/conversation.html", context, status=status)


def admin_url(request: HttpRequest, model: str, id: Any) -> str | None:
    """Return where staff find a row in the admin."""
    if not request.user.is_staff:
        return None
    return reverse(f"admin:mastra_engine_{model}_change", args=[quote(str(id))])
