"""Agent memory in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest, Now

from mastra_engine import failpoints
from mastra_engine.backends.base.memory.recall import MessageRange, Unembedded, of_thread
from mastra_engine.backends.base.memory.service import Append, MemoryContract, Span
from mastra_engine.backends.base.memory.threads import NewThread, Selection
from mastra_engine.backends.base.memory.working_memory import Holder, MemoryChange
from mastra_engine.backends.base.vectors.service import Vectors as VectorService
from mastra_engine.backends.postgres.session import Session
from mastra_engine.conversations.messages import NewMessage
from mastra_engine.exceptions import (
    Conflict,
    IdempotencyConflict,
    IndexNotFound,
    ThreadNotFound,
    VersionConflict,
)
from mastra_engine.filters.ast import Node
from mastra_engine.models import IdempotentAppend as IdempotentAppendRow
from mastra_engine.models import Message as MessageRow
from mastra_engine.models import Thread as ThreadRow
from mastra_engine.postgres.compile import Sql, both, on_metadata
from mastra_engine.postgres.errors import sqlstate
from mastra_engine.postgres.expressions import merged
from mastra_engine.postgres.memory_reads import (
    find_thread,
    find_threads,
    find_working_memory,
    messages_between,
    read_messages,
    read_window,
)
from mastra_engine.postgres.memory_writes import (
    ThreadMessages,
    change_working_memory,
    insert_thread,
)
from mastra_engine.protocols import Tokenizer
from mastra_engine.retrieval.embedding import Vectors
from mastra_engine.types import Message, Thread, WorkingMemory
from mastra_engine.validation.jsonb import loads

_MISSING_REFERENCE = "23503"


class PostgresMemory(MemoryContract):
    """Threads and messages over the tables, in the caller's transaction if there is one."""

    def __init__(
        self,
        session: Session,
        vectors: VectorService,
        tokenizer: Tokenizer,
        working_memory_schema: Mapping[str, Any] | None,
    ) -> None:
        self.session = session
        self.vectors = vectors
        self.tokenizer = tokenizer
        self.working_memory_schema = working_memory_schema

    # Threads

    def _get_thread(self, id: str) -> Thread:
        with self.session.translated():
            thread = find_thread(self.session.connection, id, resources=self._resources())
        if thread is None:
            raise ThreadNotFound
        return thread

    def _create_thread(self, new: NewThread) -> Thread | None:
        made = self.session.run(lambda: self._inserted(new))
        return self._get_thread(new.id) if made else None

    def _list_threads(
        self,
        resource_id: str,
        where: Node,
        descending: bool,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Thread]:
        with self.session.translated():
            return find_threads(
                self.session.connection,
                resource_id,
                on_metadata(where),
                after=after,
                descending=descending,
                limit=limit,
            )

    def _update_thread(
        self, id: str, *, title: str | None, metadata: bytes, if_version: int | None
    ) -> Thread:
        changes: dict[str, Any] = {
            "metadata": merged("metadata", loads(metadata)),
            "version": F("version") + 1,
            "updated_at": Greatest("updated_at", Now()),
        }
        if title is not None:
            changes["title"] = title

        def update() -> Thread:
            thread = self._threads().filter(id=id)
            expected = thread if if_version is None else thread.filter(version=if_version)
            if not expected.update(**changes) and thread.exists():
                raise VersionConflict
            return self._get_thread(id)

        return self.session.run(update)

    def _clone_thread(self, source_id: str, new: NewThread, *, up_to: int | None) -> Thread | None:
        def clone() -> Thread | None:
            if not self._inserted(new):
                return None
            failpoints.hit("thread_made")
            self._table(source_id).clone_to(new.id, up_to=up_to)
            if not self._threads().filter(id=source_id).exists():  # deleted since it was found
                raise ThreadNotFound
            return self._get_thread(new.id)

        return self.session.run(clone)

    def _import_thread(self, new: NewThread, messages: Sequence[NewMessage]) -> Thread | None:
        def insert() -> Thread | None:
            if not self._inserted(new):
                return None
            self._table(new.id).append(messages)
            return self._get_thread(new.id)

        try:
            return self.session.run(insert)
        except IntegrityError as error:
            raise Conflict("A message of that id is stored already") from error

    def _delete_thread(self, id: str, *, if_version: int | None = None) -> Thread:
        def delete() -> Thread:
            row = self._threads().filter(id=id).select_for_update().first()
            if row is None:
                raise ThreadNotFound
            if if_version not in (None, row.version):
                raise VersionConflict
            # The database deletes the messages. Whoever is embedding them holds their locks, so
            # that by now all their vectors are there to be deleted.
            self._threads().filter(id=id).delete()
            failpoints.hit("thread_deleted")
            self._forget_vectors(row.resource_id, of_thread(id))
            return row.to_value()

        return self.session.run(delete)

    # Messages

    def _append(self, append: Append) -> list[Message]:
        try:
            saved = self.session.run(lambda: self._appended(append), single=True)
            if not saved and (owner := append.resource_id) is not None:
                saved = self.session.run(lambda: self._appended_to_new(append, owner))
        except IntegrityError as error:
            return self._stored(append, error)
        if not saved:
            raise ThreadNotFound
        return saved

    def _appended(self, append: Append) -> list[Message]:
        """Return the messages as they are stored; none where there is no such thread."""
        rows = self._table(append.thread_id).append(
            append.messages,
            resources=[append.resource_id] if append.resource_id else self._resources(),
            key=append.idempotency_key,
            body_hash=append.body_hash,
            wait=self.session.lock_wait(),
        )
        stored = {id: (position, created_at) for id, position, created_at in rows}
        return [
            Message(
                id=each.id,
                thread_id=append.thread_id,
                position=stored[each.id][0],
                role=each.role,
                content=loads(each.content),
                tool_call_id=each.tool_call_id,
                tokens=each.tokens,
                metadata=loads(each.metadata),
                created_at=stored[each.id][1],
            )
            for each in append.messages
            if each.id in stored
        ]

    def _appended_to_new(self, append: Append, resource_id: str) -> list[Message]:
        new = NewThread(id=append.thread_id, resource_id=resource_id, title="", metadata=b"{}")
        self._inserted(new)
        failpoints.hit("thread_made")
        return self._appended(append)

    def _stored(self, append: Append, error: IntegrityError) -> list[Message]:
        """Return what the same call stored before; raise Conflict when there was none.

        A repetition that names its messages fails at their ids, not at its key.
        """
        with self.session.translated():
            earlier = (
                IdempotentAppendRow.objects.using(self.session.alias)
                .filter(thread=append.thread_id, idempotency_key=append.idempotency_key)
                .first()
            )
        if earlier is None:
            raise Conflict("A message of that id is stored already") from error
        if earlier.body_hash.bytes != append.body_hash:
            raise IdempotencyConflict from error
        first = earlier.last_position - earlier.message_count + 1
        return self._in_order(
            self._of_thread(append.thread_id)
            .filter(position__range=(first, earlier.last_position))
            .order_by("position")
        )

    def _messages(self, thread_id: str, selection: Selection) -> list[Message]:
        wanted = on_metadata(selection.where)
        if selection.role is not None:
            wanted = both(wanted, ("role = %s", [selection.role]))
        with self.session.translated():
            return read_messages(
                self.session.connection,
                thread_id,
                wanted,
                after=selection.after,
                descending=selection.descending,
                limit=selection.limit,
            )

    def _window(self, thread_id: str, span: Span) -> tuple[list[Message], bool]:
        start, end, budget = span.start, span.end, span.budget
        with self.session.translated():
            if budget is not None:
                return read_window(
                    self.session.connection, thread_id, start=start, end=end, budget=budget
                )
            since: Sql = ("created_at >= %s", [start])
            until: Sql = ("created_at < %s", [end])
            bounds = (each for each in (since, until) if each[1] != [None])
            return read_messages(self.session.connection, thread_id, both(*bounds)), False

    def _messages_by_id(self, ids: list[str]) -> list[Message]:
        return self._in_order(self._all_messages().filter(id__in=ids))

    def _delete_messages(self, ids: list[str]) -> int:
        def delete() -> int:
            chosen = self._all_messages().filter(id__in=ids)
            threads = self._threads().filter(id__in=chosen.values("thread_id"))
            locked = threads.order_by("id").select_for_update(no_key=True)
            return sum(self._delete_from(thread, ids) for thread in locked)

        return self.session.run(delete)

    def _delete_from(self, thread: ThreadRow, ids: list[str]) -> int:
        number, tokens = self._table(thread.id).delete(ids)
        failpoints.hit("messages_deleted")
        self._threads().filter(id=thread.id).update(
            message_count=F("message_count") - number, total_tokens=F("total_tokens") - tokens
        )
        self._forget_vectors(thread.resource_id, ids=ids)
        return number

    def _aged_threads(self, before: datetime, *, after: str, limit: int) -> list[str]:
        oldest = self._all_messages().filter(thread=OuterRef("id")).order_by("position")
        threads = (
            self._threads()
            .filter(id__gt=after, created_at__lt=before)
            .annotate(oldest=Coalesce(Subquery(oldest.values("created_at")[:1]), "updated_at"))
        )
        with self.session.translated():
            aged = threads.filter(oldest__lt=before).order_by("id")
            return list(aged.values_list("id", flat=True)[:limit])

    def _expire(self, thread_id: str, before: datetime) -> int:
        def expire() -> int:
            thread = self._threads().filter(id=thread_id).select_for_update(no_key=True).first()
            if thread is None:
                return 0
            older = self._of_thread(thread_id).filter(created_at__lt=before)
            gone = self._delete_from(thread, list(older.values_list("id", flat=True)))
            if gone == thread.message_count and thread.updated_at < before:
                self._delete_thread(thread_id)
            return gone

        return self.session.run(expire)

    # Recall

    def _messages_in(self, stretches: Sequence[MessageRange], resource_id: str) -> list[Message]:
        if not stretches:
            return []
        bounds = [(each.thread_id, each.first, each.last) for each in stretches]
        with self.session.translated():
            return messages_between(self.session.connection, bounds, resource_id=resource_id)

    def _unembedded(
        self, resource_id: str | None, thread_id: str | None, *, limit: int
    ) -> list[Unembedded]:
        waiting = self._all_messages().filter(embedded_at=None).exclude(text="")
        if thread_id is not None:
            waiting = waiting.filter(thread=thread_id)
        elif resource_id is not None:
            waiting = waiting.filter(thread__resource_id=resource_id)
        columns = ("id", "thread_id", "thread__resource_id", "position", "text", "metadata")
        with self.session.translated():
            return [
                Unembedded(*row)
                for row in waiting.order_by("thread", "position").values_list(*columns)[:limit]
            ]

    def _embedded(self, messages: Sequence[Unembedded], vectors: Vectors) -> None:
        def store() -> None:
            rows = self._all_messages().filter(id__in=[message.id for message in messages])
            locked = rows.order_by("id").select_for_update(of=("self",), no_key=True)
            there = set(locked.values_list("id", flat=True))
            pairs = [
                (message, vector)
                for message, vector in zip(messages, vectors, strict=True)
                if message.id in there
            ]
            self._put_vectors(pairs)
            failpoints.hit("embeddings_stored")
            rows.filter(id__in=there).update(embedded_at=Now())

        failpoints.hit("embeddings_made")
        self.session.run(store)

    def _forget_embeddings(self) -> None:
        def forget() -> None:
            MessageRow.objects.using(self.session.alias).update(embedded_at=None)
            with suppress(IndexNotFound):
                self.vectors.delete_index(index_name=self.index_name)

        self.session.run(forget)

    def _after_commit(self, action: Callable[[], None]) -> None:
        self.session.after_commit(action)

    # Working memory

    def _working_memory(self, holder: Holder) -> dict[Holder, WorkingMemory]:
        resource_id = holder.resource_id
        with self.session.translated():
            found = find_working_memory(
                self.session.connection,
                resource_id=resource_id,
                thread_id=holder.thread_id,
            )
        return {Holder(resource_id, thread_id): held for thread_id, held in found.items()}

    def _change_working_memory(self, holder: Holder, change: MemoryChange) -> WorkingMemory:
        def write() -> WorkingMemory:
            changed = change_working_memory(
                self.session.connection,
                resource_id=holder.resource_id,
                thread_id=holder.thread_id,
                content=change.content,
                data=change.data,
                patch=change.patch,
                if_version=change.if_version,
            )
            if changed is None:
                raise VersionConflict
            content, data, version = changed
            change.check(data)
            return WorkingMemory(content=content, data=data, version=version)

        try:
            return self.session.run(write)
        except IntegrityError as error:
            if sqlstate(error) != _MISSING_REFERENCE:
                raise
            raise ThreadNotFound from error

    # Rows

    def _threads(self) -> QuerySet[ThreadRow]:
        """The threads that this memory may touch: every one, unless it is confined."""
        rows = ThreadRow.objects.using(self.session.alias)
        if self.resource_ids is None:
            return rows.all()
        return rows.filter(resource_id__in=self.resource_ids)

    def _all_messages(self) -> QuerySet[MessageRow]:
        rows = MessageRow.objects.using(self.session.alias)
        if self.resource_ids is None:
            return rows.all()
        return rows.filter(thread__resource_id__in=self.resource_ids)

    def _of_thread(self, thread_id: str) -> QuerySet[MessageRow]:
        """The messages of a thread that was found to be within reach."""
        return MessageRow.objects.using(self.session.alias).filter(thread=thread_id)

    def _in_order(self, rows: QuerySet[MessageRow]) -> list[Message]:
        with self.session.translated():
            return [row.to_value() for row in rows]

    def _inserted(self, new: NewThread) -> bool:
        """Insert a thread; False when there is one of that id, of whomever."""
        return insert_thread(
            self.session.connection,
            id=new.id,
            resource_id=new.resource_id,
            title=new.title,
            metadata=new.metadata,
        )

    def _resources(self) -> list[str] | None:
        return None if self.resource_ids is None else sorted(self.resource_ids)

    def _table(self, thread_id: str) -> ThreadMessages:
        return ThreadMessages(self.session.connection, thread_id)
