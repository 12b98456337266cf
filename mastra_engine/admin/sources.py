"""What vectors and answers were made from: messages and records, as their metadata tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.backends.base.memory.message_index import POSITION, THREAD
from mastra_engine.backends.base.vectors.search import ENTITY, RECORD
from mastra_engine.models import Message, Record

#: Where the metadata of a message names the passages that it was made of.
PASSAGES, RECORD_ID = "passages", "record_id"

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


def passages(admin: EngineAdmin, messages: Sequence[Message]) -> list[list[Link]]:
    """Return the records that each message's passages come from, those that are still there."""
    named = [list(_passages(message.metadata)) for message in messages]
    ids = {id for of_one in named for id in of_one}
    rows = admin.rows(Record).filter(id__in=ids).values_list("id", "external_id")
    known = {
        id: Link(external_id, admin.url("record_change", id))
        for id, external_id in (rows if ids else ())
    }
    return [[known[id] for id in dict.fromkeys(of_one) if id in known] for of_one in named]


def _passages(metadata: dict[str, Any]) -> Iterator[UUID]:
    found = metadata.get(PASSAGES)
    for passage in found if isinstance(found, list) else []:
        try:
            yield UUID(passage[RECORD_ID])
        except (AttributeError, KeyError, TypeError, ValueError):  # something else of that name
            continue


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
