"""The context window of a thread as a model sees it, by segments with their share of the tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import takewhile
from typing import Any, Literal

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.bars import bar
from mastra_engine.admin.base import EngineAdmin, Link, Text, View
from mastra_engine.admin.beginnings import size_of
from mastra_engine.admin.content import markdown, tool_names
from mastra_engine.admin.forms import PageForm
from mastra_engine.admin.hits import Hit, hits_of
from mastra_engine.admin.readable import readable_memory
from mastra_engine.admin.searching import errors_in
from mastra_engine.admin.wording import number_text
from mastra_engine.conversations.context_window import Segment, segment_of
from mastra_engine.conversations.formats import format_window
from mastra_engine.evaluations.targets import Target
from mastra_engine.exceptions import EngineError, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import Fact, Message, Thread, WorkingMemory
from mastra_engine.types import ContextWindow
from mastra_engine.types import Message as MessageValue

#: The most characters that the messages of a context window may have for its page.
WINDOW_CHARACTERS = 10_000_000
#: The most messages of a context window that its page shows.
SHOWN = 200
#: The budget that the page begins with, and the limits of the end of its slider.
BUDGET, LEAST_END, MOST_END = 4_000, 8_000, 1_000_000
#: The most messages that are searched for those saved together with one.
TOGETHER = 100
#: The arguments that a recall by another query keeps.
_KEPT = ("max_tokens", "working_memory", "facts", "scope", "before")
#: The segments in the order of the window, each with its label.
SEGMENTS: dict[Segment, Text] = {
    "system": gettext_lazy("System"),
    "facts": gettext_lazy("Facts"),
    "working_memory": gettext_lazy("Working memory"),
    "recalled": gettext_lazy("Recalled"),
    "messages": gettext_lazy("Messages"),
    "tools": gettext_lazy("Tools"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of a segment in the window. `colour` numbers its colour."""

    label: Text
    tokens: int
    percent: float
    colour: int


