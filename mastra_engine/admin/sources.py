"""Links to the messages, records and items of state that vectors and answers were made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _

from mastra_engine.admin.base import EngineAdmin, Link
from mastra_engine.admin.names import Name
from mastra_engine.backends.base.vectors.search import ENTITY, ITEM, POSITION, RECORD, THREAD
from mastra_engine.models import Message, Record, StateItem, Thread

#: The key of a message's metadata that lists its sources, and the key of a source's record.
SOURCES, RECORD_ID = "sources", "record_id"

#: A thread and a position, and an entity and an external id.
MessageKey = tuple[str, int]
RecordKey = tuple[UUID, str]
Vector = tuple[str, dict[str, Any]]


def origins(
    admin: EngineAdmin, request: HttpRequest, vectors: Sequence[Vector]
) -> list[Link | None]:
    """Return a link, by name, to the message, record or item that each vector was made from.

    A vector is its namespace and its metadata. The metadata may be forged: users write to
    namespaces of their own. So the owner of the row has to be the namespace, as it is for vectors
    that the engine makes; for others, and for missing rows, the link is None.
    """
    messages = [_message_key(metadata) for _, metadata in vectors]
    records = [_record_key(metadata) for _, metadata in vectors]
    threads = _threads(admin, {key[0] for key in messages if key is not None})
    rows = _records(admin, {key for key in records if key is not None})
    items = [as_uuid(metadata.get(ITEM)) for _, metadata in vectors]
    owners = _owners_of_items(admin, {id for id in items if id is not None})
    references = [("record", record) for record, _owner in rows.values()]
    names = admin.names(request, [*references, *(("thread", id) for id in threads)])

    def origin(
        namespace: str, message: MessageKey | None, record: RecordKey | None, item: UUID | None
    ) -> Link | None:
        if message is not None and message[0] in threads:
            owner, last_position = threads[message[0]]
            if owner == namespace and message[1] <= last_position:
                values = {"position": message[1], "thread": names["thread", message[0]]}
                label = _("Message %(position)s of %(thread)s") % values
                return _link(label, admin.url("thread_change", message[0], at=message[1]))
        if record in rows and rows[record][1] == namespace:
            label = _("Record %(name)s") % {"name": names["record", rows[record][0]]}
            return _link(label, admin.url("record_change", rows[record][0]))
        if owners.get(item) == namespace:
            return _link(_("State"), admin.url("stateitem_change", item))
        return None

    return [
        origin(namespace, message, record, item)
        for (namespace, _), message, record, item in zip(
            vectors, messages, records, items, strict=True
        )
    ]


def sources(
    admin: EngineAdmin, request: HttpRequest, messages: Sequence[Message]
) -> list[list[Name]]:
    """Return the names of the records that each message names as its sources and that exist."""
    ids_by_message = [list(dict.fromkeys(_source_ids(message.metadata))) for message in messages]
    ids = {id for source_ids in ids_by_message for id in source_ids}
    names = admin.names(request, [("record", id) for id in ids])
    return [
        [names["record", id] for id in source_ids if ("record", id) in names]
        for source_ids in ids_by_message
    ]


def _source_ids(metadata: dict[str, Any]) -> Iterator[UUID]:
    references = metadata.get(SOURCES)
    for reference in references if isinstance(references, list) else []:
        try:
            yield UUID(reference[RECORD_ID])
        except (AttributeError, KeyError, TypeError, ValueError):
            continue  # the project uses the key for something else


def _link(label: str, url: str) -> Link | None:
    return Link(label, url) if url else None


def _message_key(metadata: dict[str, Any]) -> MessageKey | None:
    """Return the thread and the position that metadata names, or None."""
    thread_id, position = metadata.get(THREAD), metadata.get(POSITION)
    if isinstance(thread_id, str) and thread_id and type(position) is int and position > 0:
        return thread_id, position
    return None


def _record_key(metadata: dict[str, Any]) -> RecordKey | None:
    """Return the entity and the external id that metadata names, or None."""
    external_id = metadata.get(RECORD)
    try:
        return (UUID(metadata[ENTITY]), external_id) if isinstance(external_id, str) else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def as_uuid(value: Any) -> UUID | None:
    """Return a value of metadata as a UUID, or None if it is not one."""
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        return None


def _owners_of_items(admin: EngineAdmin, ids: set[UUID]) -> dict[UUID | None, str]:
    """Return the first elements of the namespaces of items."""
    if not ids:
        return {}
    rows = admin.rows(StateItem).filter(id__in=ids, value__isnull=False)
    return {id: namespace[0] for id, namespace in rows.values_list("id", "namespace")}


def _threads(admin: EngineAdmin, ids: set[str]) -> dict[str, tuple[str, int]]:
    """Return the resources and the last positions of threads."""
    if not ids:
        return {}
    rows = admin.rows(Thread).filter(id__in=ids)
    return {
        id: (resource_id, last_position)
        for id, resource_id, last_position in rows.values_list("id", "resource_id", "last_position")
    }


def _records(admin: EngineAdmin, keys: set[RecordKey]) -> dict[RecordKey | None, tuple[UUID, str]]:
    """Return the ids and the connections of records, by entity and external id."""
    if not keys:
        return {}
    entities, external_ids = zip(*keys, strict=True)
    rows = admin.rows(Record).filter(entity_id__in=entities, external_id__in=external_ids)
    return {
        (entity_id, external_id): (id, connection_id)
        for id, entity_id, external_id, connection_id in rows.values_list(
            "id", "entity_id", "external_id", "entity__connection_id"
        )
    }
