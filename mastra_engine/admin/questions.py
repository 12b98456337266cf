"""The questions that users come with, and the pages from which they are answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mastra_engine.admin.base import EngineAdmin, Text
from mastra_engine.admin.filters import on_day_of
from mastra_engine.models import Entity, Message, SyncRun, Thread, VectorIndex

Query = dict[str, str]


def _failed_today() -> Query:
    return {"status": "failed", **on_day_of(timezone.now(), "finished_at")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, the model of the admin that answers it, and the page's name and parameters.

    A question with a `label` is asked by a form, which sends its text as the parameter `q`. One
    that `reads` finds words of the model's content, which the user must have permission to read.
    """

    text: Text
    model: type[Model]
    page: str
    query: Callable[[], Query] = dict
    label: Text = ""
    reads: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question with the address and the parameters of its page."""

    question: Question
    url: str
    query: Query = field(default_factory=dict)


QUESTIONS = (
    Question(
        text=_("Which syncs failed today, and why?"),
        model=SyncRun,
        page="syncrun_changelist",
        query=_failed_today,
    ),
    Question(
        text=_("Which records of a connection changed today or yesterday?"),
        model=Entity,
        page="changed_records",
    ),
    Question(text=_("Which index lags behind?"), model=VectorIndex, page="vectorindex_changelist"),
    Question(text=_("Why was a passage retrieved?"), model=VectorIndex, page="playground"),
    Question(
        text=_("What did the model see before an answer?"),
        model=Message,
        page="message_changelist",
        query=lambda: {"role": "assistant"},
        label=_("Words of the answer"),
        reads=True,
    ),
    Question(
        text=_("In which conversation was it said?"),
        model=Message,
        page="message_changelist",
        label=_("Words"),
        reads=True,
    ),
    Question(
        text=_("What does the agent know about a user?"),
        model=Thread,
        page="resources",
        label=_("Resource ID"),
    ),
    Question(
        text=_("What would be deleted if a user were erased?"),
        model=Thread,
        page="resources",
        label=_("Resource ID"),
    ),
)


def answers(request: HttpRequest, admins: Mapping[type[Model], EngineAdmin]) -> Iterator[Answer]:
    """Yield the questions with pages that the user may open and read."""
    for question in QUESTIONS:
        admin = admins.get(question.model)
        if admin is None or not admin.may_open(request, question.page):
            continue
        if question.reads and not admin.reads(request, question.model):
            continue
        yield Answer(question=question, url=admin.url(question.page), query=question.query())
