"""What vectors were made from: messages and records, as their metadata tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.backends.base.recall import POSITION, THREAD
from mastra_engine.backends.base.search import ENTITY, RECORD
from mastra_engine.models import Record

Key = tuple[UUID, str]


def sources(admin: EngineAdmin, found: Sequence[dict[str, Any]]) -> list[Link | None]:
    """Return where each vector was made from, by their metadata; None where that is not known."""
    keys = [_record_key(metadata) for metadata in found]
    records = _records(admin, {key for key in keys if key is not None})

    def source(metadata: dict[str, Any], key: Key | None) -> Link | None:
        if THREAD in metadata:
            position = metadata.get(POSITION, 1)
            return Link("Message", admin.url("thread_change", metadata[THREAD], at=position))
        if key in records:
            return Link("Record", admin.url("record_change", records[key]))
        return None

    return [source(metadata, key) for metadata, key in zip(found, keys, strict=True)]


def _record_key(metadata: dict[str, Any]) -> Key | None:
    """Return the entity and the external id; metadata is the project's, and may look alike."""
    try:
        return UUID(metadata[ENTITY]), str(metadata[RECORD])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _records(admin: EngineAdmin, keys: set[Key]) -> dict[Key | None, UUID]:
    if not keys:
        return {}
    entities, external_ids = zip(*keys, strict=True)
    rows = admin.rows(Record).filter(entity_id__in=entities, external_id__in=external_ids)
    return {
        (entity_id, external_id): id
        for id, entity_id, external_id in rows.values_list("id", "entity_id", "external_id")
    }
