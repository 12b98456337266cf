"""Agent state in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

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
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.rows import ItemRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.types import StateItem
from mastra_engine.validation.jsonb import loads, written_size
from mastra_engine.validation.sizes import fitting, page_bytes

R = TypeVar("R")


class MockStateStore(StateStore):
    """Stores items in a `Store`, which engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def transact(self, operation: Callable[[], R], *, single: bool = False) -> R:
        with self._store.lock:
            if single:
                return operation()
            before = dict(self._store.items)
            try:
                with self._store.restoring():
                    return operation()
            except BaseException:
                self._store.items.clear()
                self._store.items.update(before)
                raise

    def after_commit(self, action: Callable[[], None]) -> None:
        action()

    # Items

    def write(self, changes: Sequence[StateChange]) -> list[WrittenItem | None]:
        moment = now()
        return [self._write(change, moment) for change in changes]

    def _write(self, change: StateChange, moment: datetime) -> WrittenItem | None:
        row = self._store.items.get(change.place) or ItemRow(*change.place, created_at=moment)
        exists = row.exists(moment)
        if change.if_version not in (None, row.version if exists else 0):
            return None
        if change.value is None and not exists:
            return None
        is_put = change.value is not None
        has_text = is_put and change.fields != ()
        lifetime = change.lifetime
        row = self._store.items[change.place] = replace(
            row,
            value=change.value,
            version=row.version + is_put,
            fields=change.fields,
            is_pending=has_text or (row.is_indexed and is_put),
            created_at=row.created_at if exists else moment,
            updated_at=max(row.updated_at or moment, moment),
            expires_at=None if lifetime is None else moment + timedelta(seconds=lifetime),
            lifetime=lifetime,
        )
        return row.to_written()

    def renew(self, places: Sequence[ItemKey]) -> set[ItemKey]:
        moment = now()
        rows = [row for row in map(self._store.items.get, places) if row and row.exists(moment)]
        renewed = {
            row.place: replace(row, expires_at=moment + timedelta(seconds=row.lifetime))
            for row in rows
            if row.lifetime is not None
        }
        self._store.items.update(renewed)
        return set(renewed)

    def read(self, places: Sequence[ItemKey]) -> tuple[dict[ItemKey, StateItem], bool]:
        with self._store.lock:
            rows = self._existing(map(self._store.items.get, places))
            page = _page(rows, len(places))
            return {row.place: row.to_value() for row in page}, len(page) < len(rows)

    def find(self, ids: Sequence[UUID]) -> dict[UUID, StateItem]:
        with self._store.lock:
            rows = self._existing(self._store.items.values())
            return {row.id: row.to_value() for row in rows if row.id in ids}

    def list_items(
        self, selection: StateSelection, *, after: ItemKey | None, limit: int
    ) -> tuple[list[StateItem], bool]:
        rows = sorted(self._selected(selection), key=lambda row: row.place)
        rows = [row for row in rows if after is None or row.place > after]
        page = _page(rows, limit)
        return [row.to_value() for row in page], len(page) < len(rows)

    def list_latest(self, selection: StateSelection, *, limit: int) -> list[StateItem]:
        rows = sorted(self._selected(selection), key=lambda row: row.place)
        rows.sort(key=lambda row: row.to_value().updated_at, reverse=True)
        return [row.to_value() for row in _page(rows, limit)]

    def list_namespaces(
        self, selection: NamespaceSelection, *, after: Namespace | None, limit: int
    ) -> list[Namespace]:
        in_scope = StateSelection(prefix=(), resource_ids=selection.resource_ids)
        namespaces = {
            row.namespace[: selection.max_depth]
            for row in self._selected(in_scope)
            if _matches(row.namespace, selection)
        }
        return sorted(space for space in namespaces if after is None or space > after)[:limit]

    def delete_expired(
        self, *, resource_ids: Collection[str] | None, limit: int
    ) -> list[WrittenItem]:
        moment = now()
        with self._store.lock:
            expired = [
                row
                for row in self._store.items.values()
                if row.expires_at is not None and row.expires_at <= moment
                if resource_ids is None or row.namespace[0] in resource_ids
            ]
            deleted = [row.deleted() for row in expired[:limit]]
            self._store.items.update({row.place: row for row in deleted})
        return [row.to_written() for row in deleted]

    # Which texts are indexed

    def list_unindexed(
        self, selection: StateSelection, *, limit: int
    ) -> tuple[list[UnindexedItem], bool]:
        rows = [row for row in self._selected(selection) if row.is_pending]
        items = [
            UnindexedItem(
                id=row.id,
                namespace=row.namespace,
                version=row.version,
                value=loads(row.value or b"{}"),
                fields=row.fields,
            )
            for row in sorted(rows, key=lambda row: row.namespace)[:limit]
        ]
        return items, len(items) < len(rows)

    def mark_indexed(self, versions: Sequence[tuple[UUID, int]]) -> set[UUID]:
        indexed = [
            replace(row, is_pending=False, is_indexed=True)
            for row in self._store.items.values()
            if (row.id, row.version) in versions and row.value is not None
        ]
        self._store.items.update({row.place: row for row in indexed})
        return {row.id for row in indexed}

    def mark_all_unindexed(self) -> None:
        for place, row in self._store.items.items():
            if row.value is not None and row.fields != ():
                self._store.items[place] = replace(row, is_pending=True)

    def _selected(self, selection: StateSelection) -> list[ItemRow]:
        prefix, resources = selection.prefix, selection.resource_ids
        with self._store.lock:
            return [
                row
                for row in self._existing(self._store.items.values())
                if row.namespace[: len(prefix)] == prefix
                if resources is None or row.namespace[0] in resources
                if matches(selection.where, loads(row.value or b"{}"))
            ]

    def _existing(self, rows: Iterable[ItemRow | None]) -> list[ItemRow]:
        moment = now()
        return [row for row in rows if row is not None and row.exists(moment)]


def _page(rows: Sequence[ItemRow], limit: int) -> Sequence[ItemRow]:
    page = rows[:limit]
    sizes = [written_size(row.value or b"") for row in page]
    return page[: fitting(sizes, page_bytes(limit))]


def _matches(namespace: Namespace, selection: NamespaceSelection) -> bool:
    prefix, suffix = selection.prefix, selection.suffix
    start = namespace[: len(prefix)]
    end = namespace[-len(suffix) :] if suffix else ()
    return _equal(start, prefix) and _equal(end, suffix)


def _equal(elements: Namespace, pattern: Sequence[str | None]) -> bool:
    return len(elements) == len(pattern) and all(
        part in (None, element) for element, part in zip(elements, pattern, strict=True)
    )
