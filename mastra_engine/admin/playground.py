"""The search playground: one query, by one setting or by two side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from mastra_engine.admin.base import EngineAdmin, View
from mastra_engine.admin.forms import (
    FilterField,
    PageForm,
    min_score_field,
    owner_field,
    rerank_field,
)
from mastra_engine.admin.hits import Hit, hits_of
from mastra_engine.admin.openable import openable
from mastra_engine.admin.searching import errors_in
from mastra_engine.backends.base.vectors.search import DEFAULT_WEIGHT
from mastra_engine.evaluations.targets import Target
from mastra_engine.exceptions import EngineError, IndexNotFound, InvalidFilter, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import EvaluationCase, Message, Record, VectorIndex
from mastra_engine.registry import registry

#: The most indexes to choose from, and the most results.
CHOICES, MAX_RESULTS = 1_000, 50
#: The arguments of the searches that have a field of another name.
_FIELDS = {"query_text": "query", "reranker": "rerank"}
_FIELDS |= dict.fromkeys(["namespace", "connection_id", "resource_id"], "owner")
_SETTINGS = ("top_k", "hybrid", "min_score", "rerank", "filter")

Setting = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The hits of a search, and its duration with the embedding of the query.

    With `compares`, the page shows which rank the hits had in the ranking before.
    """

    title: str
    milliseconds: float
    hits: list[Hit]
    compares: bool = False


class SettingForm(PageForm):
    """A setting of the search."""

    top_k = forms.IntegerField(
        label=gettext_lazy("Results"), min_value=1, max_value=MAX_RESULTS, initial=10
    )
    hybrid = forms.FloatField(
        label=gettext_lazy("Weight of vectors"),
        min_value=0,
        max_value=1,
        initial=DEFAULT_WEIGHT,
        help_text=gettext_lazy("0 searches by words alone, 1 by vectors alone"),
    )
    min_score = min_score_field()
    rerank = rerank_field()
    filter = FilterField(
        required=False,
        label=gettext_lazy("Filter"),
        help_text=gettext_lazy(
            'JSON about the metadata or the record, such as {"lang": "en", "year": {"$gte": 2020}}'
        ),
    )

    def add_engine_error(self, error: EngineError) -> None:
        """Show an exception of the engine at the field that caused it."""
        field = None
        if isinstance(error, InvalidFilter):
            field = "filter"
        elif isinstance(error, IndexNotFound):
            field = "target"
        elif isinstance(error, InvalidInput) and error.path:
            argument = error.path.split("/")[1]
            field = _FIELDS.get(argument, argument)
        self.add_error(field if field in self.fields else None, str(error))


class SearchForm(SettingForm):
    """The query, where it is searched, and the first setting."""

    query = forms.CharField(label=gettext_lazy("Query"), widget=forms.Textarea(attrs={"rows": 2}))
    target = forms.ChoiceField(label=gettext_lazy("Search in"))
    owner = owner_field()

    def __init__(self, *args: Any, targets: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target"].choices = targets  # type: ignore[attr-defined]


class OtherForm(SettingForm):
    """The second setting. Empty fields are as in the first one."""

    AS_FIRST = gettext_lazy("As in the first setting")
    rerank = forms.TypedChoiceField(  # type: ignore[assignment]
        required=False,
        label=gettext_lazy("Rerank"),
        choices=[("", AS_FIRST), ("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No"))],
        coerce=lambda answer: answer == "yes",
        empty_value=None,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, prefix="other", **kwargs)
        for field in self.fields.values():
            field.required, field.initial = False, None
        self.fields["min_score"].help_text = ""
        self.fields["filter"].help_text = gettext_lazy("{} for no filter")

    def setting(self, first: Setting) -> Setting | None:
        """Return the second setting, None if it is the first one."""
        other = {name: value for name, value in self.cleaned_data.items() if value is not None}
        return {**first, **other} if {**first, **other} != first else None


class Playground(EngineAdmin):
    """The search playground page."""

    views: tuple[View, ...] = (
        View(
            "playground",
            "playground/",
            label=gettext_lazy("Search playground"),
            content="embedding",
        ),
    )

    def playground(self, request: HttpRequest) -> HttpResponse:
        """Search by POST: a query is content, which addresses and access logs should not hold."""
        data = request.POST or None
        form = SearchForm(
            data, targets=self.targets(request), initial={"target": request.GET.get("target")}
        )
        other = OtherForm(data)
        valid = [posted.is_valid() for posted in (form, other)]  # both show their errors
        rankings = self._rankings(request, form, other) if all(valid) else []
        return self.page(
            request,
            "playground.html",
            title=_("Search playground"),
            form=form,
            other=other,
            settings=[form[name] for name in _SETTINGS],
            rankings=rankings,
            save=openable(self, request, EvaluationCase, "save_case") if rankings else "",
        )

    def targets(self, request: HttpRequest) -> list[Any]:
        """Return the searches with results that the user may read, as choices by group."""
        names = self.rows(VectorIndex).order_by("name").values_list("name", flat=True)[:CHOICES]
        groups = [(_("Vector indexes"), [Target("vectors", name) for name in names])]
        if self.reads(request, Record):
            entities = sorted({entity for entity, _index in registry.indexes})
            groups.append((_("Records"), [Target("records", name) for name in entities]))
        choices = [
            (label, [(str(target), target.name) for target in targets])
            for label, targets in groups
            if targets
        ]
        if choices and self.reads(request, Message):
            recall = [(str(Target("recall")), _("messages of a resource"))]
            choices.append((_("Conversations"), recall))
        return choices

    def _rankings(self, request: HttpRequest, form: SearchForm, other: OtherForm) -> list[Ranking]:
        """Return the hits by the first setting, and by the second one if it differs."""
        first = {name: form.cleaned_data[name] for name in _SETTINGS}
        second = other.setting(first)
        if second is None:
            return self._searched(request, form, form, _("Results"), first)
        rankings = [
            *self._searched(request, form, form, _("First setting"), first),
            *self._searched(request, form, other, _("Second setting"), second),
        ]
        if len(rankings) < 2:
            return []
        ranks = {(hit.owner, hit.id): rank for rank, hit in enumerate(rankings[0].hits, start=1)}
        for hit in rankings[1].hits:
            hit.rank = ranks.get((hit.owner, hit.id))
        return [rankings[0], replace(rankings[1], compares=True)]

    def _searched(
        self,
        request: HttpRequest,
        form: SearchForm,
        asking: SettingForm,
        title: str,
        setting: Setting,
    ) -> list[Ranking]:
        """Return the ranking by a setting, or show the error in the form that caused it."""
        target = Target.parse(form.cleaned_data["target"])
        if target.kind == "recall" and setting["rerank"]:
            asking.add_error("rerank", _("Recalled messages are not reranked."))
            return []
        arguments = dict(_arguments(target, form.cleaned_data["owner"], setting))
        started = perf_counter()
        with errors_in(asking.add_engine_error):
            results = list(target.search(engine)(form.cleaned_data["query"], **arguments))
            milliseconds = 1000 * (perf_counter() - started)
            hits = hits_of(self, request, target, results)
            return [Ranking(title=title, milliseconds=milliseconds, hits=hits)]
        return []


def _arguments(target: Target, owner: str, setting: Setting) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a search by a setting."""
    yield "explain", True
    for name in ("top_k", "min_score", "filter"):
        yield name, setting[name]
    yield "hybrid", False if setting["hybrid"] == 1 else setting["hybrid"]
    if setting["rerank"]:
        yield "reranker", True
    if owner or target.kind != "vectors":
        yield target.owner, owner
