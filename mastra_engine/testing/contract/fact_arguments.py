"""Calls of facts with each argument that takes text, for text_arguments.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mastra_engine.types import Fact, FactInput, Message, Retraction

if TYPE_CHECKING:
    from mastra_engine.testing.contract.text_arguments import Wrapped


class Learned:
    """An extractor of facts and retractions with texts of the kind that the calls have."""

    def __init__(self, wrap: Callable[[str], Any]) -> None:
        self.wrap = wrap

    def extract(self, messages: Sequence[Message], known_facts: Sequence[Fact]) -> Any:
        texts = [self.wrap(text) for text in ("Ann", "lives in", "Berlin")]
        return [Retraction(*texts), FactInput(*texts)]


def use_facts(calls: Wrapped) -> None:
    """Call each method of facts."""
    calls.call(
        "memory",
        "save_memory",
        thread_id="of facts",
        resource_id="ann",
        messages=[{"id": "said", "role": "user", "content": "I live in Berlin"}],
    )
    fact: dict[str, Any] = {
        "subject": "Ann",
        "predicate": "lives in",
        "object": "Berlin",
        "aliases": ["Annie"],
        "valid_from": "2020-01-01T00:00:00Z",
        "valid_to": "2900-01-01T00:00:00Z",
        "sources": [{"message_id": "said", "quote": "in Berlin"}],
    }
    (first,) = calls.call(
        "facts", "remember", resource_id="ann", facts=[fact], idempotency_key="first"
    )
    other = {"subject": "Annie", "predicate": "speaks", "object": "German", "many": True}
    calls.call("facts", "remember", resource_id="ann", facts=[other])
    page = calls.call("facts", "list_facts", resource_id="ann", limit=1)
    calls.call("facts", "list_facts", resource_id="ann", cursor=page.next_cursor)
    criteria = {"valid_at": "2020-01-02T00:00:00Z", "known_at": "2900-01-01T00:00:00Z"}
    filter = {"filter": {"object": {"$in": ["Berlin"]}}}
    calls.call(
        "facts",
        "list_facts",
        resource_id="ann",
        subject="annie",
        predicate="lives in",
        **criteria,
        **filter,
    )
    calls.call("facts", "search", query="Berlin", resource_id="ann", **criteria, **filter)
    calls.target.facts.extraction.extractor = Learned(calls.wrap)
    calls.call("facts", "extract", thread_id="of facts")
    calls.call("facts", "extract_pending", thread_id="of facts")
    calls.call("facts", "consolidate", resource_id="ann")
    for method in ("get_fact", "history", "sources"):
        calls.call("facts", method, id=str(first.id))
    calls.call("facts", "within", resource_ids=["ann"], connection_ids=["crm"])
    calls.call("facts", "retract", id=str(first.id), reason="She moved", at="2021-01-01T00:00:00Z")
    calls.call("facts", "forget", id=str(first.id))
