"""Retracting claims by their names, as an extractor does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from mastra_engine.backends.base.facts.claims import name_key
from mastra_engine.backends.base.facts.store import FactStore
from mastra_engine.backends.base.facts.subjects import Subjects
from mastra_engine.backends.base.facts.versions import Versions
from mastra_engine.types import Retraction


def retract_claims(
    store: FactStore, resource_id: str, retractions: Sequence[Retraction], now: datetime
) -> Versions:
    """Lock the current versions of claims of a locked resource, and retract them.

    The result has the changes to write.
    """
    key = partial(name_key, resource_id)
    names = {key(retraction.subject) for retraction in retractions}
    subjects = Subjects(resource_id, store.resolve(resource_id, names))
    # The objects that are retracted of each claim; None stands for all.
    objects: dict[tuple[UUID, UUID], set[UUID | None]] = {}
    for retraction in retractions:
        name = subjects.resolve(retraction.subject).key, key(retraction.predicate)
        object_key = None if retraction.object is None else key(retraction.object)
        objects.setdefault(name, set()).add(object_key)
    stored = store.lock_current(resource_id, objects)
    versions = Versions(resource_id, now, stored)
    for claim, fact in stored:
        if objects[claim.subject_key, claim.predicate_key] & {None, key(fact.object)}:
            versions.retract(fact.id, "", None)
    return versions
