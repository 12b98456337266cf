"""Signals that other apps of the project can connect to."""

from __future__ import annotations

from django.dispatch import Signal

#: Sent after the commit of a change to an entity's records, once per call or per page of a declared
#: sync, in the process that wrote it. The sender is the engine's class. The arguments are `alias`
#: (of the engine), `entity_id`, `entity_name`, `connection_id`, `after` (the entity's revision
#: before the change) and `rev` (its revision after it). An exception in a receiver is logged and
#: does not affect the caller or other receivers.
records_changed = Signal()

#: Sent after the commit of a change to the facts of a resource, once per call of remember(),
#: retract() or forget(), in the process that wrote it. The sender is the engine's class. The
#: arguments are `alias`, `resource_id` and `fact_ids`, the ids of the versions that were written or
#: deleted. Facts that go with their last source, or with an erased resource, are not reported.
facts_changed = Signal()

#: Sent after each request of OpenAIFactExtractor to its language model, in the thread that sent the
#: request. The sender is the extractor's class. The arguments are `model`, `thread_id`,
#: `input_tokens` and `output_tokens` as the server counts them, and `cost`, a Decimal, or None
#: without `prices`. An exception in a receiver is logged and does not affect the extraction.
tokens_used = Signal()

#: Sent in the transaction that erases a resource on PostgreSQL, so that other apps can delete what
#: they have of it. The sender is the class of the engine's store. The arguments are `database` (its
#: alias), `resource_id` and `thread_ids` (of the resource's threads). An exception in a receiver
#: rolls the erasure back.
resource_erased = Signal()
