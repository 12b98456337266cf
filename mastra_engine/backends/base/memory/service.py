"""The contract of agent memory: messages, context windows and, inherited, all the rest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mastra_engine.backends.base.async_derivation import derive_async
from mastra_engine.backends.base.memory.recall import RecallContract
from mastra_engine.backends.base.memory.threads import NewThread, Selection, with_ids
from mastra_engine.backends.base.memory.transfer import TransferContract
from mastra_engine.backends.base.memory.working_memory import WorkingMemoryContract
from mastra_engine.conversations.context_window import ContextPreamble, whole_exchanges
from mastra_engine.conversations.formats import format_window
from mastra_engine.conversations.messages import ROLES, NewMessage, body_hash, new_messages
from mastra_engine.exceptions import InvalidInput
from mastra_engine.filters.cursors import decode, encode, fingerprint, page_of
from mastra_engine.filters.parsing import parse_optional_filter
from mastra_engine.types import (
    ContextWindow,
    MemoryView,
    Message,
    MessageLike,
    Order,
    Page,
    RecalledMessage,
    RecallScope,
    Role,
    Thread,
    WindowFormat,
)
from mastra_engine.validation.inputs import choice, count, descends, moment, name, names, text

EXPIRE_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """Messages to be appended, all with ids; the thread is made for `resource_id`, if given."""

    thread_id: str
    resource_id: str | None
    messages: Sequence[NewMessage]
    idempotency_key: str | None
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, and how many tokens at most; None is no bound."""

    start: datetime | None
    end: datetime | None
    budget: int | None


