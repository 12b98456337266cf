"""Agent state in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from mastra_engine.backends.base.state.store import (
    ItemKey,
    Namespace,
    NamespaceSelection,
    StateChange,
    StateSelection,
    StateStore,
    UnindexedItem,
    WrittenItem,
)
from mastra_engine.backends.postgres.session import SessionStore
from mastra_engine.postgres import state_reads, state_writes
from mastra_engine.postgres.compile import Sql, both
from mastra_engine.types import StateItem


class PostgresStateStore(SessionStore, StateStore):
    """Stores items in a table of the engine; a deleted item leaves a tombstone."""

    # Items

    def write(self, changes: Sequence[StateChange]) -> list[WrittenItem | None]:
        connection, lock_timeout = self.session.connection, self.session.lock_wait()
        if len(changes) == 1 and (value := changes[0].value) is not None:
            change = {**_parameters(changes[0]), "value": value.decode()}
            rows = state_writes.put(connection, change, lock_timeout=lock_timeout)
        else:
            rows = state_writes.write(
                connection, [_parameters(change) for change in changes], lock_timeout=lock_timeout
            )
        by_place = {(tuple(row[1]), row[2]): row for row in rows}
        return [
            _written(by_place[change.place], change.value) if change.place in by_place else None
            for change in changes
        ]

    def renew(self, places: Sequence[ItemKey]) -> set[ItemKey]:
        rows = state_writes.renew(self.session.connection, places)
        return {(tuple(namespace), key) for namespace, key in rows}

    def read(self, places: Sequence[ItemKey]) -> tuple[dict[ItemKey, StateItem], bool]:
        with self.session.translated():
            items, has_more = state_reads.find(self.session.connection, places)
        return {(item.namespace, item.key): item for item in items}, has_more

    def find(self, ids: Sequence[UUID]) -> dict[UUID, StateItem]:
        with self.session.translated():
            return state_reads.find_by_id(self.session.connection, ids)

    def list_items(
        self, selection: StateSelection, *, after: ItemKey | None, limit: int
    ) -> tuple[list[StateItem], bool]:
        with self.session.translated():
            return state_reads.list_items(
                self.session.connection, _condition(selection), after=after, limit=limit
            )

    def list_latest(self, selection: StateSelection, *, limit: int) -> list[StateItem]:
        with self.session.translated():
            return state_reads.list_latest(
                self.session.connection, _condition(selection), limit=limit
            )

    def list_namespaces(
        self, selection: NamespaceSelection, *, after: Namespace | None, limit: int
    ) -> list[Namespace]:
        fixed = _fixed(selection.prefix)
        with self.session.translated():
            return state_reads.list_namespaces(
                self.session.connection,
                state_reads.in_scope(fixed, selection.resource_ids),
                state_reads.matching(selection.prefix, selection.suffix),
                max_depth=selection.max_depth,
                after=after,
                limit=limit,
            )

    def delete_expired(
        self, *, resource_ids: Collection[str] | None, limit: int
    ) -> list[WrittenItem]:
        within = state_reads.in_scope((), resource_ids)
        rows = state_writes.delete_expired(self.session.connection, within, limit=limit)
        return [_written(row, None) for row in rows]

    # Which texts are indexed

    def list_unindexed(
        self, selection: StateSelection, *, limit: int
    ) -> tuple[list[UnindexedItem], bool]:
        with self.session.translated():
            rows, has_more = state_reads.list_unindexed(
                self.session.connection, _condition(selection), limit=limit
            )
        items = [
            UnindexedItem(
                id=id, namespace=tuple(namespace), version=version, value=value, fields=fields
            )
            for id, namespace, version, value, fields in rows
        ]
        return items, has_more

    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> set[UUID]:
        ids, numbers = zip(*versions, strict=True)
        return state_writes.mark_indexed(self.session.connection, ids, numbers)

    def mark_all_unindexed(self) -> None:
        state_writes.mark_all_unindexed(self.session.connection)


def _parameters(change: StateChange) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "namespace": list(change.namespace),
        "key": change.key,
        "value": None if change.value is None else orjson.Fragment(change.value),
        "fields": None if change.fields is None else list(change.fields),
        "if_version": change.if_version,
        "lifetime": change.lifetime,
    }


def _written(row: tuple[Any, ...], value: bytes | None) -> WrittenItem:
    id, namespace, key, version, created_at, updated_at, expires_at, exists, *marks = row
    item = None
    if exists and value is not None:
        item = state_reads.item_of(
            (namespace, key, value, version, created_at, updated_at, expires_at)
        )
    is_indexed, is_pending = marks
    return WrittenItem(
        id=id,
        resource_id=namespace[0],
        item=item,
        is_indexed=is_indexed,
        is_pending=is_pending,
    )


def _condition(selection: StateSelection) -> Sql:
    within = state_reads.in_scope(selection.prefix, selection.resource_ids)
    return both(within, state_reads.on_value(selection.where))


def _fixed(pattern: Sequence[str | None]) -> list[str]:
    """Return the elements of a pattern up to the first one that stands for any."""
    fixed: list[str] = []
    for element in pattern:
        if element is None:
            break
        fixed.append(element)
    return fixed
