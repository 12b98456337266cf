"""Links to the messages and records that vectors and answers were made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.backends.base.memory.message_index import POSITION, THREAD
from mastra_engine.backends.base.vectors.search import ENTITY, RECORD
from mastra_engine.models import Message, Record

#: The key of a message's metadata that lists its sources, and the key of a source's record.
SOURCES, RECORD_ID = "sources", "record_id"

Key = tuple[UUID, str]


def origins(admin: EngineAdmin, all_metadata: Sequence[dict[str, Any]]) -> list[Link | None]:
    """Return a link to the message or record that each vector was made from, by its metadata.

    A vector that was not made from a stored message or record has None.
    """
    keys = [_record_key(metadata) for metadata in all_metadata]
    records = _records(admin, {key for key in keys if key is not None})

    def origin(metadata: dict[str, Any], key: Key | None) -> Link | None:
        # Vectors that were stored before these keys were reserved may have anything under them.
        thread, position = metadata.get(THREAD), metadata.get(POSITION)
        if isinstance(thread, str) and thread and type(position) is int:
            return Link("Message", admin.url("thread_change", thread, at=position))
        if key in records:
            return Link("Record", admin.url("record_change", records[key]))
        return None

    return [origin(metadata, key) for metadata, key in zip(all_metadata, keys, strict=True)]


def sources(admin: EngineAdmin, messages: Sequence[Message]) -> list[list[Link]]:
    """Return links to the records that each message names as its sources and that exist."""
    ids_by_message = [list(dict.fromkeys(_source_ids(message.metadata))) for message in messages]
    ids = {id for source_ids in ids_by_message for id in source_ids}
    rows = admin.rows(Record).filter(id__in=ids).values_list("id", "external_id")
    links = {
        id: Link(external_id, admin.url("record_change", id))
        for id, external_id in (rows if ids else ())
    }
    return [[links[id] for id in source_ids if id in links] for source_ids in ids_by_message]


def _source_ids(metadata: dict[str, Any]) -> Iterator[UUID]:
    references = metadata.get(SOURCES)
    for reference in references if isinstance(references, list) else []:
        try:
            yield UUID(reference[RECORD_ID])
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # the project uses the key for something else


def _record_key(metadata: dict[str, Any]) -> Key | None:
    """Return the entity and the external id that metadata names, or None.

    Metadata is the project's own, so values under these keys may be of any kind.
    """
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
