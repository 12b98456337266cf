"""Searching as an agent does, to see what it would find, and what hybrid search makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from mastra_engine.admin.base import EngineAdmin, Link, View
from mastra_engine.admin.forms import FilterField, PageForm
from mastra_engine.admin.sources import sources
from mastra_engine.exceptions import EngineError, IndexNotFound, InvalidFilter, InvalidInput
from mastra_engine.handler import engine
from mastra_engine.models import Embedding, VectorIndex
from mastra_engine.types import Match

#: So many indexes are offered.
CHOICES = 1_000
MOST = 50


Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What one way of searching found, and how long it took, embedding the question included."""

    title: str
    milliseconds: float
    matches: list[Match]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A match, its page's address, what it was made from, and its place by vectors alone."""

    match: Match
    url: str
    source: Link | None
    place: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """A search as the page shows it."""

    title: str
    milliseconds: float
    hits: list[Hit]


class SearchForm(PageForm):
    """A question to an index."""

    query = forms.CharField(label="Question", widget=forms.Textarea(attrs={"rows": 2}))
    index = forms.ChoiceField()
    namespace = forms.CharField(required=False, help_text="empty for all", strip=False)
    top_k = forms.IntegerField(label="Results", min_value=1, max_value=MOST, initial=10)
    filter = FilterField(
        required=False,
        help_text='JSON about the metadata, such as {"lang": "en", "year": {"$gte": 2020}}',
    )
    hybrid = forms.BooleanField(
        required=False, label="Hybrid", help_text="full-text search beside the vectors"
    )
    rerank = forms.BooleanField(
        required=False, label="Rerank", help_text="by the engine's reranker"
    )

    def __init__(self, *args: Any, indexes: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["index"].choices = [(name, name) for name in indexes]  # type: ignore[attr-defined]

    def blame(self, error: EngineError) -> None:
        """Show what an engine raised at the field that it is about."""
        field = None
        if isinstance(error, InvalidFilter):
            field = "filter"
        elif isinstance(error, IndexNotFound):
            field = "index"
        elif isinstance(error, InvalidInput):
            named = {"query_text": "query", "namespace": "namespace", "top_k": "top_k"}
            field = named.get(error.path.split("/")[1] if error.path else "")
        self.add_error(field, str(error))


class Playground(EngineAdmin):
    """The page of searches."""

    views: tuple[View, ...] = (
        View("playground", "playground/", label="Search playground", content=True),
    )

    def playground(self, request: HttpRequest) -> HttpResponse:
        """Search by POST: questions are content, which addresses and their logs should not hold."""
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
            form.blame(error)
            return []
        places = {_key(match): i for i, match in enumerate(searches[0].matches, start=1)}
        pages = self._pages(form.cleaned_data["index"], searches)

        def hit(match: Match, source: Link | None) -> Hit:
            key = _key(match)
            return Hit(match=match, url=pages.get(key, ""), source=source, place=places.get(key))

        def ranking(search: Search) -> Ranking:
            made_from = sources(self, [match.metadata for match in search.matches])
            hits = list(map(hit, search.matches, made_from))
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


def _searches(asked: dict[str, Any]) -> Iterator[Search]:
    """Search by vectors alone and, where more is asked for, like that beside it."""
    yield _search("Vectors alone", asked)
    how = [name for name in ("hybrid", "rerank") if asked[name]]
    if how:
        title = " and ".join(how).capitalize()
        reranker = True if asked["rerank"] else None
        yield _search(title, asked, hybrid=asked["hybrid"], reranker=reranker)


def _search(title: str, asked: dict[str, Any], **how: Any) -> Search:
    begun = perf_counter()
    matches = engine.vectors.query(
        index_name=asked["index"],
        query_text=asked["query"],
        namespace=asked["namespace"] or None,
        filter=asked["filter"],
        top_k=asked["top_k"],
        **how,
    )
    return Search(title=title, milliseconds=1000 * (perf_counter() - begun), matches=matches)


def _key(match: Match) -> Key:
    return match.namespace, match.id
