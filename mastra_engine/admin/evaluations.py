"""Evaluations: saved questions with their right answers, and the results of searches over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, Fact, Link, View
from mastra_engine.admin.forms import (
    FilterField,
    PageForm,
    min_score_field,
    owner_field,
    rerank_field,
)
from mastra_engine.admin.openable import openable
from mastra_engine.admin.reading import database
from mastra_engine.admin.searching import errors_in
from mastra_engine.evaluations.saved import read_cases, save_result
from mastra_engine.evaluations.targets import Target
from mastra_engine.exceptions import EngineError, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import EvaluationCase, EvaluationResult
from mastra_engine.retrieval.evaluation import parse_cases

#: The most cases that a page measures, and the most results and targets that it shows.
MOST_CASES, RESULTS, TARGETS = 100, 50, 200
#: The most characters of a question in a list.
QUESTION = 200


class _Lines(forms.Textarea):
    """A text area of which a page may also send each line by itself."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return "\n".join(data.getlist(name)) if hasattr(data, "getlist") else data.get(name)


class CaseForm(PageForm):
    """A question, where it is searched, and the ids of its right answers."""

    query = forms.CharField(
        label=gettext_lazy("Question"), widget=forms.Textarea(attrs={"rows": 2})
    )
    target = forms.CharField(
        label=gettext_lazy("Search in"),
        help_text=gettext_lazy("vectors:INDEX, records:ENTITY or recall"),
    )
    owner = owner_field()
    expected_ids = forms.CharField(
        label=gettext_lazy("Right answers"),
        help_text=gettext_lazy(
            "Ids of vectors, external ids of records or ids of messages, one on a line"
        ),
        widget=_Lines(attrs={"rows": 4}),
    )
    filter = FilterField(required=False, label=gettext_lazy("Filter"))

    def clean(self) -> dict[str, Any]:
        """Add the `row` to save, which is checked as the engine checks a case."""
        data: dict[str, Any] = super().clean() or {}
        if self.errors:
            return data
        try:
            target = Target.parse(data["target"])
            of_namespace = target.kind == "vectors" and data["owner"]
            options = {"namespace": data["owner"]} if of_namespace else {}
            row = EvaluationCase(
                target=str(Target(target.kind, target.name, options)),
                owner=data["owner"],
                query=data["query"],
                expected_ids=data["expected_ids"].splitlines(),
                filter=data["filter"],
            )
            (case,) = parse_cases([row.to_value()])
        except InvalidInput as error:
            self.add_error(None, str(error))
        else:
            row.expected_ids = list(case.expected_ids)
            data["row"] = row
        return data