class WindowForm(PageForm):
    """The arguments of a context window. `before` is the position of the message after it."""

    max_tokens = forms.IntegerField(
        label=gettext_lazy("Budget in tokens"),
        min_value=0,
        max_value=2**31 - 1,
        widget=forms.NumberInput(attrs={"type": "range", "step": 100}),
    )
    working_memory = forms.BooleanField(label=gettext_lazy("Working memory"), required=False)
    facts = forms.BooleanField(label=gettext_lazy("Facts"), required=False)
    recall = forms.BooleanField(label=gettext_lazy("Recall by the last question"), required=False)
    scope = forms.ChoiceField(
        label=gettext_lazy("Recall from"),
        choices=[
            ("thread", gettext_lazy("this thread")),
            ("resource", gettext_lazy("all threads of the resource")),
        ],
    )
    format = forms.ChoiceField(
        choices=[("raw", ""), ("openai", ""), ("anthropic", "")], widget=forms.HiddenInput
    )
    before = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)
    query = forms.CharField(
        label=gettext_lazy("Recall query"), required=False, widget=forms.HiddenInput
    )

    def __init__(self, data: dict[str, Any], *, thread: Thread) -> None:
        values = {"max_tokens": BUDGET, "scope": "thread", "format": "raw", **data}
        if "max_tokens" not in data:  # opened by a link, not by the form
            values = {"working_memory": "on", "facts": "on", **values}
        super().__init__(values)
        end = min(max(LEAST_END, thread.total_tokens), MOST_END)
        widget = self.fields["max_tokens"].widget
        widget.attrs |= {"min": 0, "max": -(-end // 1_000) * 1_000}

    def add_engine_error(self, error: EngineError) -> None:
        """Show an exception of the engine above the form."""
        self.add_error(None, str(error))


class ContextWindows(EngineAdmin):
    """The page of a context window."""

    views: tuple[View, ...] = (View("context", "<path:object_id>/context/", content="message"),)

    def context(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the context window of a thread within a budget of tokens.

        A query is sent by POST: it is content, which addresses should not hold.
        """
        thread = self.row(request, object_id)
        data = (request.POST if request.method == "POST" else request.GET).dict()
        form = WindowForm(data, thread=thread)
        for name, model in (("working_memory", WorkingMemory), ("facts", Fact)):
            if not self.reads(request, model):
                del form.fields[name]
        parts = {}
        if form.is_valid():
            with errors_in(form.add_engine_error):
                parts = self._window_parts(request, thread, form.cleaned_data)
        return self.page(
            request,
            "context.html",
            title=_("Context window of %(thread)s") % {"thread": thread},
            heading=_("Context window of %(thread)s") % {"thread": self.heading(request, thread)},
            form=form,
            kept=[(name, value) for name, value in form.data.items() if name in _KEPT],
            before=form.cleaned_data.get("before"),
            tools=[Link(_("Transcript"), self.url("thread_change", thread.id))],
            **parts,
        )

    def _window_parts(
        self, request: HttpRequest, thread: Thread, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the parts of the page about a window."""
        before = self._until(thread, arguments["before"])
        budget = arguments["max_tokens"] + sum(message.tokens for message in before)
        self._check_size(thread, budget)
        query = arguments["query"] or (
            self._last_question(thread, arguments["before"]) if arguments["recall"] else ""
        )
        window = engine.memory.get_context_window(
            thread_id=thread.id,
            max_tokens=budget,
            end=before[0].created_at + timedelta(microseconds=1) if before else None,
            query=query or None,
            scope=arguments["scope"],
            working_memory=arguments.get("working_memory", False),
            facts=arguments.get("facts", False),
        )
        if before:
            window = _without(window, arguments["before"])
        return {
            "window": window,
            "query": query,
            "payload": _payload(window, arguments["format"]),
            **_segments(window, arguments["max_tokens"]),
            "hits": self._hits(request, thread, query, arguments["scope"]) if query else [],
        }

    def _until(self, thread: Thread, position: int | None) -> list[Message]:
        """Return the message at a position, and those that were saved together with it.

        An engine's window ends at a time. These messages have the same, and are left out after.
        """
        if position is None:
            return []
        rows = self._messages(thread).filter(position__gte=position).order_by("position")
        messages = list(rows.only("position", "tokens", "created_at")[:TOGETHER])
        if not messages or messages[0].position != position:
            message = _("There is no message at position %(position)s.") % {"position": position}
            raise InvalidInput(message, path="/before")
        end = messages[0].created_at
        return list(takewhile(lambda message: message.created_at <= end, messages))

    def _last_question(self, thread: Thread, before: int | None) -> str:
        """Return the text of the user's last message, or an empty text."""
        questions = self._messages(thread).filter(role="user")
        if before is not None:
            questions = questions.filter(position__lt=before)
        return questions.order_by("-position").values_list("text", flat=True).first() or ""

    def _hits(self, request: HttpRequest, thread: Thread, query: str, scope: str) -> list[Hit]:
        """Return the messages that the query recalls, with their scores."""
        of_thread = scope == "thread"
        recalled = engine.memory.recall(
            query=query,
            resource_id=thread.resource_id,
            thread_id=thread.id if of_thread else None,
            message_range=(0, 0),
            explain=True,
        )
        return hits_of(self, request, Target("recall"), recalled)

    def _messages(self, thread: Thread) -> QuerySet[Any]:
        return self.rows(Message).filter(thread=thread)

    def _check_size(self, thread: Thread, max_tokens: int) -> None:
        """Raise InvalidInput if the messages within a budget of tokens are too long for a page.

        Images and files have few tokens and many megabytes.
        """
        newest = self._messages(thread).order_by("-position")
        rows = newest.values_list("tokens", size_of(Message, "content", "metadata"))
        tokens = size = 0
        for message_tokens, message_size in rows.iterator(chunk_size=500):
            tokens += message_tokens
            size += message_size
            if tokens > max_tokens:
                return
            if size > WINDOW_CHARACTERS:
                message = _(
                    "the window has more than %(number)s characters, which is too much for a page; "
                    "choose a smaller budget"
                )
                raise InvalidInput(
                    message % {"number": number_text(WINDOW_CHARACTERS)}, path="/max_tokens"
                )


def _without(window: ContextWindow, position: int) -> ContextWindow:
    """Return a window without the messages from a position on."""
    messages = [message for message in window.messages if message.position < position]
    tokens = sum(message.tokens for message in messages)
    return replace(window, messages=messages, tokens=tokens)


def _payload(window: ContextWindow, format: Literal["raw", "openai", "anthropic"]) -> Any:
    """Return the arguments of a provider's client, or None in the readable format."""
    if format == "raw":
        return None
    formatted = format_window(window.messages, format, truncated=window.truncated)
    system = {} if formatted.system is None else {"system": formatted.system}
    return {**system, "messages": formatted.messages}


def _segments(window: ContextWindow, budget: int) -> dict[str, Any]:
    """Return the shares of the segments, their bar, and the messages of the window."""
    tokens: dict[Segment, int] = defaultdict(int)
    for message in window.messages:
        tokens[segment_of(message)] += message.tokens
    total = max(budget, window.tokens, 1)
    shares = [
        Share(label=label, tokens=tokens[name], percent=100 * tokens[name] / total, colour=colour)
        for colour, (name, label) in enumerate(SEGMENTS.items())
        if tokens[name]
    ]
    preamble = list(takewhile(lambda message: message.position == 0, window.messages))
    history: Sequence[MessageValue] = window.messages[len(preamble) :]
    return {
        "shares": shares,
        "bar": bar((share.percent / 100, share.colour) for share in shares),
        "free": max(0, budget - window.tokens),
        "preamble": list(_preamble(preamble)),
        "newest": history[-SHOWN:],
        "tool_names": tool_names(message.content for message in history),
        "history": len(history),
    }


def _preamble(messages: Sequence[MessageValue]) -> Iterator[tuple[Text, Segment, SafeString, int]]:
    """Yield the label, segment, text as HTML and tokens of each message of the preamble."""
    for message in messages:
        segment = segment_of(message)
        text = str(message.content[0]["text"])
        if segment != "system":  # the first line is the segment's name
            text = text.partition("\n")[2]
        html = readable_memory(text) if segment == "working_memory" else markdown(text)
        yield SEGMENTS[segment], segment, html, message.tokens
