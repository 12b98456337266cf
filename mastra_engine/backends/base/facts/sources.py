"""The messages and records that new facts rest on."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mastra_engine.backends.base.facts.arguments import NewFact
from mastra_engine.backends.base.facts.store import FactStore
from mastra_engine.exceptions import MessageNotFound, RecordNotFound


def lock_sources(
    store: FactStore,
    resource_id: str,
    new: Sequence[NewFact],
    *,
    connection_ids: Collection[str] | None,
) -> None:
    """Keep the sources of facts from deletion; raise NotFound for one out of reach."""
    sources = [source for fact in new for source in fact.sources]
    messages = sorted({source.message_id for source in sources if source.message_id})
    records = sorted({source.record_id for source in sources if source.record_id})
    if messages:
        own_messages = store.lock_messages(messages, resource_id)
        for message in messages:
            if message not in own_messages:
                raise MessageNotFound(id=message)
    if records:
        own_records = store.lock_records(records, connection_ids=connection_ids)
        for record in records:
            if record not in own_records:
                raise RecordNotFound(id=record)
