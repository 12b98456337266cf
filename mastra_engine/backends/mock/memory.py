"""Agent memory in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import Any

from mastra_engine.backends.base.memory.recall import MessageRange, Unembedded, of_thread
from mastra_engine.backends.base.memory.service import Append, MemoryContract, Span
from mastra_engine.backends.base.memory.threads import NewThread, Selection
from mastra_engine.backends.base.memory.working_memory import Holder, MemoryChange
from mastra_engine.backends.base.vectors.service import Vectors as VectorService
from mastra_engine.backends.mock.match import matches
from mastra_engine.backends.mock.store import (
    AppendRow,
    MessageRow,
    Store,
    ThreadRow,
    WorkingMemoryRow,
    now,
)
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.exceptions import (
    Conflict,
    IdempotencyConflict,
    ThreadNotFound,
    VersionConflict,
)
from mastra_engine.filters.ast import Node
from mastra_engine.protocols import Tokenizer
from mastra_engine.retrieval.embedding import Vectors
from mastra_engine.types import Message, Thread, WorkingMemory
from mastra_engine.validation.jsonb import canonical, loads


class MockMemory(MemoryContract):
    """Threads and messages in a store that engines of one URL share."""

    def __init__(
        self,
        store: Store,
        vectors: VectorService,
        tokenizer: Tokenizer,
        working_memory_schema: Mapping[str, Any] | None,
    ) -> None:
        self.store = store
        self.vectors = vectors
        self.tokenizer = tokenizer
        self.working_memory_schema = working_memory_schema

    # Threads

    def _get_thread(self, id: str) -> Thread:
        with self.store.lock:
            return self._thread(id).to_value()

    def _create_thread(self, new: NewThread) -> Thread | None:
        with self.store.lock:
            return None if new.id in self.store.threads else self._inserted(new).to_value()

    def _list_threads(
        self,
        resource_id: str,
        where: Node,
        descending: bool,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Thread]:
        with self.store.lock:
            found = [
                row.to_value()
                for row in self._threads()
                if row.resource_id == resource_id and matches(where, loads(row.metadata))
            ]
        found.sort(key=_last_used, reverse=descending)
        if after is not None:
            found = [
                thread
                for thread in found
                if (_last_used(thread) < after if descending else _last_used(thread) > after)
            ]
        return found[:limit]

    def _update_thread(
        self, id: str, *, title: str | None, metadata: bytes, if_version: int | None
    ) -> Thread:
        with self.store.lock:
            row = self._thread(id)
            if if_version not in (None, row.version):
                raise VersionConflict
            row.metadata = canonical({**loads(row.metadata), **loads(metadata)})
            row.title = row.title if title is None else title
            row.version += 1
            row.updated_at = now()
            return row.to_value()

    def _clone_thread(self, source_id: str, new: NewThread, *, up_to: int | None) -> Thread | None:
        with self.store.lock:
            source = self._thread(source_id)
            if new.id in self.store.threads:
                return None
            clone = self._inserted(new)
            clone.copy_from(source, up_to=up_to)
            return clone.to_value()

    def _import_thread(self, new: NewThread, messages: Sequence[NewMessage]) -> Thread | None:
        with self.store.lock:
            if new.id in self.store.threads:
                return None
            self._need_new(messages)
            thread = self._inserted(new)
            thread.append(messages)
            return thread.to_value()

    def _delete_thread(self, id: str, *, if_version: int | None = None) -> Thread:
        with self.store.lock:
            row = self._thread(id)
            if if_version not in (None, row.version):
                raise VersionConflict
            self._forget_vectors(row.resource_id, of_thread(id))
            self.store.working_memory.pop(Holder(row.resource_id, id), None)
            del self.store.threads[id]
            return row.to_value()

    # Messages

    def _append(self, append: Append) -> list[Message]:
        with self.store.lock:
            thread, key = self._thread_for(append), append.idempotency_key
            if key is not None and key in thread.appends:
                return _stored(thread, thread.appends[key], append.body_hash)
            self._need_new(append.messages)
            self.store.threads[thread.id] = thread
            positions = thread.append(append.messages)
            if key is not None:
                thread.appends[key] = AppendRow(append.body_hash, positions)
            return _values(thread.at(positions))

    def _thread_for(self, append: Append) -> ThreadRow:
        """Return the thread to append to; a new one, which is not stored yet, where it may be."""
        owner = append.resource_id
        if owner is not None and append.thread_id not in self.store.threads:
            return ThreadRow.of(
                NewThread(id=append.thread_id, resource_id=owner, title="", metadata=b"{}")
            )
        thread = self._thread(append.thread_id)
        if owner not in (None, thread.resource_id):
            raise ThreadNotFound
        return thread

    def _messages(self, thread_id: str, selection: Selection) -> list[Message]:
        with self.store.lock:
            found = _values(self._messages_of(thread_id))
        if selection.descending:
            found.reverse()
        wanted = [
            message
            for message in found
            if _is_beyond(message, selection)
            and selection.role in (None, message.role)
            and matches(selection.where, message.metadata)
        ]
        return wanted[: selection.limit]

    def _window(self, thread_id: str, span: Span) -> tuple[list[Message], bool]:
        with self.store.lock:
            within = [row for row in self._messages_of(thread_id) if _is_within(row, span)]
        sums = accumulate(row.tokens for row in reversed(within))
        fit = sum(span.budget is None or used <= span.budget for used in sums)
        return _values(within[len(within) - fit :]), fit < len(within)

    def _messages_by_id(self, ids: list[str]) -> list[Message]:
        with self.store.lock:
            return _values([row for row in self._all_messages() if row.id in ids])

    def _delete_messages(self, ids: list[str]) -> int:
        with self.store.lock:
            gone = [row for row in self._all_messages() if row.id in ids]
            for row in gone:
                thread = self.store.threads[row.thread_id]
                del thread.messages[row.id]
                self._forget_vectors(thread.resource_id, ids=[row.id])
        return len(gone)

    def _aged_threads(self, before: datetime, *, after: str, limit: int) -> list[str]:
        with self.store.lock:
            aged = [row.id for row in self._threads() if row.id > after and _is_aged(row, before)]
        return sorted(aged)[:limit]

    def _expire(self, thread_id: str, before: datetime) -> int:
        with self.store.lock:
            thread = self.store.threads.get(thread_id)
            if thread is None:
                return 0
            older = [row.id for row in thread.messages.values() if row.created_at < before]
            gone = self._delete_messages(older)
            if not thread.messages and thread.updated_at < before:
                self._delete_thread(thread_id)
            return gone

    # Recall

    def _messages_in(self, stretches: Sequence[MessageRange], resource_id: str) -> list[Message]:
        with self.store.lock:
            return [
                message
                for thread in self._threads()
                if thread.resource_id == resource_id
                for message in _values(thread.messages.values())
                if any(stretch.holds(message) for stretch in stretches)
            ]

    def _unembedded(
        self, resource_id: str | None, thread_id: str | None, *, limit: int
    ) -> list[Unembedded]:
        with self.store.lock:
            waiting = [
                Unembedded(
                    id=row.id,
                    thread_id=thread.id,
                    resource_id=thread.resource_id,
                    position=row.position,
                    text=row.text,
                    metadata=loads(row.metadata),
                )
                for thread in self._threads()
                if thread_id in (None, thread.id) and resource_id in (None, thread.resource_id)
                for row in thread.messages.values()
                if row.text and not row.embedded
            ]
        return waiting[:limit]

    def _embedded(self, messages: Sequence[Unembedded], vectors: Vectors) -> None:
        with self.store.restoring_vectors():
            there = {row.id: row for row in self._all_messages()}
            pairs = [
                (message, vector)
                for message, vector in zip(messages, vectors, strict=True)
                if message.id in there
            ]
            self._put_vectors(pairs)
            for message, _ in pairs:
                row = replace(there[message.id], embedded=True)
                self.store.threads[row.thread_id].messages[row.id] = row

    def _forget_embeddings(self) -> None:
        with self.store.lock:
            for thread in self.store.threads.values():
                for row in thread.messages.values():
                    thread.messages[row.id] = replace(row, embedded=False)
            self.store.indexes.pop(self.index_name, None)

    def _after_commit(self, action: Callable[[], None]) -> None:
        action()

    # Working memory

    def _working_memory(self, holder: Holder) -> dict[Holder, WorkingMemory]:
        with self.store.lock:
            held = self.store.working_memory
            either = (holder, Holder(holder.resource_id))
            return {each: held[each].to_value() for each in either if each in held}

    def _change_working_memory(self, holder: Holder, change: MemoryChange) -> WorkingMemory:
        with self.store.lock:
            if holder.thread_id is not None:
                self._thread(holder.thread_id)
            held = self.store.working_memory.get(holder, WorkingMemoryRow())
            if change.if_version not in (None, held.version):
                raise VersionConflict
            data = loads(held.data if change.data is None else change.data)
            if change.patch is not None:
                data = merge_patch(data, loads(change.patch))
            change.check(data)
            changed = WorkingMemoryRow(
                content=held.content if change.content is None else change.content,
                data=canonical(data),
                version=held.version + 1,
            )
            self.store.working_memory[holder] = changed
            return changed.to_value()

    # Rows

    def _threads(self) -> list[ThreadRow]:
        """The threads that this memory may touch: every one, unless it is confined."""
        return [row for row in self.store.threads.values() if self._reaches(row)]

    def _thread(self, id: str) -> ThreadRow:
        row = self.store.threads.get(id)
        if row is None or not self._reaches(row):
            raise ThreadNotFound
        return row

    def _reaches(self, row: ThreadRow) -> bool:
        return self.resource_ids is None or row.resource_id in self.resource_ids

    def _messages_of(self, thread_id: str) -> list[MessageRow]:
        row = self.store.threads.get(thread_id)
        return [] if row is None else list(row.messages.values())

    def _all_messages(self) -> list[MessageRow]:
        return [row for thread in self._threads() for row in thread.messages.values()]

    def _inserted(self, new: NewThread) -> ThreadRow:
        row = self.store.threads[new.id] = ThreadRow.of(new)
        return row

    def _need_new(self, messages: Sequence[NewMessage]) -> None:
        """Raise Conflict when a message has the id of a stored one, of whomever."""
        stored = {id for row in self.store.threads.values() for id in row.messages}
        if not stored.isdisjoint(message.id for message in messages):
            raise Conflict("A message of that id is stored already")


def merge_patch(target: Any, patch: Any) -> Any:
    """Return `target` with a JSON merge patch applied, as RFC 7396 has it."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _stored(thread: ThreadRow, earlier: AppendRow, body_hash: bytes) -> list[Message]:
    """Return what the same call stored before."""
    if earlier.body_hash != body_hash:
        raise IdempotencyConflict
    return _values(thread.at(earlier.positions))


def _is_beyond(message: Message, selection: Selection) -> bool:
    if selection.after is None:
        return True
    if selection.descending:
        return message.position < selection.after
    return message.position > selection.after


def _is_within(row: MessageRow, span: Span) -> bool:
    return (span.start is None or row.created_at >= span.start) and (
        span.end is None or row.created_at < span.end
    )


def _is_aged(thread: ThreadRow, before: datetime) -> bool:
    oldest = next((row.created_at for row in thread.messages.values()), thread.updated_at)
    return thread.created_at < before and oldest < before


def _last_used(thread: Thread) -> tuple[datetime, str]:
    return thread.updated_at, thread.id


def _values(rows: Collection[MessageRow]) -> list[Message]:
    return [row.to_value() for row in rows]
