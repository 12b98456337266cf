"""Agent memory in the process's memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from operator import attrgetter
from typing import Any, TypeVar

from mastra_engine.backends.base.memory.store import (
    IdempotentAppend,
    MemoryHolder,
    MemoryStore,
    MessageAppend,
    MessageRange,
    MessageSelection,
    NewThread,
    UnembeddedMessage,
    WindowBounds,
    WorkingMemoryChange,
)
from mastra_engine.backends.mock.documents import in_jsonb_order
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.rows import AppendRow, MessageRow, ThreadRow, WorkingMemoryRow, now
from mastra_engine.backends.mock.store import Store
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.exceptions import Conflict, ThreadNotFound, VersionConflict
from mastra_engine.filters.ast import Node
from mastra_engine.types import Message, Thread, ThreadOrder, WorkingMemory
from mastra_engine.validation.jsonb import canonical, loads
from mastra_engine.validation.sizes import MESSAGE_BYTES, fitting

R = TypeVar("R")


class MockMemoryStore(MemoryStore):
    """Stores agent memory in a `Store`, which engines of one URL share."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: Copies of the threads that the current transaction has written to, None for new ones.
        self._originals: dict[str, ThreadRow | None] | None = None

    def transact(self, operation: Callable[[], R], *, single: bool = False) -> R:
        with self._store.lock:
            if single or self._originals is not None:
                return operation()
            with self._all_or_nothing():
                return operation()

    def after_commit(self, action: Callable[[], None]) -> None:
        action()

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Restore threads and vectors when the block raises.

        Working memory needs no copy: it is changed by the last step of an operation.
        """
        self._originals = {}
        try:
            with self._store.restoring():
                yield
        except BaseException:
            for id, original in self._originals.items():
                if original is None:
                    self._store.threads.pop(id, None)
                else:
                    self._store.threads[id] = original
            raise
        finally:
            self._originals = None

    def _before_writing(self, thread_id: str) -> None:
        """Keep a copy of a thread, so that it can be restored."""
        if self._originals is not None and thread_id not in self._originals:
            row = self._store.threads.get(thread_id)
            self._originals[thread_id] = None if row is None else row.copy()

    # Threads

    def find_thread(self, thread_id: str) -> Thread | None:
        with self._store.lock:
            row = self._store.threads.get(thread_id)
            return None if row is None else row.to_value()

    def lock_thread(self, thread_id: str, *, exclusive: bool = False) -> Thread | None:
        return self.find_thread(thread_id)  # The transaction holds the lock of the whole store.

    def insert_thread(self, new: NewThread) -> bool:
        if new.id in self._store.threads:
            return False
        self._before_writing(new.id)
        row = self._store.threads[new.id] = ThreadRow.of(new)
        row.metadata = in_jsonb_order(new.metadata)
        return True

    def list_threads(
        self,
        resource_id: str,
        where: Node,
        *,
        order_by: ThreadOrder,
        descending: bool,
        after: tuple[datetime, str] | None,
        limit: int,
        max_bytes: int,
    ) -> tuple[list[Thread], bool]:
        place = attrgetter(order_by, "id")
        with self._store.lock:
            rows = [
                row
                for row in self._threads([resource_id])
                if matches(where, loads(row.metadata))
                and (after is None or (place(row) < after if descending else place(row) > after))
            ]
            rows.sort(key=place, reverse=descending)
            sizes = [len(row.title.encode()) + len(row.metadata) for row in rows]
            size = min(limit, fitting(sizes, max_bytes))
            return [row.to_value() for row in rows[:size]], 0 < size < len(rows)

    def count_threads(self, resource_id: str, where: Node) -> int:
        with self._store.lock:
            threads = self._threads([resource_id])
            return sum(matches(where, loads(row.metadata)) for row in threads)

    def list_aged_threads(
        self,
        before: datetime,
        *,
        resource_ids: Collection[str] | None,
        after: str,
        limit: int,
    ) -> list[str]:
        with self._store.lock:
            threads = self._threads(resource_ids)
            aged = [row.id for row in threads if row.id > after and _is_aged(row, before)]
        return sorted(aged)[:limit]

    def update_thread(
        self, thread_id: str, *, title: str | None, metadata: bytes, replaces: bool
    ) -> Thread:
        self._before_writing(thread_id)
        row = self._store.threads[thread_id]
        current = {} if replaces else loads(row.metadata)
        row.metadata = in_jsonb_order(canonical({**current, **loads(metadata)}))
        row.title = row.title if title is None else title
        return _changed(row)

    def move_thread(self, thread_id: str, resource_id: str) -> Thread:
        self._before_writing(thread_id)
        row = self._store.threads[thread_id]
        memories = self._store.working_memory
        if (memory := memories.pop(MemoryHolder(row.resource_id, thread_id), None)) is not None:
            memories[MemoryHolder(resource_id, thread_id)] = memory
        row.resource_id, row.read_position = resource_id, 0
        self._mark(row, list(row.messages), embedded=False)
        return _changed(row)

    def delete_thread(self, thread_id: str) -> None:
        self._before_writing(thread_id)
        row = self._store.threads.pop(thread_id)
        self._store.delete_messages(row, list(row.messages))
        self._store.working_memory.pop(MemoryHolder(row.resource_id, thread_id), None)

    # Messages

    def append_messages(self, append: MessageAppend) -> list[Message] | None:
        thread, key = self._store.threads.get(append.thread_id), append.idempotency_key
        if thread is None or not _belongs_to(thread, append.resource_ids):
            return None
        stored_ids = {id for row in self._store.threads.values() for id in row.messages}
        new_ids = [message.id for message in append.messages]
        if key in thread.appends or not stored_ids.isdisjoint(new_ids):
            raise Conflict("A message with that id exists already")
        self._before_writing(thread.id)
        positions = thread.append([_stored(message) for message in append.messages])
        if key is not None:
            thread.appends[key] = AppendRow(append.body_hash, positions)
        return _values(thread.at(positions))

    def find_append(self, thread_id: str, idempotency_key: str) -> IdempotentAppend | None:
        with self._store.lock:
            thread = self._store.threads.get(thread_id)
            row = None if thread is None else thread.appends.get(idempotency_key)
        if row is None:
            return None
        return IdempotentAppend(row.body_hash, row.positions.start, row.positions.stop - 1)

    def copy_messages(self, source_id: str, target_id: str, *, up_to: int | None) -> None:
        self._before_writing(target_id)
        source = self._store.threads.get(source_id)
        if source is not None:
            self._store.threads[target_id].copy_from(source, up_to=up_to)

    def list_messages(
        self, thread_id: str, selection: MessageSelection
    ) -> tuple[list[Message], bool]:
        with self._store.lock:
            rows = self._messages_of(thread_id)
        if selection.descending:
            rows.reverse()
        selected = [
            row
            for row in rows
            if _is_past(row, selection)
            and selection.role in (None, row.role)
            and matches(selection.where, loads(row.metadata))
        ]
        size = min(selection.limit, len(selected))
        if selection.max_bytes is not None:
            size = min(size, _fitting(selected, selection.max_bytes))
        return _values(selected[:size]), 0 < size < len(selected)

    def read_window(self, thread_id: str, bounds: WindowBounds) -> tuple[list[Message], bool]:
        budget = bounds.max_tokens
        with self._store.lock:
            rows = [row for row in self._messages_of(thread_id) if _is_within(row, bounds)]
        sums = accumulate(row.tokens for row in reversed(rows))
        size = sum(budget is None or tokens <= budget for tokens in sums)
        size = min(size, _fitting(rows[::-1], bounds.max_bytes))
        return _values(rows[len(rows) - size :]), size < len(rows)

    def read_ranges(
        self,
        ranges: Sequence[MessageRange],
        resource_id: str,
        *,
        hit_ids: Sequence[str],
        max_bytes: int,
    ) -> list[Message]:
        hit_ranks = {id: rank for rank, id in enumerate(hit_ids)}

        def place(row: MessageRow, range: MessageRange) -> tuple[int, ...]:
            hit_rank = hit_ranks.get(row.id, len(hit_ranks))
            return hit_rank, range.rank, abs(row.position - range.best), row.position

        with self._store.lock:
            by_place = {
                place(row, range): row
                for thread in self._threads([resource_id])
                for row in thread.messages.values()
                for range in ranges
                if range.contains(row.thread_id, row.position)
            }
        rows = [by_place[key] for key in sorted(by_place)]
        return _values(rows[: _fitting(rows, max_bytes)])

    def find_messages(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None, max_bytes: int
    ) -> tuple[list[Message], bool]:
        with self._store.lock:
            by_id = {
                id: thread.messages[id]
                for thread in self._threads(resource_ids)
                for id in thread.messages.keys() & set(message_ids)
            }
        rows = [by_id[id] for id in message_ids if id in by_id]
        size = _fitting(rows, max_bytes)
        return _values(rows[:size]), size < len(rows)

    def lock_threads_of(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None
    ) -> list[Thread]:
        threads = [
            thread.to_value()
            for thread in self._threads(resource_ids)
            if not thread.messages.keys().isdisjoint(message_ids)
        ]
        return sorted(threads, key=lambda thread: thread.id)

    def delete_messages(self, thread_id: str, message_ids: list[str]) -> list[str]:
        messages = self._store.threads[thread_id].messages
        return self._delete(thread_id, [id for id in message_ids if id in messages])

    def count_messages_before(self, thread_ids: list[str], before: datetime) -> int:
        with self._store.lock:
            threads = [self._store.threads[id] for id in thread_ids if id in self._store.threads]
            messages = [row for thread in threads for row in thread.messages.values()]
        return sum(row.created_at < before for row in messages)

    def delete_messages_before(self, thread_id: str, before: datetime) -> list[str]:
        messages = self._store.threads[thread_id].messages.values()
        return self._delete(thread_id, [row.id for row in messages if row.created_at < before])

    def _delete(self, thread_id: str, message_ids: list[str]) -> list[str]:
        self._before_writing(thread_id)
        self._store.delete_messages(self._store.threads[thread_id], message_ids)
        return message_ids

    # Which messages have vectors

    def list_unembedded(
        self,
        *,
        resource_id: str | None,
        thread_id: str | None,
        resource_ids: Collection[str] | None,
        limit: int,
    ) -> list[UnembeddedMessage]:
        with self._store.lock:
            pending = [
                UnembeddedMessage(
                    id=row.id,
                    thread_id=thread.id,
                    position=row.position,
                    text=row.text,
                    metadata=loads(row.metadata),
                )
                for thread in self._threads(resource_ids)
                if thread_id in (None, thread.id) and resource_id in (None, thread.resource_id)
                for row in thread.messages.values()
                if row.text and not row.embedded
            ]
        return pending[:limit]

    def mark_embedded(self, message_ids: list[str]) -> dict[str, str]:
        resources: dict[str, str] = {}
        for thread in self._threads(None):
            if marked := thread.messages.keys() & set(message_ids):
                self._mark(thread, marked, embedded=True)
                resources |= dict.fromkeys(marked, thread.resource_id)
        return resources

    def mark_all_unembedded(self) -> None:
        for thread in self._threads(None):
            self._mark(thread, list(thread.messages), embedded=False)

    def _mark(self, thread: ThreadRow, message_ids: Iterable[str], *, embedded: bool) -> None:
        self._before_writing(thread.id)
        for id in message_ids:
            thread.messages[id] = replace(thread.messages[id], embedded=embedded)

    # Working memory

    def find_working_memory(self, holder: MemoryHolder) -> dict[MemoryHolder, WorkingMemory]:
        with self._store.lock:
            rows = self._store.working_memory
            holders = (holder, MemoryHolder(holder.resource_id))
            return {holder: rows[holder].to_value() for holder in holders if holder in rows}

    def change_working_memory(
        self, holder: MemoryHolder, change: WorkingMemoryChange
    ) -> WorkingMemory:
        if holder.thread_id is not None and holder.thread_id not in self._store.threads:
            raise ThreadNotFound(id=holder.thread_id)
        current = self._store.working_memory.get(holder, WorkingMemoryRow())
        if change.if_version not in (None, current.version):
            raise VersionConflict(subject="The working memory")
        data = loads(current.data if change.data is None else change.data)
        if change.patch is not None:
            data = merge_patch(data, loads(change.patch))
        change.validate(data)
        changed = WorkingMemoryRow(
            content=current.content if change.content is None else change.content,
            data=in_jsonb_order(canonical(data)),
            version=current.version + 1,
        )
        self._store.working_memory[holder] = changed
        return changed.to_value()

    # Rows

    def _threads(self, resource_ids: Collection[str] | None) -> list[ThreadRow]:
        return [row for row in self._store.threads.values() if _belongs_to(row, resource_ids)]

    def _messages_of(self, thread_id: str) -> list[MessageRow]:
        row = self._store.threads.get(thread_id)
        return [] if row is None else list(row.messages.values())


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a JSON merge patch (RFC 7396) applied."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _changed(row: ThreadRow) -> Thread:
    """Record that a thread was changed, and return it."""
    row.version += 1
    row.updated_at = max(row.updated_at, now())
    return row.to_value()


def _stored(message: NewMessage) -> NewMessage:
    return replace(
        message,
        content=in_jsonb_order(message.content),
        metadata=in_jsonb_order(message.metadata),
    )


def _belongs_to(thread: ThreadRow, resource_ids: Collection[str] | None) -> bool:
    return resource_ids is None or thread.resource_id in resource_ids


def _is_past(row: MessageRow, selection: MessageSelection) -> bool:
    if selection.after is None:
        return True
    if selection.descending:
        return row.position < selection.after
    return row.position > selection.after


def _fitting(rows: Sequence[MessageRow], max_bytes: int) -> int:
    """Return how many messages there are up to the one that reaches a size in JSON."""
    sizes = (MESSAGE_BYTES + len(row.content) + len(row.metadata) for row in rows)
    return fitting(sizes, max_bytes)


def _is_within(row: MessageRow, bounds: WindowBounds) -> bool:
    return (bounds.start is None or row.created_at >= bounds.start) and (
        bounds.end is None or row.created_at < bounds.end
    )


def _is_aged(thread: ThreadRow, before: datetime) -> bool:
    times = (row.created_at for row in thread.messages.values())
    return min(times, default=thread.updated_at) < before


def _values(rows: Collection[MessageRow]) -> list[Message]:
    return [row.to_value() for row in rows]
