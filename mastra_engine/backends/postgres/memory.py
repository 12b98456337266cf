"""Agent memory in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple
from datetime import datetime

from django.db import IntegrityError
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

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
from mastra_engine.backends.postgres.session import SessionStore
from mastra_engine.exceptions import Conflict, ThreadNotFound, VersionConflict
from mastra_engine.filters.ast import Node
from mastra_engine.models import IdempotentAppend as IdempotentAppendRow
from mastra_engine.models import Message as MessageRow
from mastra_engine.models import Thread as ThreadRow
from mastra_engine.postgres.compile import Sql, both, on_metadata
from mastra_engine.postgres.errors import sqlstate
from mastra_engine.postgres.memory_reads import (
    count_threads,
    find_thread,
    find_threads,
    find_working_memory,
    list_pending,
    messages_between,
    messages_with_ids,
    read_messages,
    read_window,
)
from mastra_engine.postgres.memory_writes import (
    ThreadMessages,
    change_working_memory,
    insert_thread,
    mark_embedded,
    move_thread,
    update_thread,
)
from mastra_engine.types import Message, Thread, ThreadOrder, WorkingMemory
from mastra_engine.validation.jsonb import loads

_MISSING_REFERENCE = "23503"


class PostgresMemoryStore(SessionStore, MemoryStore):
    """Stores agent memory in the engine's tables, in the caller's transaction if there is one."""

    # Threads

    def find_thread(self, thread_id: str) -> Thread | None:
        with self.session.translated():
            return find_thread(self.session.connection, thread_id)

    def lock_thread(self, thread_id: str, *, exclusive: bool = False) -> Thread | None:
        # FOR NO KEY UPDATE lets other transactions insert rows that refer to the thread, and embed
        # its messages. Before a deletion they must not, and taking the stronger lock at once avoids
        # the deadlock of two transactions that both hold the weaker one and want the stronger.
        lock = "FOR UPDATE" if exclusive else "FOR NO KEY UPDATE"
        return find_thread(self.session.connection, thread_id, lock=lock)

    def insert_thread(self, new: NewThread) -> bool:
        return insert_thread(
            self.session.connection,
            id=new.id,
            resource_id=new.resource_id,
            title=new.title,
            metadata=new.metadata,
        )

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
        with self.session.translated():
            return find_threads(
                self.session.connection,
                resource_id,
                on_metadata(where),
                order_by=order_by,
                after=after,
                descending=descending,
                limit=limit,
                max_bytes=max_bytes,
            )

    def count_threads(self, resource_id: str, where: Node) -> int:
        with self.session.translated():
            return count_threads(self.session.connection, resource_id, on_metadata(where))

    def list_aged_threads(
        self,
        before: datetime,
        *,
        resource_ids: Collection[str] | None,
        after: str,
        limit: int,
    ) -> list[str]:
        threads = self._threads().filter(id__gt=after)
        if resource_ids is not None:
            threads = threads.filter(resource_id__in=resource_ids)
        aged = threads.annotate(oldest=Coalesce("oldest_at", "updated_at"))
        with self.session.translated():
            return list(
                aged.filter(oldest__lt=before).order_by("id").values_list("id", flat=True)[:limit]
            )

    def update_thread(
        self, thread_id: str, *, title: str | None, metadata: bytes, replaces: bool
    ) -> Thread:
        return update_thread(
            self.session.connection, thread_id, title=title, metadata=metadata, replaces=replaces
        )

    def move_thread(self, thread_id: str, resource_id: str) -> Thread:
        return move_thread(self.session.connection, thread_id, resource_id)

    def delete_thread(self, thread_id: str) -> None:
        # Foreign keys with ON DELETE CASCADE delete messages, appends and working memory.
        self._threads().filter(id=thread_id).delete()

    # Messages

    def append_messages(self, append: MessageAppend) -> list[Message] | None:
        resources = None if append.resource_ids is None else sorted(append.resource_ids)
        try:
            rows = self._table(append.thread_id).append(
                append.messages,
                resources=resources,
                key=append.idempotency_key,
                body_hash=append.body_hash,
                lock_timeout=self.session.lock_wait(),
            )
        except IntegrityError as error:
            raise Conflict("A message with that id exists already") from error
        if not rows:
            return None
        stored = {id: (position, created_at) for id, position, created_at in rows}
        return [
            Message(
                id=message.id,
                thread_id=append.thread_id,
                position=stored[message.id][0],
                role=message.role,
                content=loads(message.content),
                tool_call_id=message.tool_call_id,
                tokens=message.tokens,
                metadata=loads(message.metadata),
                created_at=stored[message.id][1],
            )
            for message in append.messages
        ]

    def find_append(self, thread_id: str, idempotency_key: str) -> IdempotentAppend | None:
        rows = IdempotentAppendRow.objects.using(self.session.alias)
        with self.session.translated():
            row = rows.filter(thread=thread_id, idempotency_key=idempotency_key).first()
        if row is None:
            return None
        first = row.last_position - row.message_count + 1
        return IdempotentAppend(row.body_hash.bytes, first, row.last_position)

    def copy_messages(self, source_id: str, target_id: str, *, up_to: int | None) -> None:
        self._table(source_id).copy_to(target_id, up_to=up_to)

    def list_messages(
        self, thread_id: str, selection: MessageSelection
    ) -> tuple[list[Message], bool]:
        condition = on_metadata(selection.where)
        if selection.role is not None:
            condition = both(condition, ("role = %s", [selection.role]))
        with self.session.translated():
            return read_messages(
                self.session.connection,
                thread_id,
                condition,
                after=selection.after,
                descending=selection.descending,
                limit=selection.limit,
                max_bytes=selection.max_bytes,
            )

    def read_window(self, thread_id: str, bounds: WindowBounds) -> tuple[list[Message], bool]:
        start, end, budget = bounds.start, bounds.end, bounds.max_tokens
        with self.session.translated():
            if budget is not None:
                return read_window(
                    self.session.connection,
                    thread_id,
                    start=start,
                    end=end,
                    budget=budget,
                    max_bytes=bounds.max_bytes,
                )
            conditions: list[Sql] = []
            if start is not None:
                conditions.append(("created_at >= %s", [start]))
            if end is not None:
                conditions.append(("created_at < %s", [end]))
            newest, has_older = read_messages(
                self.session.connection,
                thread_id,
                both(*conditions),
                descending=True,
                max_bytes=bounds.max_bytes,
            )
            return newest[::-1], has_older

    def read_ranges(
        self,
        ranges: Sequence[MessageRange],
        resource_id: str,
        *,
        hit_ids: Sequence[str],
        max_bytes: int,
    ) -> list[Message]:
        if not ranges:
            return []
        with self.session.translated():
            return messages_between(
                self.session.connection,
                [astuple(range) for range in ranges],
                resource_id=resource_id,
                hit_ids=hit_ids,
                max_bytes=max_bytes,
            )

    def find_messages(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None, max_bytes: int
    ) -> tuple[list[Message], bool]:
        with self.session.translated():
            return messages_with_ids(
                self.session.connection,
                message_ids,
                resource_ids=resource_ids,
                max_bytes=max_bytes,
            )

    def lock_threads_of(
        self, message_ids: list[str], *, resource_ids: Collection[str] | None
    ) -> list[Thread]:
        messages = self._messages(resource_ids).filter(id__in=message_ids)
        threads = self._threads().filter(id__in=messages.values("thread_id"))
        locked = threads.order_by("id").select_for_update(no_key=True)
        return [row.to_value() for row in locked]

    def delete_messages(self, thread_id: str, message_ids: list[str]) -> list[str]:
        return self._table(thread_id).delete(message_ids)

    def count_messages_before(self, thread_ids: list[str], before: datetime) -> int:
        with self.session.translated():
            return self._messages().filter(thread__in=thread_ids, created_at__lt=before).count()

    def delete_messages_before(self, thread_id: str, before: datetime) -> list[str]:
        return self._table(thread_id).delete_before(before)

    # Which messages have vectors

    def list_unembedded(
        self,
        *,
        resource_id: str | None,
        thread_id: str | None,
        resource_ids: Collection[str] | None,
        limit: int,
    ) -> list[UnembeddedMessage]:
        resources = resource_ids
        if resource_id is not None and thread_id is None:
            in_scope = resource_ids is None or resource_id in resource_ids
            resources = [resource_id] if in_scope else []
        with self.session.translated():
            rows = list_pending(
                self.session.connection, resource_ids=resources, thread_id=thread_id, limit=limit
            )
        return [UnembeddedMessage(*row) for row in rows]

    def mark_embedded(self, message_ids: list[str]) -> dict[str, str]:
        return mark_embedded(self.session.connection, message_ids)

    def mark_all_unembedded(self) -> None:
        self._messages().update(embedded_at=None)

    # Working memory

    def find_working_memory(self, holder: MemoryHolder) -> dict[MemoryHolder, WorkingMemory]:
        resource_id = holder.resource_id
        with self.session.translated():
            by_thread = find_working_memory(
                self.session.connection, resource_id=resource_id, thread_id=holder.thread_id
            )
        return {
            MemoryHolder(resource_id, thread_id): memory for thread_id, memory in by_thread.items()
        }

    def change_working_memory(
        self, holder: MemoryHolder, change: WorkingMemoryChange
    ) -> WorkingMemory:
        try:
            row = change_working_memory(
                self.session.connection,
                resource_id=holder.resource_id,
                thread_id=holder.thread_id,
                content=change.content,
                data=change.data,
                patch=change.patch,
                if_version=change.if_version,
            )
        except IntegrityError as error:
            if sqlstate(error) != _MISSING_REFERENCE:
                raise
            raise ThreadNotFound(id=holder.thread_id) from error
        if row is None:
            raise VersionConflict(subject="The working memory")
        content, data, version = row
        change.validate(data)
        return WorkingMemory(content=content, data=data, version=version)

    # Rows

    def _threads(self) -> QuerySet[ThreadRow]:
        return ThreadRow.objects.using(self.session.alias)

    def _messages(self, resource_ids: Collection[str] | None = None) -> QuerySet[MessageRow]:
        rows = MessageRow.objects.using(self.session.alias)
        if resource_ids is None:
            return rows.all()
        return rows.filter(thread__resource_id__in=resource_ids)

    def _table(self, thread_id: str) -> ThreadMessages:
        return ThreadMessages(self.session.connection, thread_id)
