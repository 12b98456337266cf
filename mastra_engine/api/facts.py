"""Views of facts, their history and their sources."""

from __future__ import annotations

from typing import Any

from mastra_engine.api.operations import Deleted, Example, operation
from mastra_engine.api.views import EngineView, route
from mastra_engine.backends.base.facts.service import Facts
from mastra_engine.types import Fact, FactMatch, FactSource, Page

_OWNER = ("resource_id",)
_ID = {"id": "fact_id"}
_UUID = "0196b7d2-2f4b-7c1e-9a53-0242ac120002"
_TIME = "2026-01-02T03:04:05Z"
_PLACE = {"fact_id": _UUID}
_FACT: dict[str, Any] = {
    "id": _UUID,
    "resource_id": "7",
    "subject": "Ann",
    "predicate": "eats",
    "object": "plant-based food",
    "valid_from": _TIME,
    "valid_to": None,
    "created_at": _TIME,
    "superseded_at": None,
    "retracted_at": None,
    "reason": "",
    "confidence": 1.0,
    "aliases": [],
    "pinned": False,
    "many": False,
}
_SOURCE = {"message_id": "m-1", "record_id": None, "quote": "I am vegan."}
_FACTS = {"items": [_FACT], "next_cursor": None}


class FactsView(EngineView):
    @operation(
        Facts.list_facts,
        "view_fact",
        fills=_OWNER,
        example=Example(query={"subject": "Ann", "predicate": "eats"}, answer=_FACTS),
    )
    def get(self, **arguments: Any) -> Page[Fact]:
        """List the facts about a resource.

        They are ordered by the time at which they were remembered. By default they are the facts
        that are true now. `valid_at` lists those that were true at a time, as far as was known at
        `known_at`. A page ends before `limit` with the fact that brings it to 8 MiB.
        """
        return self.engine.facts.list_facts(**arguments)

    @operation(
        Facts.remember,
        "add_fact",
        name="remember_facts",
        fills=_OWNER,
        example=Example(
            body={
                "facts": [
                    {
                        "subject": "Ann",
                        "predicate": "likes",
                        "object": "oranges",
                        "many": True,
                        "sources": [{"message_id": "m-1", "quote": "vegan"}],
                    }
                ]
            },
            answer={
                "items": [{**_FACT, "predicate": "likes", "object": "oranges", "many": True}],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[Fact]:
        """Remember facts about a resource.

        Either all are remembered or none. The response has one fact for each, in order. A new
        object of a subject and predicate supersedes the one before, which stays in the history;
        with `many` both hold. The same object again adds its sources and makes no new fact.
        """
        return Page(self.engine.facts.remember(**arguments))


class FactSearchView(EngineView):
    @operation(
        Facts.search,
        "view_fact",
        name="search_facts",
        fills=_OWNER,
        searches=True,
        example=Example(
            body={"query": "food", "top_k": 1},
            answer={
                "items": [{"fact": _FACT, "score": 0.8, "similarity": 0.7, "lexical": 0.3}],
                "next_cursor": None,
            },
        ),
    )
    def post(self, **arguments: Any) -> Page[FactMatch]:
        """Search the facts about a resource by meaning and by words.

        By default the facts that are true now are searched. `min_score` can make the response
        empty.
        """
        return Page(self.engine.facts.search(**arguments))


class FactView(EngineView):
    @operation(
        Facts.get_fact,
        "view_fact",
        variables=_ID,
        example=Example(path=_PLACE, answer=_FACT),
    )
    def get(self, fact_id: str) -> Fact:
        """Read a fact.

        Versions that were superseded or retracted have ids of their own, and can be read, too.
        """
        return self.engine.facts.get_fact(id=fact_id)

    @operation(
        Facts.forget,
        "delete_fact",
        name="forget_fact",
        variables=_ID,
        example=Example(path=_PLACE, answer={"deleted": 1}),
    )
    def delete(self, fact_id: str) -> Deleted:
        """Erase a fact and its history for good.

        All versions of its claim are deleted, with their sources and vectors. The response has the
        number of versions.
        """
        return Deleted(self.engine.facts.forget(id=fact_id))


class FactHistoryView(EngineView):
    @operation(
        Facts.history,
        "view_fact",
        name="get_fact_history",
        variables=_ID,
        example=Example(path=_PLACE, answer=_FACTS),
    )
    def get(self, fact_id: str) -> Page[Fact]:
        """Read all versions of a fact's claim.

        The oldest comes first.
        """
        return Page(self.engine.facts.history(id=fact_id))


class FactSourcesView(EngineView):
    @operation(
        Facts.sources,
        "view_factsource",
        name="get_fact_sources",
        variables=_ID,
        example=Example(path=_PLACE, answer={"items": [_SOURCE], "next_cursor": None}),
    )
    def get(self, fact_id: str) -> Page[FactSource]:
        """Read the sources of a fact.

        They are the messages and records that it rests on, in the order of their addition.
        """
        return Page(self.engine.facts.sources(id=fact_id))


class RetractFactView(EngineView):
    @operation(
        Facts.retract,
        "change_fact",
        name="retract_fact",
        variables=_ID,
        example=Example(
            path=_PLACE,
            body={"reason": "A mistake"},
            answer={**_FACT, "valid_to": _TIME, "retracted_at": _TIME, "reason": "A mistake"},
        ),
    )
    def post(self, fact_id: str, **arguments: Any) -> Fact:
        """End a fact that does not hold.

        It stays in the history. It was true up to `at`; if that is before `valid_from`, it was
        never true. A fact that was retracted before is returned unchanged.
        """
        return self.engine.facts.retract(id=fact_id, **arguments)


urlpatterns = [
    route("facts/", FactsView, name="facts"),
    route("facts/search/", FactSearchView, name="fact-search"),
    route("facts/<str:fact_id>/", FactView, name="fact"),
    route("facts/<str:fact_id>/history/", FactHistoryView, name="fact-history"),
    route("facts/<str:fact_id>/sources/", FactSourcesView, name="fact-sources"),
    route("facts/<str:fact_id>/retract/", RetractFactView, name="fact-retract"),
]
