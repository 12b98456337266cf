"""Extracting facts from the messages of threads, with the project's FactExtractor."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from mastra_engine import failpoints
from mastra_engine.backends.base.facts.answers import Answer, checked_answer
from mastra_engine.backends.base.facts.store import FactStore, Reading
from mastra_engine.backends.base.memory.store import MessageSelection, MessageStore
from mastra_engine.backends.base.steps import Steps
from mastra_engine.exceptions import EngineConfigError, EngineError, ThreadNotFound
from mastra_engine.protocols import FactExtractor, RunQueue
from mastra_engine.types import FactChange, Message

logger = logging.getLogger("mastra_engine")

#: The most messages of one call of the extractor. They end with the one that reaches these bytes
#: of JSON.
MAX_MESSAGES, MAX_BYTES = 50, 128 * 1024

PAGE = 100

#: Stores an answer about a resource at a time, within a transaction.
Write = Callable[[str, Answer, datetime], list[FactChange]]


class Extraction:
    """Reads the messages of a thread in their order, each once.

    The facts of an answer and the move of the thread's reading are one transaction, which is
    committed only if the reading has not moved since: of two processes that read the same
    messages, one stores its answer. Nothing is locked while the extractor works. A claim keeps
    workers from paying for the same messages; it expires by itself.
    """

    def __init__(
        self,
        store: FactStore,
        messages: MessageStore,
        *,
        extractor: FactExtractor | None,
        lease: float,
    ) -> None:
        #: Sends threads to the workers that read them; without it, only calls do.
        self.queue: RunQueue | None = None
        self.extractor = extractor
        self._store = store
        self._messages = messages
        self._lease = lease

    def enqueue(self, thread_id: str) -> None:
        """Have a worker read a thread once the current transaction is committed."""
        if self.extractor is not None and self.queue is not None:
            self._store.after_commit(partial(self._send, self.queue, thread_id))

    def read(
        self,
        thread_id: str,
        resource_ids: Collection[str] | None,
        write: Write,
        *,
        takeover: bool,
    ) -> Steps[list[FactChange]]:
        """Extract facts until no message of a thread is unread; return the changes.

        Without `takeover`, a thread that another process reads is left to it. Raises
        ThreadNotFound.
        """
        if self.extractor is None:
            raise EngineConfigError("Extracting facts needs the setting FACT_EXTRACTOR")
        changes: list[FactChange] = []
        while True:
            reading = self._store.open_reading(thread_id)
            if reading is None or not (resource_ids is None or reading.resource_id in resource_ids):
                raise ThreadNotFound(id=thread_id)
            messages = self._unread(reading)
            if not messages:
                return changes
            claimed = self._store.claim_reading(reading, self._lease, takeover=takeover)
            if claimed is not None:
                failpoints.hit("messages_claimed")
                changes += yield from self._extract(self.extractor, claimed, messages, write)
            elif not takeover:
                # The other process looks for messages again after it has moved the reading.
                return changes

    def list_unread(self, resource_ids: Collection[str] | None, *, after: str) -> list[str]:
        """Return some ids greater than `after`, in order, of threads with unread messages."""
        return self._store.list_unread(resource_ids, after=after, limit=PAGE)

    def _unread(self, reading: Reading) -> list[Message]:
        selection = MessageSelection(
            descending=False, limit=MAX_MESSAGES, max_bytes=MAX_BYTES, after=reading.position
        )
        messages, _ = self._messages.list_messages(reading.thread_id, selection)
        return messages

    def _extract(
        self,
        extractor: FactExtractor,
        reading: Reading,
        messages: Sequence[Message],
        write: Write,
    ) -> Steps[list[FactChange]]:
        """Store the extractor's answer, unless it is outdated; return the changes."""
        try:
            known_facts = self._store.list_current(reading.resource_id)
            values: Any = yield partial(extractor.extract, messages, known_facts)
            answer = checked_answer(values, messages)
            failpoints.hit("facts_extracted")
            changes = self._store.transact(partial(self._write, reading, messages, answer, write))
        except BaseException:
            with suppress(EngineError):
                self._store.release_reading(reading)
            raise
        if changes is None:
            self._store.release_reading(reading)
        return changes or []

    def _write(
        self, reading: Reading, messages: Sequence[Message], answer: Answer, write: Write
    ) -> list[FactChange] | None:
        """Write an answer; return None if a message or the reading has changed meanwhile.

        An answer may rest on a message that was deleted since, or that belongs to another resource
        by now. Then the remaining messages are read again.
        """
        moment = self._store.lock_resource(reading.resource_id)
        ids = sorted(message.id for message in messages)
        if len(self._store.lock_messages(ids, reading.resource_id)) < len(ids):
            return None
        if not self._store.move_reading(reading, messages[-1].position):
            return None
        failpoints.hit("messages_read")
        return write(reading.resource_id, answer, moment)

    def _send(self, queue: RunQueue, thread_id: str) -> None:
        """Send a thread to the workers; after a failure it waits for its next messages.

        The messages are committed by now. An error raised here would look as if they were not.
        """
        try:
            queue.extract_facts(thread_id)
        except Exception:
            logger.exception("Messages of thread %s wait to be read for facts", thread_id)
