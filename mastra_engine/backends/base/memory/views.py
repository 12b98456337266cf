"""Views of a thread for a model: the latest messages and context windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from mastra_engine.backends.base.memory.recall import Recall
from mastra_engine.backends.base.memory.scope import MemoryContext, MemoryScope
from mastra_engine.backends.base.memory.store import MessageSelection, WindowBounds
from mastra_engine.backends.base.memory.working_memory import WorkingMemories
from mastra_engine.backends.base.steps import Steps, in_steps
from mastra_engine.conversations.context_window import ContextPreamble, whole_exchanges
from mastra_engine.conversations.formats import format_window
from mastra_engine.types import (
    ContextWindow,
    MemoryView,
    RecalledMessage,
    RecallScope,
    Thread,
    WindowFormat,
)
from mastra_engine.validation.inputs import choice, count, flag, moment, name, text
from mastra_engine.validation.sizes import MAX_PAGE_BYTES


class Views:
    """Selects the parts of agent memory that a model is shown."""

    def __init__(
        self,
        context: MemoryContext,
        scope: MemoryScope,
        recall: Recall,
        working_memory: WorkingMemories,
    ) -> None:
        self._context = context
        self._store = context.store
        self._scope = scope
        self._recall = recall
        self._working_memory = working_memory

    @in_steps
    def get_memory(
        self,
        *,
        thread_id: str,
        last: int = 10,
        query: str | None = None,
        top_k: int = 4,
        message_range: tuple[int, int] = (1, 1),
        scope: RecallScope = "thread",
        facts: bool = False,
    ) -> Steps[MemoryView]:
        """Return the `last` messages of a thread, and further messages that `query` recalls.

        `facts` adds the current facts about the resource, pinned ones first, then the latest.
        The working memory is the thread's, or the resource's when the thread has none. Messages
        older than those that have 8 MiB of JSON are left out. Raises ThreadNotFound, and the
        errors of recall().
        """
        thread = self._scope.require_thread(name(thread_id, "/thread_id"))
        size, with_facts = count(last, "/last"), flag(facts, "/facts")
        scope = cast(RecallScope, choice(scope, "/scope", "thread", "resource"))
        selection = MessageSelection(descending=True, limit=size, max_bytes=MAX_PAGE_BYTES)
        newest, _ = self._store.list_messages(thread.id, selection)
        newest_ids = {message.id for message in newest}
        recalled = yield from self._recalled(thread, query, top_k, message_range, scope)
        return MemoryView(
            thread=thread,
            messages=newest[::-1],
            recalled=[message for message in recalled if message.id not in newest_ids],
            working_memory=self._working_memory.of_thread(thread),
            facts=self._context.current_facts(thread.resource_id) if with_facts else [],
        )

    @in_steps
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
        facts: bool = False,
    ) -> Steps[ContextWindow]:
        """Return the newest messages of a thread that fit `max_tokens`, oldest first.

        `start` is included and `end` excluded. A tool call is never separated from its result.
        System messages come first and count towards `max_tokens`: `system`, with the current facts
        about the resource if `facts` is true, which take at most half of the tokens; the working
        memory if `working_memory` is true; and the messages that `query` recalls, which take at
        most half of the remaining tokens. `format="raw"` returns `Message`s; `openai` and
        `anthropic` return the dicts that their clients take, with Anthropic's system text in
        `system`. The window is empty when nothing fits. It ends, at its older end, with the message
        that brings it to 32 MiB of JSON. `truncated` tells whether older messages were left out.

        Raises ThreadNotFound, and the errors of recall().
        """
        id = name(thread_id, "/thread_id")
        format = cast(WindowFormat, choice(format, "/format", "raw", "openai", "anthropic"))
        scope = cast(RecallScope, choice(scope, "/scope", "thread", "resource"))
        budget = None if max_tokens is None else count(max_tokens, "/max_tokens")
        since = None if start is None else moment(start, "/start")
        until = None if end is None else moment(end, "/end")
        instructions = None if system is None else text(system, "/system")
        preamble = None
        with_facts = flag(facts, "/facts")
        if instructions is not None or working_memory or with_facts or query is not None:
            thread = self._scope.require_thread(id)
            recalled = yield from self._recalled(thread, query, top_k, message_range, scope)
            preamble = ContextPreamble(thread, self._context.tokenizer, budget)
            self._fill(preamble, instructions, with_facts, working_memory, recalled)
        bounds = WindowBounds(start=since, end=until, max_tokens=budget)
        return self._window(id, bounds, preamble, format)

    def _window(
        self,
        thread_id: str,
        bounds: WindowBounds,
        preamble: ContextPreamble | None,
        format: WindowFormat,
    ) -> ContextWindow:
        """Return a window of the newest messages that fit with the preamble."""
        if preamble is not None:
            bounds = replace(bounds, max_tokens=preamble.remaining_tokens)
        if bounds.max_tokens is not None and bounds.max_tokens < 0:
            return ContextWindow(messages=[], tokens=0, truncated=True)
        messages, has_older = self._store.read_window(thread_id, bounds)
        self._scope.require_thread_of(messages, thread_id)
        history = whole_exchanges(messages, to_the_end=bounds.end is None)
        window = format_window(
            [*(preamble.messages_before(history) if preamble else []), *history],
            format,
            truncated=has_older or len(history) < len(messages),
        )
        return replace(window, facts=preamble.facts) if preamble else window

    def _fill(
        self,
        preamble: ContextPreamble,
        system: str | None,
        facts: bool,
        working_memory: bool,
        recalled: Sequence[RecalledMessage],
    ) -> None:
        """Add the system messages that precede a thread's messages."""
        thread = preamble.thread
        current = self._context.current_facts(thread.resource_id) if facts else []
        preamble.add_leading(system, current)
        if working_memory:
            preamble.add_working_memory(self._working_memory.of_thread(thread))
        preamble.add_recalled(recalled)

    def _recalled(
        self,
        thread: Thread,
        query: str | None,
        top_k: int,
        message_range: tuple[int, int],
        scope: RecallScope,
    ) -> Steps[list[RecalledMessage]]:
        """Return the messages that a query recalls; none without a query."""
        if query is None:
            return []
        steps = self._recall.recall_steps(
            query=query,
            resource_id=thread.resource_id,
            thread_id=thread.id if scope == "thread" else None,
            top_k=top_k,
            message_range=message_range,
        )
        return (yield from steps)
