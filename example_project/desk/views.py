"""The pages of the desk: conversations, and the sources that answers cite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages as notices
from django.contrib.admin.utils import quote
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views import View
from django.views.decorators.http import require_GET, require_POST

from example_project.desk import knowledge, model
from example_project.desk.presentation import items, notes
from example_project.desk.streams import EVENTS, answer_events, stream
from example_project.desk.turns import Turn
from example_project.sources import CONNECTION
from mastra_engine import MastraEngine, engine
from mastra_engine.exceptions import FactNotFound, InvalidInput, NotFound
from mastra_engine.types import Message

CONVERSATIONS, MESSAGES, FACTS = 30, 200, 100
EXAMPLES = (
    "Can a lambda contain several statements?",
    "How do I catch two exceptions in one handler?",
    "What is the nonlocal statement for?",
    "What is the state of ticket #2?",
    "Show me all open tickets",
    "Remember that our servers run Python 3.11.",
    "Which Python do our servers run?",
)


class QuestionForm(forms.Form):
    """A question, and a key that makes it idempotent: sent twice, it is saved once."""

    question = forms.CharField(
        label="Your question",
        max_length=4_000,
        widget=forms.Textarea(
            attrs={"rows": 2, "placeholder": "Ask about Python, or a ticket: #2"}
        ),
    )
    turn = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)


class TitleForm(forms.Form):
    """The new title of a conversation."""

    title = forms.CharField(label="Title", max_length=200)


class ConversationView(LoginRequiredMixin, View):
    """A conversation. A question to an unused address begins one; other users' are not found."""

    def get(self, request: HttpRequest, thread_id: str) -> HttpResponse:
        memory = desk(request).memory
        with not_found_as_404():
            thread = memory.get_thread(thread_id=thread_id)
        latest = memory.list_messages(thread_id=thread_id, limit=MESSAGES, order="desc").items[::-1]
        return page(request, thread_id, title=thread.title, messages=latest)

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
        with not_found_as_404():
            turn.save_question()
        if request.get_preferred_type(["text/html", EVENTS]) == EVENTS:
            return stream(request, turn)
        for event in answer_events(turn):  # without JavaScript, the next page has the whole answer
            if "error" in event:
                notices.error(request, event["error"])
        return redirect("conversation", thread_id)


@login_required
@require_POST
def rename(request: HttpRequest, thread_id: str) -> HttpResponse:
    """Give a conversation of the user another title."""
    form = TitleForm(request.POST)
    if form.is_valid():
        with not_found_as_404():
            desk(request).memory.update_thread(thread_id=thread_id, **form.cleaned_data)
    else:
        notices.error(request, f"The title was not changed: {form.errors['title'][0]}")
    return redirect("conversation", thread_id)


@login_required
@require_POST
def delete(request: HttpRequest, thread_id: str) -> HttpResponse:
    """Delete a conversation of the user, with the facts that rest on it alone."""
    with not_found_as_404():
        desk(request).memory.delete_thread(thread_id=thread_id)
    return redirect("start")


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Show where the chat, the admin and the API's documentation are."""
    return render(request, "desk/home.html", {"demo": settings.DEBUG})


@login_required
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Show the form for the first question of a new conversation."""
    return page(request, str(uuid.uuid4()))


@login_required
@require_GET
def source(request: HttpRequest, entity: str, external_id: str) -> HttpResponse:
    """Show a record that an answer cites, with the chunk marked, and the run of its sync."""
    engine_in_scope = desk(request)
    with not_found_as_404():
        record = knowledge.get(engine_in_scope, entity, external_id)
    before, chunk, after = knowledge.split_at_chunk(record, request.GET.get("chunk", ""))
    run = knowledge.last_run(engine_in_scope, entity)
    context = {
        "title": knowledge.title(record),
        "record": record,
        "before": before,
        "chunk": chunk,
        "after": after,
        "run": run,
        "admin_url": admin_url(request, "record", record.id),
        "run_url": admin_url(request, "syncrun", run.id) if run else None,
    }
    return render(request, "desk/source.html", context)


@login_required
@require_POST
def forget(request: HttpRequest) -> HttpResponse:
    """Empty the user's working memory, and erase the facts about the user."""
    own, resource = desk(request), resource_id(request)
    own.memory.update_working_memory(resource_id=resource, content={})
    while facts := own.facts.list_facts(resource_id=resource, include_superseded=True, limit=FACTS):
        for id in {fact.id for fact in facts}:
            with suppress(FactNotFound):  # it was a version of a claim that is forgotten by now
                own.facts.forget(id=id)
    return redirect("start")


@contextmanager
def not_found_as_404() -> Iterator[None]:
    """Respond with 404 when the id in an address does not exist or is not valid."""
    try:
        yield
    except (InvalidInput, NotFound):
        raise Http404 from None


def desk(request: HttpRequest) -> MastraEngine:
    """Return the engine within the user's scope: their memory, and the desk's records."""
    return engine.within(resource_ids=[resource_id(request)], connection_ids=[CONNECTION])


def resource_id(request: HttpRequest) -> str:
    return str(request.user.pk)


def page(
    request: HttpRequest,
    thread_id: str,
    *,
    title: str = "",
    messages: Sequence[Message] = (),
    form: QuestionForm | None = None,
    status: int = 200,
) -> HttpResponse:
    memory, resource = desk(request).memory, resource_id(request)
    last = messages[-1] if messages else None
    facts = desk(request).facts.list_facts(resource_id=resource, limit=FACTS)
    claims = {f"{fact.subject} {fact.predicate} {fact.object}": fact for fact in facts}
    noted = notes(memory.get_working_memory(resource_id=resource).data)
    context = {
        "title": title,
        "thread_id": thread_id,
        "items": list(items(messages)),
        "unanswered": last if last and last.role == "user" else None,
        "conversations": memory.list_threads(resource_id=resource, limit=CONVERSATIONS),
        "notes": [(name, value) for name, value in noted if name not in claims],
        "facts": [
            (claim, fact, admin_url(request, "fact", fact.id)) for claim, fact in claims.items()
        ],
        "form": form or QuestionForm(),
        "title_form": TitleForm({"title": title}, auto_id="title") if messages else None,
        "examples": EXAMPLES,
        "model": model.name(),
        "admin_url": admin_url(request, "thread", thread_id) if messages else None,
    }
    return render(request, "desk/conversation.html", context, status=status)


def admin_url(request: HttpRequest, model: str, id: Any) -> str | None:
    """Return the address of a row's page in the admin, or None for users who are not staff."""
    if not request.user.is_staff:
        return None
    return reverse(f"admin:mastra_engine_{model}_change", args=[quote(str(id))])
