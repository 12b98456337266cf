"""The questions that users come with, and the pages from which they are answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from mastra_engine.admin.base import EngineAdmin, Text
from mastra_engine.models import Entity, Message, SyncRun, Thread, VectorIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, the model of the admin that answers it, and the page's name and parameters.

    A question with a `label` is asked by a form, which sends its text as the parameter `q`.
    """

    text: Text
    model: type[Model]
    page: str
    query: dict[str, str] = field(default_factory=dict)
    label: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A question with the address of its page."""

    question: Question
    url: str


QUESTIONS = (
    Question(
        text=_("Which syncs failed, and why?"),
        model=SyncRun,
        page="syncrun_changelist",
        query={"status": "failed"},
    ),
    Question(text=_("Which index lags behind?"), model=VectorIndex, page="vectorindex_changelist"),
    Question(text=_("Why was a passage retrieved?"), model=VectorIndex, page="playground"),
    Question(
        text=_("What did the model see before an answer?"), model=Thread, page="thread_changelist"
    ),
    Question(
        text=_("Which records of a connection changed on a day?"),
        model=Entity,
        page="changed_records",
    ),
    Question(
        text=_("In which conversation was it said?"),
        model=Message,
        page="message_changelist",
        label=_("Words"),
    ),
    Question(
        text=_("What does the agent know about a user?"),
        model=Thread,
        page="resources",
        label=_("Resource ID"),
    ),
    Question(
        text=_("What would be deleted with a user?"),
        model=Thread,
        page="resources",
        label=_("Resource ID"),
    ),
)


def answers(request: HttpRequest, admins: Mapping[type[Model], EngineAdmin]) -> Iterator[Answer]:
    """Yield the questions with pages that the user may open."""
    for question in QUESTIONS:
        admin = admins.get(question.model)
        if admin is not None and admin.may_open(request, question.page):
            url = admin.url(question.page, **question.query)
            yield Answer(question=question, url=url)
