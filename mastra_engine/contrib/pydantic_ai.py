"""A store for Pydantic AI's conversations, over agent state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from mastra_engine.backends.base.paging import PAGE
from mastra_engine.backends.base.state.batch import MAX_OPERATIONS
from mastra_engine.exceptions import EngineConfigError, InvalidInput, VersionConflict
from mastra_engine.handler import engine as default_engine
from mastra_engine.optional_deps import require
from mastra_engine.types import StateItem
from mastra_engine.validation.inputs import name
from mastra_engine.validation.jsonb import canonical, loads

require("pydantic_ai", "pydantic_ai", by=__name__)
try:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic_ai.conversation_store import (
        ConversationConflict,
        ConversationEntry,
        ConversationRecord,
        ConversationStore,
    )
except ImportError as error:
    raise EngineConfigError(f"{__name__} needs pydantic-ai-slim 2.66 or newer: {error}") from error

if TYPE_CHECKING:
    from mastra_engine.backends.base import MastraEngine
    from mastra_engine.backends.base.state.service import State

#: Every entry at a depth that is a multiple of this number lists all earlier ones of these.
STRIDE = 16

#: Bytes are written as in Pydantic AI's own adapter of messages.
_CONFIG = ConfigDict(
    defer_build=True, ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="constants"
)
_RECORDS = TypeAdapter(list[ConversationRecord], config=_CONFIG)
_ENTRIES = TypeAdapter(list[ConversationEntry], config=_CONFIG)

Value = dict[str, Any]


class EngineConversationStore(ConversationStore):
    """Stores the conversations of a resource in the engine's state.

    A record is an item of the namespace `(resource_id, "pydantic_ai", "conversations")`, and each
    message one of `(resource_id, "pydantic_ai", "messages")`. A save is one transaction: it stores
    the record and all new messages, or raises ConversationConflict and stores nothing. Deleting a
    conversation deletes its messages, except those that another one shares.
    """

    def __init__(self, *, resource_id: str, engine: MastraEngine | None = None) -> None:
        self.resource_id = name(resource_id, "/resource_id")
        self.engine = default_engine if engine is None else engine
        self._records = (self.resource_id, "pydantic_ai", "conversations")
        self._messages = (self.resource_id, "pydantic_ai", "messages")

    def __repr__(self) -> str:
        return f"EngineConversationStore(resource_id={self.resource_id!r})"

    # Records

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Return the record of a conversation, or None if it is not stored."""
        item = await self._record_item(conversation_id)
        return None if item is None else _record(item)

    async def read_records(
        self, *, scope: str | None = None, limit: int | None = None
    ) -> Sequence[ConversationRecord]:
        """Return the newest records, optionally those of one scope, by `updated_at`."""
        items = await self._list_records(None if scope is None else {"scope": {"$eq": scope}})
        records = [_record(item) for item in sorted(items, key=lambda item: item.created_at)]
        records.sort(key=lambda record: record.updated_at, reverse=True)
        return records[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a record and new entries in one transaction.

        Raises ConversationConflict if the stored record has another revision than expected, and if
        the history continues an entry that is not stored.
        """
        while True:
            stored = await self._record_item(record.conversation_id)
            if (_record(stored).revision if stored else None) != expected_revision:
                raise ConversationConflict(record.conversation_id)
            operations = await self._writes(record, new_entries, stored)
            # Another process may have changed the record, or an entry that it is to keep, since
            # these were read. Whether that is a conflict shows when they are read again.
            with suppress(VersionConflict):
                await self._state.abatch(operations=operations)
                return

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a record, and the entries that no other conversation's history or branch reaches.

        Raises ConversationConflict if the stored record has another revision.
        """
        while True:
            stored = await self._record_item(conversation_id)
            if stored is None or _record(stored).revision != expected_revision:
                raise ConversationConflict(conversation_id)
            first, *others = await self._deletions(stored)
            with suppress(VersionConflict):
                await self._state.abatch(operations=first)
                break
        # Without the record, the other entries are deleted from the newest on. At one that another
        # conversation has come to use, the deletion stops, since that one uses older ones too.
        with suppress(VersionConflict):
            for operations in others:
                await self._state.abatch(operations=operations)

    # Entries

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Return an entry; raises LookupError if it is not stored."""
        return _entry((await self._entry_items([entry_id]))[entry_id])

    async def read_history(
        self, head_id: str | None, *, limit: int | None = None
    ) -> list[ConversationEntry]:
        """Return the entries up to `head_id`, oldest first, or the last `limit` of them.

        Four statements read a history of any length, and more than 1,000 entries some more. Raises
        LookupError if an entry is not stored.
        """
        if head_id is None or limit == 0:
            return []
        items = await self._ancestry([head_id], most=limit)
        history: list[ConversationEntry] = []
        id: str | None = head_id
        while id is not None and (limit is None or len(history) < limit):
            history.append(_entry(items[id]))
            id = history[-1].parent_id
        return history[::-1]

    # Items

    @property
    def _state(self) -> State:
        return self.engine.state

    async def _record_item(self, conversation_id: str) -> StateItem | None:
        return await self._state.aget(namespace=self._records, key=conversation_id)

    async def _list_records(self, filter: Any) -> list[StateItem]:
        items: list[StateItem] = []
        cursor = None
        while True:
            page = await self._state.alist_items(
                namespace_prefix=self._records, filter=filter, limit=PAGE, cursor=cursor
            )
            items += page
            if (cursor := page.next_cursor) is None:
                return items

    async def _entry_items(self, ids: Iterable[str]) -> dict[str, StateItem]:
        """Return the items of entries, without those that are not stored."""
        gets = [{"op": "get", "namespace": self._messages, "key": id} for id in ids]
        items: dict[str, StateItem] = {}
        for start in range(0, len(gets), PAGE):
            for item in await self._state.abatch(operations=gets[start : start + PAGE]):
                if item is not None:
                    items[item.key] = item
        return items

    async def _ancestry(
        self, tips: Iterable[str], *, most: int | None = None
    ) -> dict[str, StateItem]:
        """Return the items of entries and of their ancestors; `most` is the number for one entry.

        An entry lists its ancestors back to the last milestone, and a milestone lists all earlier
        ones. So the fourth round has read every ancestor.
        """
        items: dict[str, StateItem] = {}
        read = await self._entry_items(dict.fromkeys(tips))
        depth = max((item.value["depth"] for item in read.values()), default=0)
        lowest = 0 if most is None else depth + 1 - most
        while read:
            items |= read
            listed = chain.from_iterable(_ancestors(item.value, lowest) for item in read.values())
            read = await self._entry_items(id for id in dict.fromkeys(listed) if id not in items)
        return items

    # Writes

    async def _writes(
        self,
        record: ConversationRecord,
        new_entries: Sequence[ConversationEntry],
        stored: StateItem | None,
    ) -> list[Value]:
        """Return the operations that store a record and new entries.

        An entry that the record comes to use, such as the one that a fork begins at, is written
        again as it is. A deletion of that entry requires the version that it has read, so that
        one of the two has to start again.
        """
        new_ids = {entry.id for entry in new_entries}
        parents = {entry.parent_id for entry in new_entries if entry.parent_id} - new_ids
        used = set() if stored is None else _tips(_record(stored))
        added = _tips(record) - new_ids - used
        items = await self._entry_items(parents | added)
        required = parents | ({record.head_id} & added)
        if not required <= items.keys():
            raise ConversationConflict(record.conversation_id)
        places = {id: item.value for id, item in items.items()}
        values = [
            await self._entry_value(entry, places, f"/new_entries/{position}")
            for position, entry in enumerate(new_entries)
        ]
        roots = {value["root"] for value in (*places.values(), *values)}
        if stored is not None:
            roots.update(stored.value["roots"])
        packed = _packed(_RECORDS, record, "/record")
        value = {**packed, "scope": record.scope, "roots": sorted(roots)}
        version = 0 if stored is None else stored.version
        return [
            _put(self._records, record.conversation_id, value, if_version=version),
            *(
                _put(self._messages, entry.id, value)
                for entry, value in zip(new_entries, values, strict=True)
            ),
            *(_rewrite(items[id]) for id in items.keys() - used),
        ]

    async def _entry_value(
        self, entry: ConversationEntry, places: dict[str, Value], path: str
    ) -> Value:
        """Return the value of a new entry, and add it to the places of known entries."""
        trail: list[str] = []
        milestones: list[str] = []
        depth, root = 0, entry.id
        if entry.parent_id is not None:
            parent = places[entry.parent_id]
            depth, root = parent["depth"] + 1, parent["root"]
            trail = [entry.parent_id, *(parent["trail"] if parent["depth"] % STRIDE else ())]
        if trail and depth % STRIDE == 0:
            last = trail[-1]
            if last not in places:
                places |= {id: item.value for id, item in (await self._entry_items([last])).items()}
            milestones = [*places[last]["trail"][-1:], *places[last]["milestones"]]
        value = {
            **_packed(_ENTRIES, entry, path),
            "root": root,
            "depth": depth,
            "trail": trail,
            "milestones": milestones,
        }
        places[entry.id] = value
        return value

    async def _deletions(self, stored: StateItem) -> list[list[Value]]:
        """Return the batches that delete a record and the entries that only it reaches.

        Mostly it is one. Records that share entries are written again as they are. If two of them
        are deleted at once, one deletion has to start again, and then deletes the entries.
        """
        # The versions are read before the records that share entries are listed: one that begins
        # to share an entry later has changed its version.
        own = await self._ancestry(_tips(_record(stored)))
        sharing = [
            item
            for item in await self._list_records({"roots": {"$in": stored.value["roots"]}})
            if item.key != stored.key
        ]
        shared = await self._ancestry(chain.from_iterable(_tips(_record(item)) for item in sharing))
        entries = [item for id, item in own.items() if id not in shared]
        entries.sort(key=lambda item: item.value["depth"], reverse=True)
        operations = [_delete(stored), *map(_rewrite, sharing), *map(_delete, entries)]
        return [
            operations[start : start + MAX_OPERATIONS]
            for start in range(0, len(operations), MAX_OPERATIONS)
        ]


def _tips(record: ConversationRecord) -> set[str]:
    """Return the ids of a record's head and of the branches that it has left."""
    return {id for id in (record.head_id, *record.branches) if id is not None}


def _ancestors(value: Value, lowest: int) -> Iterable[str]:
    """Yield the ancestors that an entry lists, down to a depth."""
    depth = value["depth"]
    yield from value["trail"][: max(depth - lowest, 0)]
    yield from value["milestones"][: max((depth - lowest) // STRIDE - 1, 0)]


# Operations


def _put(namespace: Sequence[str], key: str, value: Value, **options: Any) -> Value:
    place = {"namespace": namespace, "key": key}
    return {"op": "put", **place, "value": value, "index": False, **options}


def _rewrite(item: StateItem) -> Value:
    return _put(item.namespace, item.key, item.value, if_version=item.version)


def _delete(item: StateItem) -> Value:
    place = {"namespace": item.namespace, "key": item.key}
    return {"op": "delete", **place, "if_version": item.version}


# JSON


def _packed(adapter: TypeAdapter[Any], value: Any, path: str) -> Value:
    """Return the JSON of a record or an entry: as it is if `jsonb` keeps it so, else as text."""
    try:
        data = adapter.dump_python([value], mode="json")[0]
        text = json.dumps(data, sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"is not JSON: {error}", path=path) from error
    try:
        is_exact = json.dumps(loads(canonical(data)), sort_keys=True) == text
    except InvalidInput:
        is_exact = False
    return {"data": data} if is_exact else {"text": text}


def _unpacked(adapter: TypeAdapter[Any], value: Mapping[str, Any]) -> Any:
    data = value["data"] if "data" in value else json.loads(value["text"])
    return adapter.validate_python([data])[0]


def _record(item: StateItem) -> ConversationRecord:
    record: ConversationRecord = _unpacked(_RECORDS, item.value)
    return record


def _entry(item: StateItem) -> ConversationEntry:
    entry: ConversationEntry = _unpacked(_ENTRIES, item.value)
    return entry