class MemoryContract(RecallContract, TransferContract, WorkingMemoryContract):
    """Agent memory, reached as `engine.memory`. Every method has an async variant."""

    #: For how many days messages are kept; None for ever.
    retention_days: float | None = None

    def save_memory(
        self,
        *,
        thread_id: str,
        messages: Iterable[MessageLike],
        resource_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> list[Message]:
        """Append messages to a thread, all or none, and return them with their positions.

        With `resource_id` the thread is made when there is none; one that belongs to another
        resource is not found. With `idempotency_key`, a repetition returns what is stored and
        appends nothing; other messages under that key raise IdempotencyConflict.

        Raises ThreadNotFound, Conflict when a message has the id of a stored one, and
        InvalidInput that names the place.
        """
        id = name(thread_id, "/thread_id")
        key = None if idempotency_key is None else name(idempotency_key, "/idempotency_key")
        owner = None if resource_id is None else self._own_resource(resource_id)
        given = new_messages(messages, self.tokenizer)
        if not given:
            self._need_thread(id, owner)
            return []
        saved = self._append(
            Append(
                thread_id=id,
                resource_id=owner,
                messages=with_ids(given),
                idempotency_key=key,
                body_hash=body_hash(given),
            )
        )
        self._embed_later(id)
        return saved

    def get_memory(
        self,
        *,
        thread_id: str,
        last: int = 10,
        query: str | None = None,
        top_k: int = 4,
        message_range: tuple[int, int] = (1, 1),
        scope: RecallScope = "thread",
    ) -> MemoryView:
        """Return the `last` messages of a thread, and what `query` recalls beside them.

        The working memory is the thread's, or the resource's when the thread has none. Raises
        ThreadNotFound, and like recall().
        """
        thread = self._get_thread(name(thread_id, "/thread_id"))
        size = count(last, "/last")
        choice(scope, "/scope", "thread", "resource")
        newest = self._messages(thread.id, Selection(descending=True, limit=size))
        shown = {message.id for message in newest}
        recalled = self._recalled(thread, query, top_k, message_range, scope)
        return MemoryView(
            thread=thread,
            messages=newest[::-1],
            recalled=[message for message in recalled if message.id not in shown],
            working_memory=self._working_memory_of(thread),
        )

    def get_context_window(
        self,
        *,
        thread_id: str,
        max_tokens: int | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        format: WindowFormat = "raw",
        query: str | None = None,
        top_k: int = 4,
        message_range: tuple[int, int] = (1, 1),
        scope: RecallScope = "thread",
        system: str | None = None,
        working_memory: bool = False,
    ) -> ContextWindow:
        """Return the newest messages that fit `max_tokens`, oldest first.

        From `start` up to, but without, `end`. A tool call is never separated from its result.
        In front, as system messages and within the budget, come `system`, the working memory when
        asked for, and what `query` recalls; that takes half of the budget at most. `raw` gives
        `Message`s, `openai` and `anthropic` the dicts that their clients take; for Anthropic the
        system messages are one text, apart. When nothing fits, the window is empty.

        Raises ThreadNotFound, and like recall().
        """
        id = name(thread_id, "/thread_id")
        choice(format, "/format", "raw", "openai", "anthropic")
        choice(scope, "/scope", "thread", "resource")
        budget = None if max_tokens is None else count(max_tokens, "/max_tokens")
        since = None if start is None else moment(start, "/start")
        until = None if end is None else moment(end, "/end")
        said = None if system is None else text(system, "/system")
        notes = None
        if said is not None or working_memory or query is not None:
            thread = self._get_thread(id)
            recalled = self._recalled(thread, query, top_k, message_range, scope)
            notes = self._notes(thread, budget, said, working_memory, recalled)
        left = notes.remaining_tokens if notes else budget
        if left is not None and left < 0:
            return ContextWindow(messages=[], tokens=0, truncated=True)
        found, older = self._window(id, Span(since, until, left))
        self._need_thread_of(found, id)
        history = whole_exchanges(found, to_the_end=until is None)
        return format_window(
            [*(notes.messages_before(history) if notes else []), *history],
            format,
            truncated=older or len(history) < len(found),
        )

    def list_messages(
        self,
        *,
        thread_id: str,
        limit: int = 100,
        cursor: str | None = None,
        order: Order = "asc",
        role: Role | None = None,
        metadata: Any = None,
    ) -> Page[Message]:
        """Return a page of a thread's messages by position; raises ThreadNotFound."""
        id = name(thread_id, "/thread_id")
        where = parse_optional_filter(metadata, path=("metadata",))
        wanted = None if role is None else choice(role, "/role", *ROLES)
        size = count(limit, "/limit")
        descending = descends(order)
        made_by = fingerprint("messages", id, wanted, where, descending)
        selection = Selection(
            descending=descending,
            limit=size + 1,
            after=None if cursor is None else decode(cursor, made_by, int)[0],
            role=wanted,
            where=where,
        )
        found = self._messages(id, selection)
        self._need_thread_of(found, id)
        return page_of(found, size, lambda message: encode(made_by, message.position))

    def get_messages_by_id(self, *, ids: Iterable[str]) -> list[Message]:
        """Return messages in the order of their ids; unknown ones are left out."""
        wanted = names(ids, "/ids")
        found = {message.id: message for message in self._messages_by_id(wanted)}
        return [found[id] for id in wanted if id in found]

    def delete_messages(self, *, ids: Iterable[str]) -> int:
        """Delete messages and their vectors; return how many there were.

        The others keep their positions.
        """
        return self._delete_messages(names(ids, "/ids"))

    def expire_messages(self, *, before: datetime | str | None = None) -> int:
        """Delete messages that are older, with their vectors; return how many there were.

        A thread that has none left, and was not used since, goes as well. Without `before`, the
        setting RETENTION_DAYS says it. Done thread by thread: what is done stays done when it is
        interrupted. Raises InvalidInput where neither is given.
        """
        oldest = moment(self._retained_since() if before is None else before, "/before")
        gone, last = 0, ""
        while threads := self._aged_threads(oldest, after=last, limit=EXPIRE_PAGE):
            gone += sum(self._expire(id, oldest) for id in threads)
            last = threads[-1]
        return gone

    asave_memory = derive_async(save_memory)
    aget_memory = derive_async(get_memory)
    aget_context_window = derive_async(get_context_window)
    alist_messages = derive_async(list_messages)
    aget_messages_by_id = derive_async(get_messages_by_id)
    adelete_messages = derive_async(delete_messages)
    aexpire_messages = derive_async(expire_messages)

    # What a backend implements

    @abstractmethod
    def _append(self, append: Append) -> list[Message]: ...

    @abstractmethod
    def _window(self, thread_id: str, span: Span) -> tuple[list[Message], bool]:
        """Return the newest messages that fit, oldest first, and whether there are older ones."""

    @abstractmethod
    def _delete_messages(self, ids: list[str]) -> int: ...

    @abstractmethod
    def _aged_threads(self, before: datetime, *, after: str, limit: int) -> list[str]:
        """Return ids of threads that have older messages, or none and are older, by id."""

    @abstractmethod
    def _expire(self, thread_id: str, before: datetime) -> int:
        """Delete a thread's older messages, or all of it; return how many messages went."""

    # Shared steps

    def _need_thread(self, id: str, resource_id: str | None) -> None:
        """Make the thread for a resource, if one is given; raise ThreadNotFound."""
        if resource_id is not None:
            self._create_thread(NewThread(id=id, resource_id=resource_id, title="", metadata=b"{}"))
        self._whose(resource_id, id)

    def _retained_since(self) -> datetime:
        if self.retention_days is None:
            raise InvalidInput("is needed where RETENTION_DAYS is not set", path="/before")
        return datetime.now(UTC) - timedelta(days=self.retention_days)

    def _need_thread_of(self, found: Sequence[Message], thread_id: str) -> None:
        """Raise ThreadNotFound unless what was found shows that the thread is there.

        Where resources confine this memory, it must be one of theirs as well.
        """
        if not found or self.resource_ids is not None:
            self._get_thread(thread_id)

    def _notes(
        self,
        thread: Thread,
        budget: int | None,
        system: str | None,
        working_memory: bool,
        recalled: Sequence[RecalledMessage],
    ) -> ContextPreamble:
        """Return what is put in front of a thread's messages."""
        notes = ContextPreamble(thread, self.tokenizer, budget)
        if system is not None:
            notes.add(system)
        if working_memory:
            notes.add_working_memory(self._working_memory_of(thread))
        notes.add_recalled(recalled)
        return notes

    def _recalled(
        self,
        thread: Thread,
        query: str | None,
        top_k: int,
        message_range: tuple[int, int],
        scope: RecallScope,
    ) -> list[RecalledMessage]:
        """Return what a query recalls; nothing without one."""
        if query is None:
            return []
        return self.recall(
            query=query,
            resource_id=thread.resource_id,
            thread_id=thread.id if scope == "thread" else None,
            top_k=top_k,
            message_range=message_range,
        )
