"""The search playground: one query by vectors, by words and by hybrid search, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.forms import FilterField, PageForm
from mastra_engine.admin.sources import origins
from mastra_engine.backends.base.vectors.search import DEFAULT_WEIGHT
from mastra_engine.exceptions import EngineError, IndexNotFound, InvalidFilter, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.types import Match

#: The most indexes to choose from, and the most results.
CHOICES, MAX_RESULTS = 1_000, 50

Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The matches of one kind of search, and its duration with the embedding of the query."""

    title: str
    milliseconds: float
    matches: list[Match]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A match, the address of its page, a link to its origin, and its rank by vectors alone."""

    match: Match
    url: str
    origin: Link | None
    rank: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The hits of a search, as the page shows them."""

    title: str
    milliseconds: float
    hits: list[Hit]


class SearchForm(PageForm):
    """The arguments of the searches."""

    query = forms.CharField(label="Query", widget=forms.Textarea(attrs={"rows": 2}))
    index = forms.ChoiceField()
    namespace = forms.CharField(required=False, help_text="Empty for all namespaces", strip=False)
    top_k = forms.IntegerField(label="Results", min_value=1, max_value=MAX_RESULTS, initial=10)
    filter = FilterField(
        required=False,
        help_text='JSON about the metadata, such as {"lang": "en", "year": {"$gte": 2020}}',
    )
    hybrid = forms.FloatField(
        label="Weight of vectors",
        min_value=0,
        max_value=1,
        initial=DEFAULT_WEIGHT,
        help_text="From 0 to 1, in the hybrid search; the rest is the weight of words",
    )
    min_score = forms.FloatField(
        required=False, label="Least similarity", help_text="Empty for any similarity"
    )
    rerank = forms.BooleanField(
        required=False, label="Rerank", help_text="the hybrid search, by the engine's reranker"
    )

    def __init__(self, *args: Any, indexes: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["index"].choices = [(name, name) for name in indexes]  # type: ignore[attr-defined]

    def add_engine_error(self, error: EngineError) -> None:
        """Show an exception of the engine at the field that caused it."""
        field = None
        if isinstance(error, InvalidFilter):
            field = "filter"
        elif isinstance(error, IndexNotFound):
            field = "index"
        elif isinstance(error, InvalidInput):
            argument = error.path.split("/")[1] if error.path else ""
            argument = {"query_text": "query"}.get(argument, argument)
            field = argument if argument in self.fields else None
        self.add_error(field, str(error))


class Playground(EngineAdmin):
    """The search playground page."""

    views: tuple[View, ...] = (
        View("playground", "playground/", label="Search playground", content="embedding"),
    )

    def playground(self, request: HttpRequest) -> HttpResponse:
        """Search by POST: a query is content, which addresses and access logs should not hold."""
        names = self.rows(VectorIndex).order_by("name").values_list("name", flat=True)
        form = SearchForm(
            request.POST or None,
            indexes=names[:CHOICES],
            initial={"index": request.GET.get("index")},
        )
        rankings = self._rankings(form) if form.is_valid() else []
        return self.page(
            request, "playground.html", title="Search playground", form=form, rankings=rankings
        )

    def _rankings(self, form: SearchForm) -> list[Ranking]:
        try:
            searches = list(_searches(form.cleaned_data))
        except EngineError as error:
            form.add_engine_error(error)
            return []
        ranks = {_key(match): i for i, match in enumerate(searches[0].matches, start=1)}
        pages = self._pages(form.cleaned_data["index"], searches)

        def hit(match: Match, origin: Link | None) -> Hit:
            key = _key(match)
            return Hit(match=match, url=pages.get(key, ""), origin=origin, rank=ranks.get(key))

        def ranking(search: Search) -> Ranking:
            links = origins(self, [(match.namespace, match.metadata) for match in search.matches])
            hits = list(map(hit, search.matches, links))
            return Ranking(title=search.title, milliseconds=search.milliseconds, hits=hits)

        return list(map(ranking, searches))

    def _pages(self, index: str, searches: list[Search]) -> dict[Key, str]:
        """Return the address of the page of each match."""
        keys = {_key(match) for search in searches for match in search.matches}
        rows = self.rows(Embedding).filter(
            vector_index__name=index,
            namespace__in={namespace for namespace, _ in keys},
            vector_id__in={id for _, id in keys},
        )
        return {
            (namespace, id): self.embedding_url(index_id, row_id)
            for index_id, row_id, namespace, id in rows.values_list(
                "vector_index_id", "row_id", "namespace", "vector_id"
            )
        }


def _searches(arguments: dict[str, Any]) -> Iterator[Search]:
    """Search by vectors alone, by words alone, and by both as the form selects."""
    yield _search("Vectors alone", arguments, hybrid=False)
    yield _search("Words alone", arguments, hybrid=0.0)
    reranker = True if arguments["rerank"] else None
    title = "Hybrid, reranked" if reranker else "Hybrid"
    yield _search(title, arguments, hybrid=arguments["hybrid"], reranker=reranker)


def _search(title: str, arguments: dict[str, Any], **options: Any) -> Search:
    started = perf_counter()
    matches = engine.vectors.query(
        index_name=arguments["index"],
        query_text=arguments["query"],
        namespace=arguments["namespace"] or None,
        filter=arguments["filter"],
        top_k=arguments["top_k"],
        min_score=arguments["min_score"],
        explain=True,
        **options,
    )
    return Search(title=title, milliseconds=1000 * (perf_counter() - started), matches=matches)


def _key(match: Match) -> Key:
    return match.namespace, match.id
