"""The current facts about a resource, in the order in which a model is told them."""

from __future__ import annotations

from mastra_engine.backends.base.facts.store import FactSelection, FactStore
from mastra_engine.types import Fact

PAGE = 1_000


def current_facts(store: FactStore, resource_id: str) -> list[Fact]:
    """Return the facts that are true now, pinned ones first, then those remembered last."""
    selection = FactSelection(resource_ids=frozenset([resource_id]))
    facts: list[Fact] = []
    has_more = True
    while has_more:
        after = (facts[-1].created_at, facts[-1].id) if facts else None
        page, has_more = store.list_facts(selection, after=after, limit=PAGE)
        facts += page
    facts.reverse()
    return sorted(facts, key=lambda fact: not fact.pinned)