class RunForm(PageForm):
    """The search to measure: a target with saved cases, and its options."""

    target = forms.ChoiceField(label=gettext_lazy("Cases"))
    hybrid = forms.FloatField(
        required=False,
        label=gettext_lazy("Weight of vectors"),
        min_value=0,
        max_value=1,
        help_text=gettext_lazy("Empty for the default of the search"),
    )
    min_score = min_score_field()
    reranker = rerank_field()

    def __init__(self, *args: Any, targets: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target"].choices = [(name, name) for name in targets]  # type: ignore[attr-defined]

    def search(self) -> Target:
        """Return the target with its options."""
        data = dict(self.cleaned_data)
        target = Target.parse(data.pop("target"))
        options = {name: value for name, value in data.items() if value not in (None, False)}
        return Target(target.kind, target.name, {**target.options, **options})

    def add_engine_error(self, error: EngineError) -> None:
        """Show an exception of the engine above the form."""
        self.add_error(None, str(error))


@admin.register(EvaluationCase)
class EvaluationCaseAdmin(EngineAdmin):
    """Saved questions, which the playground adds."""

    views = (View("save_case", "save/", needs="add", content="evaluationcase"),)
    list_display = ("question", "target", "created_at")
    list_display_links = None
    content_columns = ("question",)
    search_fields = ("target",)
    search_help_text = gettext_lazy("The beginning of a target, such as vectors:docs")
    lookups = frozenset({"target__exact"})
    facts = ("target", "owner", "created_at")
    documents = ("query", "filter")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        with_beginning: QuerySet[Any] = rows.annotate(beginning=Left("query", QUESTION))
        return with_beginning

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return columns if "question" in columns else ["place", *columns]

    @admin.display(description=gettext_lazy("question"))
    def question(self, row: Any) -> SafeString:
        return self._linked(row, row.beginning)

    @admin.display(description=gettext_lazy("ID"))
    def place(self, row: Any) -> SafeString:
        return self._linked(row, row.pk)

    def _linked(self, row: Any, text: Any) -> SafeString:
        url = self.url("evaluationcase_change", row.pk)
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, text)

    def heading(self, request: HttpRequest, row: Any) -> str:
        return str(row.beginning if self.reads(request, EvaluationCase) else row)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.may(request, "delete")

    def delete_model(self, request: HttpRequest, obj: EvaluationCase) -> None:
        obj.delete(using=database())

    def details(self, request: HttpRequest, row: EvaluationCase) -> dict[str, Any]:
        answers = Fact(_("right answers"), ", ".join(row.expected_ids))
        return {"facts": [*self.labelled(request, row, self.facts), answers]}

    def tools(self, request: HttpRequest, row: EvaluationCase) -> list[Link]:
        return [Link(_("Evaluations"), self.url("evaluations"))]

    def save_case(self, request: HttpRequest) -> HttpResponse:
        """Save a question with its right answers; the playground sends the form filled in."""
        form = CaseForm(request.POST or None, initial={"target": request.GET.get("target")})
        if form.is_valid():
            row = form.cleaned_data["row"]
            row.save(using=database())
            self.log_addition(request, row, [{"added": {}}])
            messages.success(request, _("The question was saved."))
            return redirect(self.url("evaluationcase_change", row.pk))
        return self.page(request, "evaluation_case.html", title=_("Save a question"), form=form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A metric over time: its latest value, and the points of its line in a picture."""

    name: str
    value: float
    points: str
    colour: int


@admin.register(EvaluationResult)
class EvaluationResultAdmin(EngineAdmin):
    """Results of searches over the saved questions."""

    views = (
        View("evaluations", "over-time/", label=gettext_lazy("Evaluations")),
        View("evaluate", "evaluate/", needs="add"),
    )
    list_display = ("target", "case_count", "created_at")
    search_fields = ("target",)
    search_help_text = gettext_lazy("The beginning of a target, such as vectors:docs")
    lookups = frozenset({"target__exact"})
    facts = ("target", "case_count", "created_at")
    template = "evaluation_result.html"

    def details(self, request: HttpRequest, row: EvaluationResult) -> dict[str, Any]:
        return {"metrics": row.metrics}

    def tools(self, request: HttpRequest, row: EvaluationResult) -> list[Link]:
        return [Link(_("Over time"), self.url("evaluations", target=row.target))]

    def evaluations(self, request: HttpRequest) -> HttpResponse:
        """Show the results of a target over time."""
        results = self.rows(EvaluationResult)
        targets = _targets(results)
        newest = results.order_by("-id")
        target = request.GET.get("target", "").replace("\0", "")
        if not target and (latest := newest.values_list("target", flat=True).first()):
            target = latest
        latest_results = list(newest.filter(target=target)[:RESULTS])
        links = [
            Link(_("Measure"), openable(self, request, EvaluationResult, "evaluate")),
            Link(_("Questions"), self.url("evaluationcase_changelist")),
            Link(_("Add a question"), openable(self, request, EvaluationCase, "save_case")),
        ]
        return self.page(
            request,
            "evaluations.html",
            title=_("Evaluations"),
            targets=targets,
            target=target,
            results=latest_results,
            names=list(latest_results[0].metrics) if latest_results else [],
            lines=list(_lines(latest_results[::-1])),
            tools=[link for link in links if link.url],
        )

    def evaluate(self, request: HttpRequest) -> HttpResponse:
        """Measure a search over the saved questions, and keep the result."""
        targets = _targets(self.rows(EvaluationCase))
        form = RunForm(request.POST or None, targets=targets)
        if form.is_valid() and (row := self._measured(form)) is not None:
            self.log_addition(request, row, [{"added": {}}])
            messages.success(request, _("The search was measured."))
            return redirect(self.url("evaluations", target=row.target))
        return self.page(
            request, "evaluate.html", title=_("Measure a search"), form=form, most=MOST_CASES
        )

    def _measured(self, form: RunForm) -> EvaluationResult | None:
        """Return the result, or show the error in the form."""
        target = form.search()
        with errors_in(form.add_engine_error):
            cases = read_cases(database(), target, most=MOST_CASES)
            evaluation = engine.evaluate(cases, search=target.search(engine))
            return save_result(database(), target, evaluation)
        return None


def _targets(rows: QuerySet[Any]) -> list[str]:
    return list(rows.order_by("target").values_list("target", flat=True).distinct()[:TARGETS])


def _lines(results: Sequence[EvaluationResult]) -> Iterator[Line]:
    """Yield a line for recall at the largest k, MRR, and nDCG at the largest k."""
    if not results:
        return
    names = list(results[-1].metrics)
    largest = {name.partition("@")[0]: name for name in names}  # the last of each has the largest k
    for colour, name in enumerate(largest.values()):
        values = [
            (i, result.metrics[name]["value"])
            for i, result in enumerate(results)
            if name in result.metrics
        ]
        step = 100 / max(len(results) - 1, 1)
        points = [f"{i * step:.2f},{40 - 40 * value:.2f}" for i, value in values]
        yield Line(name=name, value=values[-1][1], points=" ".join(points), colour=colour)
